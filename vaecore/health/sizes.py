"""How much of a VAE's health is measured: as much as takes less than a minute on one core."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.distributions import Independent

from vaecore.distributions import is_diagonal
from vaecore.eval_mode import in_eval_mode
from vaecore.vae import VAE


@dataclass(frozen=True)
class Sizes:
    """How much is measured; each set of images is the first so many of one seeded order."""

    images: int = 500  # for the bounds
    samples: int = 100  # K draws of q(z|x) for each
    compared: int = 2000  # images of either kind for the bounds of training against those of test images
    draws: int = 10  # of q(z|x) for each of these
    codes: int = 2000  # images for active units, KL by dimension, q(z)
    exact: int = 30  # images for the exact gap, D = 2: of training images, and of others where no analysis is kept
    prior: int = 2000  # samples of p(z)
    worst: int = 10


QUICK = Sizes()
PIXELS = Sizes(images=100, samples=20, compared=200, draws=4, codes=1000, exact=20, prior=1000)
SHAPED = Sizes(images=300, samples=50, compared=600, codes=240, exact=10, prior=300)
REFINED = Sizes(images=60, samples=20, compared=100, codes=240, exact=20, prior=300)


def first_sizes(sizes: Sizes) -> Sizes:
    """Of what is shown while the rest is measured: a fifth of the images, a tenth of the draws."""
    return replace(sizes, images=max(4, sizes.images // 5), samples=max(2, sizes.samples // 10))


@in_eval_mode
@torch.no_grad()
def sizes_for(vae: VAE, x: Tensor) -> Sizes:
    """Fewer images where p(x|z) goes pixel after pixel or q is no diagonal Gaussian; fewest where q is refined."""
    if vae.refine is not None:
        return REFINED
    q = vae.posterior(x[:1].to(vae.device))
    if not isinstance(vae.likelihood(q.sample()), Independent):
        return PIXELS
    return QUICK if is_diagonal(q) else SHAPED
