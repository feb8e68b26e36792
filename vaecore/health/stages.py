"""The stages of a report of health, each a generator of what is known of it so far, portion after portion."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from vaecore.distributions import is_diagonal
from vaecore.health import measures
from vaecore.health.measures import BATCH, FEW, Found
from vaecore.health.picture import picture
from vaecore.health.sizes import Sizes
from vaecore.vae import VAE


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

    @cached_property
    def encoded(self) -> tuple[VAE, Tensor]:
        """The images for the codes, encoded once for the three stages that ask for them; draws nothing of theirs."""
        with torch.random.fork_rng(devices=[self.vae.device] if self.vae.device.type == "cuda" else []):
            return measures.encoded_once(self.vae, self.drawn(self.sizes.codes))

    @cached_property
    def known_gap(self) -> Found | None:
        return measures.stored_gap(self.analysis, is_diagonal(self.vae.posterior(self.drawn(1))))


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
    vae, x = work.encoded
    yield {"images for the codes": len(x), **measures.codes(vae, x)}


def prior(work: Work, _: Found) -> Iterator[Found]:
    """KL(q(z) || p(z)), mutual information, low posterior share."""
    vae, x = work.encoded
    yield measures.prior(vae, x, work.sizes, work.seed)


def pictured(work: Work, found: Found) -> Iterator[Found]:
    """The densities of q(z) and p(z)."""
    vae, x = work.encoded
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


STAGES: dict[str, Callable[[Work, Found], Iterator[Found]]] = {
    "bounds": bounds,
    "codes": codes,
    "prior": prior,
    "picture": pictured,
    "training": training,
    "exact": exact,
}
