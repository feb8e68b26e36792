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


@dataclass(frozen=True)
class GradientSteps:
    """SA(k): each image climbs its own ELBO in the mean and log variance of its Gaussian (Kim et al. 2018).

    A step that would lower the image's bound is not taken and its size is quartered: where posteriors are narrow, the
    papers' fixed size of 1e-3 overshoots by orders of magnitude. In training the bound is that of one fresh pair of
    opposite draws; else of two fixed pairs that integrate the quadratics of a plane exactly, so that q is the same at
    every call.
    """

    steps: int
    size: float = 1e-3

    def __call__(self, vae: "VAE", x: Tensor, q: Distribution) -> Distribution:
        return self.path(vae, x, q)[-1]

    def path(self, vae: "VAE", x: Tensor, q: Distribution) -> list[Distribution]:
        learn = torch.is_grad_enabled()
        place = torch.cat([q.mean, 2 * q.stddev.log()], -1)
        noise = opposite_draws(q.mean) if vae.training else opposite_signs(q.mean)
        with torch.enable_grad():
            place = place if learn and place.requires_grad else place.detach().requires_grad_()
            size = torch.full_like(place[:, :1], self.size)
            value, slope = climb(vae, x, place, noise, learn)
            places = [place]
            for step in range(1, self.steps + 1):
                tried = place + size * slope
                new_value, new_slope = climb(vae, x, tried, noise, learn, sloped=step < self.steps)
                better = (new_value >= value)[:, None]
                place, slope = torch.where(better, tried, place), torch.where(better, new_slope, slope)
                value, size = torch.where(better[:, 0], new_value, value), torch.where(better, size, size / 4)
                places.append(place)
        return [diagonal(place if learn else place.detach()) for place in places]


def opposite_draws(like: Tensor) -> Tensor:
    noise = torch.randn_like(like)
    return torch.stack([noise, -noise])


def opposite_signs(like: Tensor) -> Tensor:
    """[4, B, D]: all ones and alternating signs, and their opposites; each dimension has mean 0 and variance 1."""
    signs = 1.0 - 2.0 * (torch.arange(like.shape[1], device=like.device) % 2)
    rows = torch.stack([torch.ones_like(signs), signs])
    return torch.cat([rows, -rows])[:, None].expand(-1, len(like), -1).to(like)


def climb(
    vae: "VAE", x: Tensor, place: Tensor, noise: Tensor, learn: bool, sloped: bool = True
) -> tuple[Tensor, Tensor]:
    """The ELBO [B] at the Gaussians `place` [B, 2D] by the draws `noise` [K, B, D], and its gradient by `place`."""
    q, p = diagonal(place), vae.prior()
    z = q.mean + q.stddev * noise
    try:
        kl = kl_divergence(q, p)
    except NotImplementedError:
        kl = (q.log_prob(z) - p.log_prob(z)).mean(0)
    value = vae.log_likelihood(x, z).mean(0) - kl
    if not sloped:
        return value, torch.zeros_like(place)
    (slope,) = torch.autograd.grad(value.sum(), place, create_graph=learn, retain_graph=True)
    return value, slope


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
