"""Nearest neighbours, exact: of codes (learned-prior paper, Figure 3, B.4) and of images (its Figure 1)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vaecore.aggregate.density import fitting
from vaecore.inputs import pixels_of

ROWS, BLOCK = 1000, 4000


@dataclass(frozen=True, eq=False)
class ClosestPairs:
    """For each code i its nearest other mean j: one entry for each i, as i need not be the nearest of j."""

    index: Tensor  # j [N]
    distance: Tensor  # d_ij = |mean_j - mean_i| [N]
    normalised: Tensor  # 2 d_ij / (Std[i;j] + Std[j;i]) [N]


@torch.no_grad()
def closest_pairs(loc: Tensor, scale: Tensor) -> ClosestPairs:
    """The closest pairs of means of q(z|x) and how many standard deviations apart they are, by formula.

    Std[i;j]² = sum_k scale_ik² u_k² is the variance of q_i along u, the unit vector from i to j (equation B.3). It is
    exact for uncorrelated dimensions; for another q its correlations are left out.

    Args:
        loc, scale: means and standard deviations of q(z|x_i), each [N, D], N >= 2.

    Returns:
        float64. Of codes with equal means one is the other's neighbour, with both distances 0.
    """
    _, loc, scale = fitting(loc, loc, scale)
    if len(loc) < 2:
        raise ValueError("A pair needs two codes; there is one.")
    index, distance = nearest(loc, loc, exclude_self=True)
    way, scale = loc[index].double() - loc.double(), scale.double()
    # (d Std)² = sum_k scale_k² (mean_j - mean_i)_k² needs no unit vector, which equal means lack.
    spread = sum((s * way).square().sum(1).sqrt() for s in (scale, scale[index]))
    normalised = torch.where(distance > 0, 2 * distance.square() / spread, 0.0)
    return ClosestPairs(index, distance, normalised)


@torch.no_grad()
def nearest_images(images: Tensor, training: Tensor) -> tuple[Tensor, Tensor]:
    """Which of `training` [N, C, H, W] is nearest to each of `images` [M, C, H, W]: indices and L2 distances, [M]."""
    images, training = pixels_of(images), pixels_of(training)
    if images.shape[1:] != training.shape[1:] or not len(training):
        shapes = f"{list(images.shape)} and {list(training.shape)}"
        raise ValueError(f"Images have shapes {shapes}; they need [M, C, H, W] and [N, C, H, W], N >= 1.")
    return nearest(images.flatten(1), training.flatten(1))


def nearest(queries: Tensor, points: Tensor, exclude_self: bool = False) -> tuple[Tensor, Tensor]:
    """For each of `queries` [M, P] the nearest of `points` [N, P]: index [M] and distance [M], float64.

    By |b|²/2 - a·b in double precision, which has the order of the distances; the distance itself is then taken from
    the difference. With `exclude_self` the point of a query's own index does not count.
    """
    centre = points.double().mean(0)
    found = [
        nearest_of(part.double() - centre, points, centre, i * ROWS if exclude_self else None)
        for i, part in enumerate(queries.split(ROWS))
    ]
    index = torch.cat(found)
    pairs = zip(queries.split(ROWS), index.split(ROWS), strict=True)
    return index, torch.cat([(a.double() - points[j].double()).norm(dim=1) for a, j in pairs])


def nearest_of(a: Tensor, points: Tensor, centre: Tensor, own: int | None) -> Tensor:
    """The index of the nearest of `points` to each centred query; query k is point own + k, unless `own` is None."""
    least, index = a.new_full((len(a),), torch.inf), torch.zeros(len(a), dtype=torch.long, device=a.device)
    for start in range(0, len(points), BLOCK):
        b = points[start : start + BLOCK].double() - centre
        order = torch.addmm(0.5 * b.square().sum(1), a, b.T, alpha=-1)
        if own is not None and -len(a) < own - start < len(b):
            order.diagonal(own - start).fill_(torch.inf)
        value, where = order.min(1)
        index = torch.where(value < least, where + start, index)
        least = torch.minimum(value, least)
    return index
