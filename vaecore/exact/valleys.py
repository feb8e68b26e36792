"""Which summits of a density belong together: those that a path joins without crossing a deep valley."""

import torch
from torch import Tensor

from vaecore.exact.joint import Joint
from vaecore.exact.peaks import Peaks

BULGES = (0.0, -0.15, 0.15, -0.3, 0.3, -0.5, 0.5, -0.8, 0.8)  # of the arcs, as a share of the distance
POINTS = 15  # on each arc, between its ends


def separated(f: Joint, summits: Peaks, counted: Tensor, depth: float) -> Tensor:
    """How many groups the `counted` [B, K] summits fall into, if two are one where some path between them, through
    other summits perhaps, stays within `depth` nats of the lower: [B].

    Paths are arcs: a bent ridge has no valley, although the straight line between its ends leaves it.
    """
    size = counted.shape[1]
    first, second = torch.triu_indices(size, size, 1).to(counted.device)
    joined = torch.diag_embed(counted)
    if len(first):
        height = highest_pass(
            f, summits.centre[:, first], summits.centre[:, second], counted[:, first] & counted[:, second]
        )
        lower = torch.minimum(summits.value[:, first], summits.value[:, second])
        together = height > lower - depth
        joined[:, first, second] = joined[:, second, first] = together
    for _ in range(size.bit_length()):  # each squaring doubles the length of the paths
        joined = (joined.float() @ joined.float()) > 0
    # A group is counted at its first summit.
    earlier = joined.tril(-1).any(-1)
    return (counted & ~earlier).sum(1)


def highest_pass(f: Joint, a: Tensor, b: Tensor, wanted: Tensor) -> Tensor:
    """The highest of the arcs' lowest points between a and b [B, P, 2] where `wanted` [B, P]: [B, P] nats."""
    share = torch.linspace(0, 1, POINTS + 2, dtype=a.dtype, device=a.device)[1:-1, None]
    along, across = b - a, torch.stack([a[..., 1] - b[..., 1], b[..., 0] - a[..., 0]], -1)
    height = torch.full_like(a[..., 0], -torch.inf)
    for bulge in BULGES:
        arc = a[:, :, None] + share * along[:, :, None] + 4 * bulge * share * (1 - share) * across[:, :, None]
        height = height.maximum(f(arc, wanted).amin(-1))
    return height
