"""Pairs of codes by the valley between them."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaecore.inputs import places_of
from vaecore.paths.ways import valley

PAIRS, COARSE = 2000, 17  # pairs among which is searched, and steps of each


class Pairs(NamedTuple):
    """Pairs of codes: their numbers [n, 2], and the valley on the straight line between them, [n] nats."""

    index: Tensor
    valley: Tensor


@torch.no_grad()
def find_pairs(prior: Distribution, codes: Tensor, count: int = 3, *, deepest: bool = True, seed: int = 0) -> Pairs:
    """The pairs with the deepest valleys on the straight line between them, or those with the smoothest ways.

    Searched among `PAIRS` random pairs of codes [N, D]. No code comes twice. Between near codes every way is smooth:
    for the smoothest ones only pairs count that are at least as far apart as half of all; of those without any valley
    the ones come first whose lowest log p(z) is highest.
    """
    codes = places_of(prior, codes, "The codes")
    if len(codes) < 2:
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
