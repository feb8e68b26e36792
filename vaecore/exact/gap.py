"""The best diagonal Gaussian, and the gap between ELBO and evidence in two parts."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from vaecore.distributions import is_diagonal
from vaecore.eval_mode import in_eval_mode
from vaecore.exact.overview import Overview
from vaecore.exact.patches import lattice, shifts
from vaecore.exact.posterior import TOLERANCE, TruePosterior, centre, true_posterior
from vaecore.inputs import images_of
from vaecore.vae import VAE


@in_eval_mode
def best_gaussian(vae: VAE, x: Tensor, overview: Overview | None = None) -> Distribution:
    """The diagonal Gaussian nearest in KL(q || p(z|x)) for each x [B, C, H, W]: batch_shape [B]."""
    return split_gap(vae, x, overview).best


def nearest_gaussian(posterior: TruePosterior, mean: Tensor, steps: int = 50) -> tuple[Independent, Tensor]:
    """Climb E_q[log p(x, z)] + H(q) over diagonal Gaussians from every peak and from `mean` [B, 2]; the highest.

    No decoding: log p(x, z) is a peak's quadratic, whose mean under q is known, plus a rest, whose mean under q is a
    weighted sum over the nodes of the peak's patch. Returns the Gaussian and its KL(q || p(z|x)) by that account.
    """
    peaks, rows = posterior.peaks, torch.arange(len(mean), device=mean.device)[:, None]
    count = peaks.alive.shape[1]
    nearest = peaks.distance(mean[:, None].double())[:, 0].argmin(1, keepdim=True)
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

    start = torch.cat([homes.centre[:, :-1], mean[:, None].double()], 1)
    with torch.enable_grad():
        shift, stretch = torch.zeros_like(start).requires_grad_(), torch.zeros_like(start).requires_grad_()
        adam = torch.optim.Adam([shift, stretch])
        for step in range(steps):
            adam.param_groups[0]["lr"] = 0.2 * (1 - step / steps)
            adam.zero_grad()
            (-bound(start + unit * shift, unit * stretch.exp())).sum().backward()
            adam.step()
    loc, std = (start + unit * shift).detach(), (unit * stretch.exp()).detach()
    score = bound(loc, std).masked_fill(~homes.alive, -torch.inf)
    row = score.argmax(1, keepdim=True)
    found = Independent(Normal(*(t[rows, row][:, 0].to(mean) for t in (loc, std))), 1)
    return found, posterior.log_evidence - score[rows, row][:, 0] - 1 - math.log(2 * math.pi)


def polished(posterior: TruePosterior, found: Independent, rows: Tensor, rounds: int = 20) -> Independent:
    """`found`, climbed further for the images `rows`, from where it stands and from the whole posterior's moments.

    Each round evaluates log p(x, z) where q lies and takes half a natural gradient step: with z = m + s u, the
    gradient is E[f u] / s and the curvature E[f (u² - 1)] / s² (Stein's identities), which need values only.
    """
    work, f = posterior.work, posterior.joint.of(rows.repeat_interleave(2))
    weight = (work.values + work.log_area)[rows].flatten(1).softmax(1)[..., None]
    z = work.z[rows].flatten(1, 2)
    mean = (weight * z).sum(1)
    std = ((weight * (z - mean[:, None]).square()).sum(1)).sqrt()
    mean, std = (
        torch.stack([t[rows].double(), m], 1).flatten(0, 1) for t, m in ((found.mean, mean), (found.stddev, std))
    )
    unit = lattice(shifts(1)[0]).to(mean)
    share = (-0.5 * unit.square().sum(1)).softmax(0)
    wanted = torch.ones(len(mean), 1, dtype=bool, device=mean.device)
    best, top = torch.stack([mean, std]), torch.full_like(mean[:, 0], -torch.inf)
    for _ in range(rounds):
        value = f((mean[:, None] + std[:, None] * unit)[:, None], wanted)[:, 0].clamp_min(-1e30)
        bound = (share * value).sum(1) + std.log().sum(1)
        best = torch.where((bound > top)[:, None], torch.stack([mean, std]), best)
        top = top.maximum(bound)
        rest = ((value - value.amax(1, keepdim=True)) * share)[..., None]
        slope, curvature = (rest * unit).sum(1) / std, (rest * (unit.square() - 1)).sum(1) / std.square()
        mean = mean + 0.5 * std.square() * slope
        std = (0.5 / std.square() + 0.5 * (-curvature).maximum(0.25 / std.square())).rsqrt()
    first = torch.arange(len(rows), device=rows.device)
    row = 2 * first + top.reshape(-1, 2).argmax(1)
    loc, scale = found.mean.clone(), found.stddev.clone()
    loc[rows], scale[rows] = best[0, row].to(loc), best[1, row].to(loc)
    return Independent(Normal(loc, scale), 1)


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
    gap_error: Tensor  # estimate for the total gap

    @property
    def log_evidence(self) -> Tensor:
        return self.posterior.log_evidence

    @property
    def error(self) -> Tensor:
        """The estimate of log p(x)'s error."""
        return self.posterior.error

    @property
    def elbo(self) -> Tensor:
        return self.log_evidence - self.total

    @property
    def amortization(self) -> Tensor:
        return self.total - self.approximation

    @property
    def modes(self) -> Tensor:
        return self.posterior.modes


@in_eval_mode
@torch.no_grad()
def split_gap(vae: VAE, x: Tensor, overview: Overview | None = None, tolerance: float = TOLERANCE) -> Gap:
    """The exact gap of each image x [B, C, H, W] and its two parts, none of them negative."""
    x = images_of(vae, x)
    posterior = true_posterior(vae, x, overview, tolerance)
    q = vae.posterior(x.to(posterior.overview.z))
    total, gap_error = posterior.divergence(q)
    best, approximation = best_of(posterior, centre(q))
    if is_diagonal(q):
        # The encoder's own Gaussian is a candidate too, so that the amortization gap cannot be negative.
        better = (approximation < total)[:, None]
        loc, scale = torch.where(better, best.mean, q.mean), torch.where(better, best.stddev, q.stddev)
        best, approximation = Independent(Normal(loc, scale), 1), torch.minimum(approximation, total)
    return Gap(posterior, q, best, total, approximation, gap_error)


def best_of(posterior: TruePosterior, mean: Tensor) -> tuple[Independent, Tensor]:
    """The best diagonal Gaussian and its KL(q || p(z|x)), polished where the quick climb cannot be trusted."""
    found, promised = nearest_gaussian(posterior, mean)
    kl = posterior.kl(found)
    mass = (posterior.work.values + posterior.work.log_area).logsumexp(-1)
    split = (mass - mass.logsumexp(1, keepdim=True)).exp().amax(1) < 0.95
    rows = (split | ((kl - promised).abs() > (0.05 * kl).clamp_min(0.05))).nonzero()[:, 0]
    if not len(rows):
        return found, kl
    better = polished(posterior, found, rows)
    again = posterior.divergence(better, rows)[0]
    won = torch.zeros_like(kl, dtype=bool)
    won[rows] = again[rows] < kl[rows]
    loc, scale = (
        torch.where(won[:, None], a, b) for a, b in ((better.mean, found.mean), (better.stddev, found.stddev))
    )
    return Independent(Normal(loc, scale), 1), torch.where(won, again, kl)
