"""The report of health, stage by stage: what is known so far is told, kept, and gone on with."""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict

import torch
from torch import Tensor

from vaecore.distributions import is_diagonal
from vaecore.eval_mode import in_eval_mode
from vaecore.health import measures
from vaecore.health.measures import Found
from vaecore.health.sizes import Sizes, first_sizes, sizes_for
from vaecore.health.stages import STAGES, Work, portions
from vaecore.text import counted
from vaecore.vae import VAE

VERSION = 2  # of what is measured and how: what was kept under another is measured again


@in_eval_mode
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
    on_event: Callable[[dict], None] = lambda event: None,
    keep: Callable[[Found], None] = lambda found: None,
    stop: Callable[[], bool] = lambda: False,
    stages: tuple[str, ...] = tuple(STAGES),
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
        stages: only these.
    """
    if images.ndim != 4 or len(images) < 4:
        raise ValueError(f"images have shape {list(images.shape)}; a report needs [N, C, H, W] with N at least 4.")
    with torch.random.fork_rng(devices=[vae.device] if vae.device.type == "cuda" else []):
        torch.manual_seed(seed)
        work = Work(vae, images, seed, sizes or sizes_for(vae, images), train, analysis or {})
        found = start = begun(work, known)
        steps = sum(portions(work, name) for name in stages)
        for step, found, ended in advance(work, start, stages):
            on_event({"event": "step", "step": step, "steps": steps})
            if ended or step == 1:
                keep(found)
            if stop():
                return found
        return found | {"complete": stages == tuple(STAGES)}


def advance(work: Work, found: Found, stages: tuple[str, ...]) -> Iterator[tuple[int, Found, bool]]:
    """The portions that are done, what is found so far, and whether a stage has ended; each stage by the same seed."""
    step = 0
    for name in stages:
        if name in found["stages"]:
            step += portions(work, name)
            continue
        torch.manual_seed(work.seed)
        for part in STAGES[name](work, found):
            found, step = found | checked(part), step + 1
            yield step, found, False
        found = found | {"stages": [*found["stages"], name]}
        yield step, found, True


@in_eval_mode
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


def with_analysis(found: Found, analysis: dict[str, Tensor]) -> Found:
    """A report with the exact gap of an analysis, where that knows more images."""
    known = measures.stored_gap(analysis, bool(found.get("q is a diagonal Gaussian")))
    there = found.get("exact") or {"images": 0}
    return found | {"exact": known} if known and known["images"] > there["images"] else found


def protocol(found: Found) -> str:
    """How a report was measured, in words."""
    said = [f"images drawn by seed {found['seed']} from {found['images']:,}"]
    if "images measured" in found:
        draws = counted(found["draws"], "draw")
        said.append(f"bounds of {found['images measured']:,} with K = {draws} of q(z|x) for each")
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
