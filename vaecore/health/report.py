"""The report of health, stage by stage: what is known so far is told, kept, and gone on with."""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from vaecore.distributions import is_diagonal
from vaecore.health import measures
from vaecore.health.measures import BATCH, FEW, Found
from vaecore.health.picture import picture
from vaecore.health.sizes import Sizes, first_sizes, sizes_for
from vaecore.vae import VAE

VERSION = 2  # of what is measured and how: what was kept under another is measured again


@dataclass(frozen=True, eq=False)
class Work:
    """What a report is about: a VAE and images, those that it was trained on, and what an analysis has kept."""

    vae: VAE
    images: Tensor
    seed: int
    sizes: Sizes
    train: Tensor | None
    analysis: dict[str, Tensor]

    def drawn(self, count: int, images: Tensor | None = None) -> Tensor:
        """The first so many images, of the test images unless others are given, in the seed's order."""
        images = self.images if images is None else images
        return images[self.order(images)[:count]].to(self.vae.device)

    def order(self, images: Tensor) -> Tensor:
        return torch.randperm(len(images), generator=torch.Generator().manual_seed(self.seed))

    @property
    def compared(self) -> int:
        """How many training images, and how many test images, are held against each other."""
        return min(self.sizes.compared, len(self.images), len(self.train))

    @property
    def plane(self) -> bool:
        return measures.is_plane(self.vae.prior())

    @property
    def known_gap(self) -> Found | None:
        return measures.stored_gap(self.analysis, is_diagonal(self.vae.posterior(self.drawn(1))))


@torch.no_grad()
def report(
    vae: VAE,
    images: Tensor,
    seed: int = 0,
    sizes: Sizes | None = None,
    *,
    train: Tensor | None = None,
    analysis: dict[str, Tensor] | None = None,
    known: Found | None = None,
    on_event: Callable[[dict], None] | None = None,
    keep: Callable[[Found], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
    stages: tuple[str, ...] = (),
) -> Found:
    """The health of a VAE on images [N, C, H, W], as a JSON-ready dict; the same for the same seed and machine.

    All values are nats an image unless their name says otherwise; errors are standard errors over images. The low
    posterior share holds samples of p(z) against codes of images that are not in the sum q(z): where q(z) is the prior
    it is LOWEST. Raises ValueError for images of another shape, fewer than four of them, or values that are not finite.

    Args:
        train: images that it was trained on; as many as of the others are measured.
        analysis: what `analyse` keeps, whose exact gaps then need not be computed.
        known: an earlier report of the same weights and images, perhaps unfinished, which is gone on with.
        on_event: called with {"event": "step", "step": k, "steps": n} after each portion.
        keep: called with what is found so far, after the first portion and each stage.
        stop: asked after each portion; once it is true, what is found so far is returned, "complete" false.
        stages: only these of STAGES; all without it.
    """
    if images.ndim != 4 or len(images) < 4:
        raise ValueError(f"images have shape {list(images.shape)}; a report needs [N, C, H, W] with N at least 4.")
    with torch.random.fork_rng(devices=[vae.device] if vae.device.type == "cuda" else []):
        torch.manual_seed(seed)
        work = Work(vae, images, seed, sizes or sizes_for(vae, images), train, analysis or {})
        wanted = stages or tuple(STAGES)
        found = begun(work, known)
        steps, step = sum(portions(work, name) for name in wanted), 0
        for name in wanted:
            if name in found["stages"]:
                step += portions(work, name)
                continue
            torch.manual_seed(seed)
            for part in STAGES[name](work, found):
                found = found | checked(part)
                step += 1
                if on_event:
                    on_event({"event": "step", "step": step, "steps": steps})
                if stop():
                    return found
                if keep and step == 1:
                    keep(found)
            found["stages"] = [*found["stages"], name]
            if keep:
                keep(found)
        return found | {"complete": wanted == tuple(STAGES)}


def first(vae: VAE, images: Tensor, seed: int = 0) -> Found:
    """The bounds of a few images: what there is within a second."""
    return report(vae, images, seed, first_sizes(sizes_for(vae, images)), stages=("bounds",))


def begun(work: Work, known: Found | None) -> Found:
    """What every report begins with; what is known already, where it was measured in the same way."""
    found = {
        "version": VERSION,
        "seed": work.seed,
        "images": len(work.images),
        "sizes": asdict(work.sizes),
        "latent dimensions": work.vae.prior().event_shape[0],
        "q is a diagonal Gaussian": is_diagonal(work.vae.posterior(work.drawn(1))),
    }
    if known and all(known.get(name) == value for name, value in found.items()):
        return {**known, **found, "complete": False}
    return {**found, "stages": [], "complete": False}


def portions(work: Work, stage: str) -> int:
    """How many portions a stage yields."""
    if stage == "bounds":
        return -(-min(work.sizes.images, len(work.images)) // BATCH)
    if stage == "training" and work.train is not None:
        return -(-work.compared // BATCH) + work.plane * -(-min(work.sizes.exact, len(work.train)) // FEW)
    if stage == "exact" and work.plane and not work.known_gap:
        return -(-min(work.sizes.exact, len(work.images)) // FEW)
    return 1


def bounds(work: Work, _: Found) -> Iterator[Found]:
    """ELBO and IWAE, what the codes are worth to the decoder, and the images with the least ELBO."""
    order = work.order(work.images)
    for values in measures.bounds(work.vae, work.drawn(work.sizes.images), work.sizes.samples):
        worst = measures.worst(values, order, work.sizes.worst)
        yield {**measures.summary(values, work.sizes.samples), "worst images": worst}


def codes(work: Work, _: Found) -> Iterator[Found]:
    """Active units, KL by dimension, moments of q(z)."""
    vae, x = measures.encoded_once(work.vae, work.drawn(work.sizes.codes))
    yield {"images for the codes": len(x), **measures.codes(vae, x)}


def prior(work: Work, _: Found) -> Iterator[Found]:
    """KL(q(z) || p(z)), mutual information, low posterior share."""
    vae, x = measures.encoded_once(work.vae, work.drawn(work.sizes.codes))
    yield measures.prior(vae, x, work.sizes, work.seed)


def pictured(work: Work, found: Found) -> Iterator[Found]:
    """The densities of q(z) and p(z)."""
    vae, x = measures.encoded_once(work.vae, work.drawn(work.sizes.codes))
    yield {"picture": picture(vae, x, found["KL by dimension"])}


def training(work: Work, _: Found) -> Iterator[Found]:
    """The bounds of as many training as test images, and for D = 2 the exact gap of some training images."""
    if work.train is None:
        yield {"training": None}
        return
    both = (work.drawn(work.compared), work.drawn(work.compared, work.train))
    pairs = zip(*(measures.bounds(work.vae, x, work.sizes.draws) for x in both), strict=True)
    for test, train in pairs:
        found = {**measures.compared(test, train), "draws": work.sizes.draws}
        yield {"training": found}
    if work.plane:
        for gap in measures.gaps(work.vae, work.drawn(work.sizes.exact, work.train)):
            yield {"training": found | {"exact": gap}}


def exact(work: Work, _: Found) -> Iterator[Found]:
    """The exact gap, D = 2: stored, or by quadrature on a few images."""
    if not work.plane:
        yield {"exact": None}
    elif known := work.known_gap:
        yield {"exact": known}
    else:
        yield from ({"exact": gap} for gap in measures.gaps(work.vae, work.drawn(work.sizes.exact)))


def with_analysis(found: Found, analysis: dict[str, Tensor]) -> Found:
    """A report with the exact gap of an analysis, where that knows more images."""
    known = measures.stored_gap(analysis, bool(found.get("q is a diagonal Gaussian")))
    there = found.get("exact") or {"images": 0}
    return found | {"exact": known} if known and known["images"] > there["images"] else found


def protocol(found: Found) -> str:
    """How a report was measured, in words."""
    said = [f"images drawn by seed {found['seed']} from {found['images']:,}"]
    if "images measured" in found:
        said.append(f"bounds of {found['images measured']:,} with K = {found['draws']} draws of q(z|x) for each")
    if "images for the codes" in found:
        said.append(f"codes of {found['images for the codes']:,}")
    if found.get("exact"):
        said.append(f"exact gaps of {found['exact']['images']:,}")
    return ", ".join(said) + "; nats an image"


def checked(part: Found) -> Found:
    """ValueError where a number is not finite."""
    for name, value in part.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name} is {value}, no finite number: this VAE has no report.")
        if isinstance(value, dict):
            checked(value)
    return part


STAGES: dict[str, Callable[[Work, Found], Iterator[Found]]] = {
    "bounds": bounds,
    "codes": codes,
    "prior": prior,
    "picture": pictured,
    "training": training,
    "exact": exact,
}
