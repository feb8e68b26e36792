"""The straight line and the great circle, and how a path is measured."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaecore.inputs import floats_of
from vaecore.text import counted

STEPS = 15
FINE = 8  # points between two steps where a path is measured


def linear(start: Tensor, end: Tensor, steps: int = STEPS) -> Tensor:
    """The straight line from `start` [D] to `end` [D]: [steps, D]."""
    start, end = ends_of(start, end, steps)
    t = torch.linspace(0, 1, steps, dtype=start.dtype, device=start.device)[:, None]
    return exact_ends(torch.lerp(start, end, t), start, end)


def spherical(start: Tensor, end: Tensor, steps: int = STEPS) -> Tensor:
    """The great circle between the two directions, |z| going evenly from one end's to the other's: [steps, D].

    The straight line where there is no one great circle: an end at 0, or both on one line through 0.
    """
    start, end = ends_of(start, end, steps)
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


def ends_of(start: Tensor, end: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Both ends [D] as floats of one type; ValueError where they are no two points, or there are no steps between."""
    start, end = floats_of(start, "The coordinates of a path's start", "D"), floats_of(end, "Those of its end", "D")
    if start.shape != end.shape or steps < 2:
        raise ValueError(
            f"A path needs two ends [D] and at least 2 steps; there are {list(start.shape)}, {list(end.shape)} and "
            f"{counted(steps, 'step')}."
        )
    dtype = torch.promote_types(start.dtype, end.dtype)
    return start.to(dtype), end.to(dtype)


# ---- measures


def valley(log_p: Tensor) -> Tensor:
    """How far log p(z_t) [..., T] falls below the line between its ends' values: [...] nats, 0 for no valley, else < 0.

    Along a straight line log N(z; 0, I) is concave: it never has a valley.
    """
    log_p = floats_of(log_p, "The log densities")
    line = torch.linspace(0, 1, log_p.shape[-1], dtype=log_p.dtype, device=log_p.device)
    # The ends' own differences are rounding.
    return (log_p - torch.lerp(log_p[..., :1], log_p[..., -1:], line))[..., 1:-1].amin(-1).clamp_max(0)


def refined(path: Tensor, fine: int = FINE) -> Tensor:
    """Points on the polygon through a path [..., T, D], `fine` to each step: [..., (T - 1) fine + 1, D]."""
    path = floats_of(path, "The points of the path")
    share = torch.linspace(0, 1, fine + 1, dtype=path.dtype, device=path.device)[:-1, None]
    between = torch.lerp(path[..., :-1, None, :], path[..., 1:, None, :], share).flatten(-3, -2)
    return torch.cat([between, path[..., -1:, :]], -2)


def lowest(prior: Distribution, path: Tensor) -> Tensor:
    """The least log p(z) on a path [..., T, D], between its steps too: [...] nats."""
    return prior.log_prob(refined(path)).amin(-1)


def energy(images: Tensor) -> Tensor:
    """sum_t |g_t+1 - g_t|² of images [T, ...]."""
    return floats_of(images, "The images").diff(dim=0).square().sum()
