"""Ways between two points of a latent space, and what a prior makes of them (learned-prior paper, Figure 2).

A path is [T, D], its ends the two points. Beside the straight line and the great circle there are two that are searched
for: over the highest pass of log p(z), and with the least change of the decoded image. Both are curves
z(t) = straight(t) + sum_k c_k sin(k pi t) / k, whose ends stay where they are whatever c is.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

STEPS = 15
FINE = 8  # points between two steps where a path is measured
WAVES, CLIMBS = 8, 70  # sines of a curve that looks for a pass, and its steps of Adam
ROUNDING = 1e-4  # nats that the same log p(z) may differ by in two batches
SLOPE = 0.1  # what a nat below the line between the ends' values counts, beside one below the lower end
PAIRS, COARSE = 2000, 17  # pairs among which is searched, and steps of each


class Pairs(NamedTuple):
    """Pairs of codes: their numbers [n, 2], and the valley on the straight line between them, [n] nats."""

    index: Tensor
    valley: Tensor


# ---- plain ways


def linear(start: Tensor, end: Tensor, steps: int = STEPS) -> Tensor:
    """The straight line from `start` [D] to `end` [D]: [steps, D]."""
    must_be_ends(start, end, steps)
    t = torch.linspace(0, 1, steps, dtype=start.dtype, device=start.device)[:, None]
    return exact_ends(torch.lerp(start, end, t), start, end)


def spherical(start: Tensor, end: Tensor, steps: int = STEPS) -> Tensor:
    """The great circle between the two directions, |z| going evenly from one end's to the other's: [steps, D].

    The straight line where there is no one great circle: an end at 0, or both on one line through 0.
    """
    straight = linear(start, end, steps)
    radii = torch.stack([start.norm(), end.norm()])
    one, other = start / radii[0], end / radii[1]
    angle = 2 * torch.atan2((one - other).norm(), (one + other).norm())  # acos rounds badly where the angle is small
    if not angle.sin() > 1e-4:
        return straight
    t = torch.linspace(0, 1, steps, dtype=start.dtype, device=start.device)[:, None]
    direction = (((1 - t) * angle).sin() * one + (t * angle).sin() * other) / angle.sin()
    return exact_ends(torch.lerp(radii[0], radii[1], t) * direction, start, end)


def exact_ends(path: Tensor, start: Tensor, end: Tensor) -> Tensor:
    return torch.cat([start[None], path[1:-1], end[None]])


# ---- measures


def valley(log_p: Tensor) -> Tensor:
    """How far log p(z_t) [..., T] falls below the line between its ends' values: [...] nats, 0 for no valley, else < 0.

    Along a straight line log N(z; 0, I) is concave: it never has a valley.
    """
    line = torch.linspace(0, 1, log_p.shape[-1], dtype=log_p.dtype, device=log_p.device)
    # The ends' own differences are rounding.
    return (log_p - torch.lerp(log_p[..., :1], log_p[..., -1:], line))[..., 1:-1].amin(-1).clamp_max(0)


def refined(path: Tensor, fine: int = FINE) -> Tensor:
    """Points on the polygon through a path [..., T, D], `fine` to each step: [..., (T - 1) fine + 1, D]."""
    share = torch.linspace(0, 1, fine + 1, dtype=path.dtype, device=path.device)[:-1, None]
    between = torch.lerp(path[..., :-1, None, :], path[..., 1:, None, :], share).flatten(-3, -2)
    return torch.cat([between, path[..., -1:, :]], -2)


def lowest(prior: Distribution, path: Tensor) -> Tensor:
    """The least log p(z) on a path [..., T, D], between its steps too: [...] nats."""
    return prior.log_prob(refined(path)).amin(-1)


def energy(images: Tensor) -> Tensor:
    """sum_t |g_t+1 - g_t|² of images [T, ...]."""
    return images.diff(dim=0).square().sum()


# ---- over the highest pass


@torch.no_grad()
def highest_valley(prior: Distribution, start: Tensor, end: Tensor, steps: int = STEPS) -> Tensor:
    """The path whose lowest log p(z) is highest, as far as it was found: [steps, D], evenly spaced.

    Several curves climb at once, by gradient: the straight line, the great circle, and two that are bent to either
    side, for between two equal ways round the straight line cannot decide. Among paths that nowhere fall below the
    lower end the one with the least valley is best. None that is worse than the straight line is returned.
    """
    straight = linear(start, end, steps)
    if not valley(prior.log_prob(refined(straight))):
        return straight
    curves = climbed(prior, torch.stack([straight, spherical(start, end, steps), *bent(straight)]))
    found = torch.stack([straight, *(exact_ends(even(curve, steps), start, end) for curve in curves)])
    log_p = prior.log_prob(refined(found))
    depths = log_p.amin(-1)

    def merit(path: int) -> tuple[int, float, float]:
        return round(float(depths[path]) / ROUNDING), float(valley(log_p[path])), -float(length(found[path])[-1])

    return found[max((path for path in range(len(found)) if depths[path] >= depths[0] - ROUNDING), key=merit)]


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


# ---- with the least change of the image


@torch.no_grad()
def smoothest(decode: Callable[[Tensor], Tensor], start: Tensor, end: Tensor, steps: int = STEPS) -> Tensor:
    """The path with the least sum_t |g(z_t+1) - g(z_t)|², as far as it was found: [steps, D].

    A geodesic of the decoder's surface in steps of equal change. L-BFGS from the straight line, never worse than it.

    Args:
        decode: g, the decoder's mean: z [T, D] to images [T, ...], such as `lambda z: vae.likelihood(z).mean`.
    """
    straight = linear(start, end, steps)
    if steps < 3 or torch.equal(start, end):
        return straight
    # The k-th sine is stretched k times, so that the energy is about as steep in each.
    waves = sines(steps, steps - 2).to(straight)
    span, before = (end - start).norm(), energy(decode(straight)).clamp_min(1e-30)
    share = torch.zeros(steps - 2, len(start)).to(straight).requires_grad_()
    best = [before, straight]
    search = torch.optim.LBFGS([share], max_iter=40, max_eval=60, history_size=20, line_search_fn="strong_wolfe")

    def changed() -> Tensor:
        with torch.enable_grad():
            path = straight + span * waves @ share
            found = energy(decode(path))
            (share.grad,) = torch.autograd.grad(found / before, share)
        if found < best[0]:
            best[:] = found.detach(), path.detach()
        return found.detach() / before

    search.step(changed)
    return exact_ends(best[1], start, end)


# ---- pairs


@torch.no_grad()
def find_pairs(prior: Distribution, codes: Tensor, count: int = 3, *, deepest: bool = True, seed: int = 0) -> Pairs:
    """The pairs with the deepest valleys on the straight line between them, or those with the smoothest ways.

    Searched among `PAIRS` random pairs of codes [N, D]. No code comes twice. Between near codes every way is smooth:
    for the smoothest ones only pairs count that are at least as far apart as half of all; of those without any valley
    the ones come first whose lowest log p(z) is highest.
    """
    if codes.ndim != 2 or len(codes) < 2:
        raise ValueError(f"The codes have shape {list(codes.shape)}; pairs need [N, D] with N >= 2.")
    generator = torch.Generator().manual_seed(seed)
    first = torch.randint(len(codes), (PAIRS,), generator=generator)
    second = (first + torch.randint(1, len(codes), (PAIRS,), generator=generator)) % len(codes)
    ends = codes[torch.stack([first, second], 1)]
    z = torch.lerp(ends[:, :1], ends[:, 1:], torch.linspace(0, 1, COARSE).to(codes)[:, None])
    log_p = torch.cat([prior.log_prob(part) for part in z.split(256)])
    depth, apart = valley(log_p), (ends[:, 0] - ends[:, 1]).norm(dim=1)
    order = depth.argsort(stable=True)
    if not deepest:
        smooth = torch.where(apart >= apart.median(), depth, -torch.inf)
        order = log_p.amin(1).argsort(descending=True)
        order = order[smooth[order].argsort(descending=True, stable=True)]
    kept, seen = [], set()
    for place in order.tolist():
        pair = {int(first[place]), int(second[place])}
        if len(kept) < count and not pair & seen and torch.isfinite(depth[place]):
            kept.append(place)
            seen |= pair
    return Pairs(torch.stack([first, second], 1)[kept], depth[kept])


def must_be_ends(start: Tensor, end: Tensor, steps: int) -> None:
    if start.ndim != 1 or start.shape != end.shape or steps < 2:
        raise ValueError(
            f"A path needs two ends [D] and at least 2 steps; there are {list(start.shape)}, {list(end.shape)} and "
            f"{steps} steps."
        )
