"""A picture of the aggregate posterior q(z) against the prior p(z): the plane, or the dimensions that say most."""

import math

import torch
from torch import Tensor
from torch.distributions import Normal

from vaecore import aggregate
from vaecore.distributions import is_diagonal
from vaecore.vae import VAE

SIDE, POINTS, DIMENSIONS = 56, 61, 64  # of the plane's grid, of a dimension's line; at most so many dimensions
SAMPLES = 4000  # of q(z) and of the prior
KERNEL = 1.5  # cells of the plane's grid: the width of the kernels that smooth q(z)
REACH = 4.0  # standard deviations of either density beyond its mean that a line shows


@torch.no_grad()
def picture(vae: VAE, x: Tensor, divided: list[float] | None) -> dict:
    """The densities of q(z), the mean of the q(z|x) of images x, from draws, and of p(z), as JSON-ready numbers.

    D = 2: {"axes": two lists [S], "log q", "log p": [S, S] nats, in the order [z1][z2]}. Else {"dimensions": [...]},
    first those with the greatest of `divided` [D], the KL by dimension, or, without it, with the greatest variance of
    the codes: {"dimension": d from 1, "axis": [P], "q", "p": [P] densities, "overlap": the area under both}.
    """
    z = torch.cat([vae.posterior(part).sample((max(1, SAMPLES // len(x)),)).flatten(0, 1) for part in x.split(100)])
    p = vae.prior().sample((SAMPLES,))
    return plane(vae, z, p) if z.shape[1] == 2 else {"dimensions": marginals(vae, z, p, divided)}


def plane(vae: VAE, z: Tensor, p: Tensor) -> dict:
    """q(z) from draws z [N, 2] by Gaussian kernels: its posteriors are often far narrower than the grid's cells."""
    both = torch.cat([z, p])
    ends = both.quantile(torch.tensor([0.001, 0.999]).to(both), 0)
    margin = 0.1 * (ends[1] - ends[0])
    axes = [torch.linspace(float(a), float(b), SIDE) for a, b in zip(ends[0] - margin, ends[1] + margin, strict=True)]
    nodes = torch.cartesian_prod(*axes).to(z)
    width = KERNEL * torch.stack([axis[1] - axis[0] for axis in axes]).to(z)
    log_q = aggregate.log_aggregate(nodes, z, width.expand_as(z))
    densities = {"log q": log_q, "log p": vae.prior().log_prob(nodes)}
    shaped = {name: rounded(values.clamp_min(-1000).view(SIDE, SIDE)) for name, values in densities.items()}
    return {"axes": [rounded(axis) for axis in axes], **shaped}


def marginals(vae: VAE, z: Tensor, p: Tensor, divided: list[float] | None) -> list[dict]:
    weight = z.var(0) if divided is None else torch.tensor(divided)
    chosen = weight.argsort(descending=True)[:DIMENSIONS]
    prior = vae.prior()
    known = [Normal(*each) for each in zip(prior.mean, prior.stddev, strict=True)] if is_diagonal(prior) else None
    return [marginal(d, z[:, d], p[:, d], known[d] if known else None) for d in chosen.tolist()]


def marginal(d: int, z: Tensor, p: Tensor, known: Normal | None) -> dict:
    """One dimension: q(z_d) from draws, and p(z_d) by its density where that is `known`, else from draws too."""
    low, high = (torch.stack([v.mean() + side * REACH * v.std() for v in (z, p)]) for side in (-1, 1))
    axis = torch.linspace(float(low.min()), float(high.max()), POINTS, dtype=torch.float64)
    q, p = kernel(axis, z), kernel(axis, p) if known is None else known.log_prob(axis.to(z)).exp().double().cpu()
    overlap = float(torch.minimum(q, p).sum() * (axis[1] - axis[0]))
    return {
        "dimension": d + 1,
        "axis": rounded(axis),
        "q": rounded(q),
        "p": rounded(p),
        "mean": float(z.mean()),
        "sd": float(z.std()),
        "overlap": min(1.0, overlap),
    }


def kernel(axis: Tensor, draws: Tensor) -> Tensor:
    """The density of draws [N] at the places of an axis, by Gaussian kernels of Silverman's width (1986, eq. 3.31)."""
    draws = draws.double().cpu()
    quarter = float(draws.quantile(0.75) - draws.quantile(0.25)) / 1.34
    width = max(0.9 * min(float(draws.std()), quarter or math.inf) * len(draws) ** -0.2, 1e-6)
    return (-0.5 * ((axis[:, None] - draws) / width).square()).exp().mean(1) / (width * math.sqrt(2 * math.pi))


def rounded(values: Tensor) -> list:
    """As lists, each number with four decimals: it is a picture."""
    return torch.round(values.double().cpu(), decimals=4).tolist()
