"""KL(q(z) || p(z)) and the mutual information of x and z by Monte Carlo (learned-prior paper, Algorithm B.2)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from vaecore.aggregate.density import OnEvent, log_aggregate, log_aggregate_of
from vaecore.distributions import is_diagonal
from vaecore.eval_mode import in_eval_mode
from vaecore.inputs import images_of
from vaecore.vae import VAE

CHUNK = 500  # images encoded at once


@dataclass(frozen=True)
class MarginalKL:
    """E KL(q(z|x) || p(z)) = KL(q(z) || p(z)) + I(x; z), each estimated on the same draws of z, in nats.

    The estimate of q(z) holds each z's own posterior as one of its N n_x, so that log q(z|x) - log q(z) <= log(N n_x)
    for every draw: the mutual information cannot exceed `cap`, nor the KL fall below `floor`, whatever the truth is.
    Where posteriors hardly overlap both are met, and the KL falls by log n_x: the fall in the paper's Table B.2.
    """

    images: int
    n_x: int
    n_z: int
    avg_kl: float
    kl: float
    kl_error: float  # standard error over images
    mutual_information: float
    mutual_information_error: float

    @property
    def cap(self) -> float:
        """log(N n_x), the most that the estimate of the mutual information can be."""
        return math.log(self.images * self.n_x)

    @property
    def floor(self) -> float:
        """avg KL - log(N n_x), the least that the estimate of the KL can be."""
        return self.avg_kl - self.cap


@in_eval_mode
@torch.no_grad()
def marginal_kl(
    vae: VAE,
    draws: Sequence[Tensor],
    n_z: int = 10,
    *,
    points: int | None = None,
    seed: int = 0,
    on_event: OnEvent = None,
) -> MarginalKL:
    """KL(q(z) || p(z)) with q(z) the mean of q(z|x) over all images and all their binarisations.

    Args:
        draws: n_x tensors [N, C, H, W]: binarisations of the same N images in the same order; one for fixed data.
        n_z: draws of z from each q(z|x).
        points: draw z from the posteriors of this many images only, chosen by the seed; q(z) is still of all. The time
            grows with points n_x n_z times N n_x.
        on_event: called with {"event": "step", "step": k, "steps": n} as log q(z) is computed.
    """
    draws = draws_of(vae, draws, n_z, points)
    count = len(draws[0])
    with torch.random.fork_rng(devices=[vae.device] if vae.device.type == "cuda" else []):
        torch.manual_seed(seed)
        chosen = torch.randperm(count)[: points or count]
        parts = [drawn(vae, x, n_z) for images in draws for x in images[chosen.to(images.device)].split(CHUNK)]
    # Joined to [n_z, n_x * points, ...], one binarisation of all points after another.
    z, log_posterior = (torch.cat(values, 1) for values in zip(*parts, strict=True))
    log_q = log_q_of_all(vae, z.flatten(0, 1), draws, on_event).view_as(log_posterior)
    log_p = torch.cat([vae.prior().log_prob(part) for part in z.flatten(0, 1).split(4096)]).double().view_as(log_q)
    kl, information = (term.view(n_z, len(draws), -1).mean((0, 1)) for term in (log_q - log_p, log_posterior - log_q))
    (kl, kl_error), (information, information_error) = mean_and_error(kl), mean_and_error(information)
    return MarginalKL(count, len(draws), n_z, kl + information, kl, kl_error, information, information_error)


def drawn(vae: VAE, x: Tensor, n_z: int) -> tuple[Tensor, Tensor]:
    """z ~ q(z|x) [n_z, B, D] and log q(z|x) [n_z, B], float64."""
    q = vae.posterior(x.to(vae.device))
    z = q.sample((n_z,))
    return z, own_density(q, z)


def own_density(q: Distribution, z: Tensor) -> Tensor:
    """log q(z|x) in double precision where q is a diagonal Gaussian, as `log_aggregate` has it."""
    if not is_diagonal(q):
        return q.log_prob(z).double()
    loc, scale = q.mean.double(), q.stddev.double()
    return (-0.5 * ((z.double() - loc) / scale).square() - scale.log() - 0.5 * math.log(2 * math.pi)).sum(-1)


def log_q_of_all(vae: VAE, z: Tensor, draws: Sequence[Tensor], on_event: OnEvent) -> Tensor:
    """log q(z) [M] over the posteriors of all draws, which are encoded one after another."""
    if not is_diagonal(vae.posterior(draws[0][:1].to(vae.device))):
        return log_aggregate_of(vae, z, torch.cat([*draws]), on_event)
    posteriors = [vae.posterior(x.to(vae.device)) for images in draws for x in images.split(CHUNK)]
    loc, scale = torch.cat([q.mean for q in posteriors]), torch.cat([q.stddev for q in posteriors])
    return log_aggregate(z, loc, scale, on_event)


def mean_and_error(values: Tensor) -> tuple[float, float]:
    """The mean over images [N] and its standard error; nan for one image."""
    error = values.std() / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return float(values.mean()), float(error)


def draws_of(vae: VAE, draws: Sequence[Tensor], n_z: int, points: int | None) -> list[Tensor]:
    found = [] if isinstance(draws, Tensor | np.ndarray) else [images_of(vae, x) for x in draws]
    if len({x.shape for x in found}) != 1:
        raise ValueError("draws must be a list of tensors of one shape [N, C, H, W]: the binarisations of N images.")
    if n_z < 1 or (points is not None and not 1 <= points <= len(found[0])):
        raise ValueError(f"n_z is {n_z} and points {points}; it needs n_z >= 1 and 1 <= points <= {len(found[0])}.")
    return found
