"""The best diagonal Gaussian, and the gap between ELBO and evidence in two parts."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from vaecore.exact.overview import Overview
from vaecore.exact.posterior import TruePosterior, true_posterior
from vaecore.vae import VAE


def best_gaussian(vae: VAE, x: Tensor, overview: Overview | None = None) -> Distribution:
    """The diagonal Gaussian nearest in KL(q || p(z|x)) for each x [B, C, H, W]: batch_shape [B]."""
    return split_gap(vae, x, overview).best


def nearest_gaussian(posterior: TruePosterior, q: Distribution, steps: int = 50) -> Independent:
    """Climb E_q[log p(x, z)] + H(q) over diagonal Gaussians from `q` and from every peak; the highest of each image.

    No decoding: log p(x, z) is a peak's quadratic, whose mean under q is known, plus a rest, whose mean under q is a
    weighted sum over the nodes of the peak's patch.
    """
    peaks, rows = posterior.peaks, torch.arange(len(posterior.log_evidence), device=q.mean.device)[:, None]
    count = peaks.alive.shape[1]
    nearest = peaks.distance(q.mean[:, None].double())[:, 0].argmin(1, keepdim=True)
    order = torch.cat([torch.arange(count, device=nearest.device).expand(len(rows), count), nearest], 1)
    homes = peaks.take(order)
    z, f = posterior.work.z[rows, order], posterior.work.values[rows, order]
    precision = torch.linalg.inv(homes.scale @ homes.scale.mT)
    unit = precision.diagonal(dim1=-2, dim2=-1).rsqrt()
    gap = z - homes.centre[:, :, None]
    rest = f - homes.value[..., None] + 0.5 * ((gap @ precision) * gap).sum(-1)
    rest = rest.masked_fill(~homes.alive[..., None], 0)

    def bound(mean: Tensor, std: Tensor) -> Tensor:
        """E_q[log p(x, z)] + H(q), up to a constant, of each start's N(mean, std²): [B, K + 1]."""
        weight = (-0.5 * ((z - mean[:, :, None]) / std[:, :, None]).square().sum(-1)).softmax(-1)
        away = mean - homes.centre
        quadratic = (away[..., None, :] @ precision @ away[..., None])[..., 0, 0] + (std / unit).square().sum(-1)
        return homes.value - 0.5 * quadratic + (weight * rest).sum(-1) + std.log().sum(-1)

    start = torch.cat([homes.centre[:, :-1], q.mean[:, None].double()], 1)
    with torch.enable_grad():
        shift, stretch = torch.zeros_like(start).requires_grad_(), torch.zeros_like(start).requires_grad_()
        adam = torch.optim.Adam([shift, stretch])
        for step in range(steps):
            adam.param_groups[0]["lr"] = 0.2 * (1 - step / steps)
            adam.zero_grad()
            (-bound(start + unit * shift, unit * stretch.exp())).sum().backward()
            adam.step()
    mean, std = (start + unit * shift).detach(), (unit * stretch.exp()).detach()
    row = bound(mean, std).masked_fill(~homes.alive, -torch.inf).argmax(1, keepdim=True)
    return Independent(Normal(*(t[rows, row][:, 0].to(q.mean) for t in (mean, std))), 1)


@dataclass
class Gap:
    """log p(x) = ELBO + approximation gap + amortization gap (Cremer et al. 2018), each [B] nats.

    The approximation gap is that of the best diagonal Gaussian; the amortization gap is what the encoder loses to it.
    """

    posterior: TruePosterior
    q: Distribution
    best: Distribution
    total: Tensor  # KL(q || p(z|x))
    approximation: Tensor  # KL(best || p(z|x))
    error: Tensor  # estimate for log p(x)
    gap_error: Tensor  # estimate for the total gap

    @property
    def log_evidence(self) -> Tensor:
        return self.posterior.log_evidence

    @property
    def elbo(self) -> Tensor:
        return self.log_evidence - self.total

    @property
    def amortization(self) -> Tensor:
        return self.total - self.approximation

    @property
    def modes(self) -> Tensor:
        return self.posterior.modes


@torch.no_grad()
def split_gap(vae: VAE, x: Tensor, overview: Overview | None = None) -> Gap:
    """The exact gap of each image x [B, C, H, W] and its two parts, none of them negative."""
    posterior = true_posterior(vae, x, overview)
    q = vae.posterior(x)
    total, gap_error = posterior.divergence(q)
    climbed = nearest_gaussian(posterior, q)
    approximation = posterior.kl(climbed)
    if not (isinstance(q, Independent) and isinstance(q.base_dist, Normal)):
        return Gap(posterior, q, climbed, total, approximation, posterior.error, gap_error)
    # The encoder's own Gaussian is a candidate too, so that the amortization gap cannot be negative.
    better = (approximation < total)[:, None]
    loc, scale = torch.where(better, climbed.mean, q.mean), torch.where(better, climbed.stddev, q.stddev)
    best = Independent(Normal(loc, scale), 1)
    return Gap(posterior, q, best, total, torch.minimum(approximation, total), posterior.error, gap_error)
