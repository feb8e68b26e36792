"""Refinements: callables (vae, x, q) that improve the encoder's q(z|x) for each image, step by step.

`path(vae, x, q)` gives every stage, the encoder's first. Each image is refined on its own: nothing depends on the
others in its batch. Under gradients the steps are unrolled, so that the encoder learns through them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal, kl_divergence

from vaecore.distributions import diagonal

if TYPE_CHECKING:
    from vaecore.vae import VAE


DECODES = 4096  # at once
FARTHEST, WIDEST = 1e6, 40.0  # of a mean and a log variance that are tried: beyond, decoders overflow


@dataclass(frozen=True)
class GradientSteps:
    """SA(k): each image climbs its own ELBO in the mean and log variance of its Gaussian (Kim et al. 2018).

    A step that would lower the image's bound, as the draws below see it, is not taken and its size is quartered: where
    posteriors are narrow, the papers' fixed size of 1e-3 overshoots by orders of magnitude. In training the draws are
    one fresh pair of opposite ones; else they are `fixed_draws`, so that q is the same at every call.
    """

    steps: int
    size: float = 1e-3

    def __call__(self, vae: "VAE", x: Tensor, q: Distribution) -> Distribution:
        return self.path(vae, x, q)[-1]

    def path(self, vae: "VAE", x: Tensor, q: Distribution) -> list[Distribution]:
        place = torch.cat([q.mean, 2 * q.stddev.log()], -1)
        noise = opposite_draws(q.mean) if vae.training else fixed_draws(q.mean)
        rows = max(1, DECODES // len(noise))
        parts = zip(x.split(rows), place.split(rows), noise.split(rows, 1), strict=True)
        return [diagonal(place) for place in torch.cat([self.climbed(vae, *part) for part in parts], 1)]

    def climbed(self, vae: "VAE", x: Tensor, place: Tensor, noise: Tensor) -> Tensor:
        """The places [steps + 1, B, 2D] of a few images, by the draws `noise` [K, B, D]."""
        size = torch.full_like(place[:, :1], self.size)
        value, slope = climb(vae, x, place, noise)
        places = [place]
        for step in range(1, self.steps + 1):
            tried, sloped = within_reach(place + size * slope), step < self.steps
            new_value, new_slope = climb(vae, x, tried, noise, sloped)
            finite = new_value.isfinite() & new_slope.isfinite().all(-1)
            if torch.is_grad_enabled() and not finite.all():
                # Its gradient is 0, and 0 times infinity no number: what overflowed must not be in the graph at all.
                tried = torch.where(finite[:, None], tried, place)
                new_value, new_slope = climb(vae, x, tried, noise, sloped)
            better = (finite & (new_value >= value))[:, None]
            place, slope = torch.where(better, tried, place), torch.where(better, new_slope, slope)
            value, size = torch.where(better[:, 0], new_value, value), torch.where(better, size, size / 4)
            places.append(place)
        return torch.stack(places)


def within_reach(place: Tensor) -> Tensor:
    mean, log_variance = place.chunk(2, dim=-1)
    return torch.cat([mean.clamp(-FARTHEST, FARTHEST), log_variance.clamp(-WIDEST, WIDEST)], -1)


def opposite_draws(like: Tensor) -> Tensor:
    noise = torch.randn_like(like)
    return torch.stack([noise, -noise])


PAIRS = 16  # of fixed draws, at most


def fixed_draws(like: Tensor) -> Tensor:
    """Rows of signs with their opposites, [2n, B, D], under which odd moments are 0 and each variance is 1.

    They are the rows of a Hadamard matrix of order n >= D, a power of two: dimensions are uncorrelated, so that
    quadratics are integrated exactly. Beyond D = `PAIRS` as many dimensions at a time share the matrix of that order,
    under row signs of their own: two of different blocks have a correlation of 0.25 in root mean square.
    """
    dim, size = like.shape[1], min(PAIRS, 1 << (like.shape[1] - 1).bit_length())
    signs = torch.randint(2, (-(-dim // size), size, 1), generator=torch.Generator().manual_seed(0)) * 2 - 1
    signs[0] = 1
    rows = torch.cat([*(signs * hadamard(size))], 1)[:, :dim]
    return torch.cat([rows, -rows])[:, None].expand(-1, len(like), -1).to(like)


def hadamard(order: int) -> Tensor:
    """Sylvester's matrix of signs H [n, n] with H Hᵀ = n I, for n a power of two."""
    rows = torch.ones(1, 1, dtype=torch.long)
    while len(rows) < order:
        rows = torch.cat([torch.cat([rows, rows], 1), torch.cat([rows, -rows], 1)])
    return rows


def climb(vae: "VAE", x: Tensor, place: Tensor, noise: Tensor, sloped: bool = True) -> tuple[Tensor, Tensor]:
    """The ELBO [B] at the Gaussians `place` [B, 2D] by the draws `noise` [K, B, D], and its gradient by `place`."""
    learn = torch.is_grad_enabled()
    with torch.enable_grad():
        place = place if place.requires_grad else place.detach().requires_grad_()
        q, p = diagonal(place), vae.prior()
        z = q.mean + q.stddev * noise
        try:
            kl = kl_divergence(q, p)
        except NotImplementedError:
            kl = (q.log_prob(z) - p.log_prob(z)).mean(0)
        value = vae.log_likelihood(x, z).mean(0) - kl
        slope = torch.zeros_like(place)
        if sloped:
            (slope,) = torch.autograd.grad(value.sum(), place, create_graph=learn)
    return value if learn else value.detach(), slope


@dataclass(frozen=True)
class LaplaceSteps:
    """Laplace VAE(k): k linearised solves for the posterior's mode, then a Gaussian of full covariance there.

    With the decoder's output g(z) and Jacobian J at z, and its likelihood's Fisher information F, the posterior of the
    linearised model is N(z', S), S⁻¹ = Jᵀ F J + I, z' = S Jᵀ (score + F J z); step t goes the share 1/2 / (t + 1) of
    the way from z to z', t = 0, 1, ... (Park et al. 2019), or all of it if not `damped`. The prior must be N(0, I).
    """

    steps: int
    damped: bool = True

    def __call__(self, vae: "VAE", x: Tensor, q: Distribution) -> Distribution:
        *_, (z, precision) = self.places(vae, x, q.mean)
        return MultivariateNormal(z, precision_matrix=precision)

    def path(self, vae: "VAE", x: Tensor, q: Distribution) -> list[Distribution]:
        places = self.places(vae, x, q.mean)
        return [q, *(MultivariateNormal(z, precision_matrix=precision) for z, precision in places)]

    def places(self, vae: "VAE", x: Tensor, z: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Mean and precision after each step."""
        target, _ = self.solve(vae, x, z)
        for step in range(self.steps):
            z = z + (0.5 / (step + 1) if self.damped else 1.0) * (target - z)
            target, precision = self.solve(vae, x, z)
            yield z, precision

    def solve(self, vae: "VAE", x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """z' [B, D] and S⁻¹ [B, D, D] of the model linearised at z [B, D]."""
        output, jacobian = linearised(vae.decoder.net, z)
        score, fisher = vae.decoder.quadratic(x, output)
        jacobian, score, fisher = jacobian.flatten(1, -2), score.flatten(1), fisher.flatten(1)
        weighted = fisher[..., None] * jacobian
        precision = jacobian.mT @ weighted + torch.eye(z.shape[1]).to(z)
        precision = (precision + precision.mT) / 2  # which rounding leaves a little askew
        pull = jacobian.mT @ (score[..., None] + weighted @ z[..., None])
        return torch.linalg.solve(precision, pull)[..., 0], precision


def linearised(net: torch.nn.Module, z: Tensor) -> tuple[Tensor, Tensor]:
    """g(z) [B, ...] and its Jacobian [B, ..., D], by D forward derivatives at once."""

    def along(direction: Tensor) -> tuple[Tensor, Tensor]:
        return torch.func.jvp(net, (z,), (direction.expand_as(z),))

    return torch.func.vmap(along, out_dims=(None, -1))(torch.eye(z.shape[1]).to(z))
