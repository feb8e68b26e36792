"""The way over the highest pass of log p(z).

Curves z(t) = straight(t) + sum_k c_k sin(k pi t) / k climb by gradient; their ends stay where they are whatever c is.
"""

import math

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaecore.inputs import places_of
from vaecore.paths.ways import FINE, STEPS, ends_of, exact_ends, linear, refined, spherical, valley

WAVES, CLIMBS = 8, 70  # sines of a curve that looks for a pass, and its steps of Adam
ROUNDING = 1e-4  # nats that the same log p(z) may differ by in two batches
SLOPE = 0.1  # what a nat below the line between the ends' values counts, beside one below the lower end


@torch.no_grad()
def highest_valley(prior: Distribution, start: Tensor, end: Tensor, steps: int = STEPS) -> Tensor:
    """The path whose lowest log p(z) is highest, as far as it was found: [steps, D], evenly spaced.

    Several curves climb at once, by gradient: the straight line, the great circle, and two that are bent to either
    side, for between two equal ways round the straight line cannot decide. Among paths that nowhere fall below the
    lower end the one with the least valley is best. None that is worse than the straight line is returned.
    """
    start, end = (places_of(prior, z, "The coordinates of a path's end", "D") for z in ends_of(start, end, steps))
    straight = linear(start, end, steps)
    if not valley(prior.log_prob(refined(straight))):
        return straight
    curves = climbed(prior, torch.stack([straight, spherical(start, end, steps), *bent(straight)]))
    found = torch.stack([straight, *(exact_ends(even(curve, steps), start, end) for curve in curves)])
    log_p = prior.log_prob(refined(found))
    depths = log_p.amin(-1)

    def merit(path: int) -> tuple[float, float, float]:
        rounded = (depths[path].double() / ROUNDING).round()
        return float(rounded), float(valley(log_p[path])), -float(length(found[path])[-1])

    # A curve that lost its gradient outside of the prior's support is nan, and no candidate.
    fit = [path for path in range(1, len(found)) if depths[path] >= depths[0] - ROUNDING]
    return found[max([0, *fit], key=merit)]


def bent(straight: Tensor) -> list[Tensor]:
    """The straight line bent by half its length to one side and to the other, the side drawn by a fixed seed."""
    way = (straight[-1] - straight[0]).double()
    side = torch.randn(len(way), generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(way)
    side = side - way * (side @ way) / (way @ way).clamp_min(1e-12)
    t = torch.linspace(0, math.pi, len(straight), dtype=torch.float64, device=way.device)
    offset = (0.5 * way.norm() / side.norm().clamp_min(1e-12) * t.sin()[:, None] * side).to(straight)
    return [straight + offset, straight - offset]


def climbed(prior: Distribution, starts: Tensor) -> Tensor:
    """Curves [S, T, D] moved to where their lowest log p(z) is high: [S, P, D], the same ends.

    What is lowered: log-mean-exp of beta times the depth below the lower end, over beta, which grows until only the
    deepest place counts; and a little the curve's own energy, which keeps it short and its points apart.
    """
    points = FINE * WAVES + 1
    straight, waves = starts[0], sines(points, WAVES).to(starts)
    way = linear(straight[0], straight[-1], points)
    ends = prior.log_prob(way[[0, -1]])
    line = torch.lerp(ends[0], ends[1], torch.linspace(0, 1, points).to(ends))
    span = (straight[-1] - straight[0]).norm()
    # In units of the ends' distance. A start's own coefficients are those that fit it best.
    bends = starts - straight
    share = torch.linalg.pinv(sines(len(straight), WAVES)).to(starts) @ bends / span
    share = share.requires_grad_()
    climber = torch.optim.Adam([share], lr=0.05)
    for climb in range(CLIMBS):
        done = climb / (CLIMBS - 1)
        beta, tautness = 0.2 * 50**done, 0.5 * 0.02**done
        climber.param_groups[0]["lr"] = 0.05 * (1.05 - done)
        with torch.enable_grad():
            curve = way + span * waves @ share
            log_p = prior.log_prob(curve)
            depth = (ends.min() - log_p).clamp_min(0) + SLOPE * (line - log_p).clamp_min(0)
            deepest = ((beta * depth).logsumexp(-1) - math.log(points)) / beta
            stretch = curve.diff(dim=-2).square().sum((-2, -1)) * (points - 1) / span.square()
            (share.grad,) = torch.autograd.grad((deepest + tautness * stretch).sum(), share)
        climber.step()
    return way + span * waves @ share.detach()


def sines(points: int, count: int) -> Tensor:
    """sin(k pi t) / k at even t in [0, 1], for k = 1 to `count`: [points, count], float64; 0 at both ends."""
    k = torch.arange(1, count + 1, dtype=torch.float64)
    found = (math.pi * torch.linspace(0, 1, points, dtype=torch.float64)[:, None] * k).sin() / k
    found[-1] = 0
    return found


def length(curve: Tensor) -> Tensor:
    """How long a curve [P, D] is up to each of its points: [P]."""
    return torch.cat([curve.new_zeros(1), curve.diff(dim=0).norm(dim=1).cumsum(0)])


def even(curve: Tensor, steps: int) -> Tensor:
    """`steps` points at even distances along a curve [P, D]: [steps, D]."""
    along = length(curve)
    wanted = torch.linspace(0, 1, steps).to(along) * along[-1]
    right = torch.searchsorted(along, wanted).clamp(1, len(curve) - 1)
    share = (wanted - along[right - 1]) / (along[right] - along[right - 1]).clamp_min(1e-12)
    return torch.lerp(curve[right - 1], curve[right], share[:, None])
