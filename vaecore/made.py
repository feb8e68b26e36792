"""MAE's prior: an autoregressive flow of blocks, each a step through the dimensions in either order (Ma et al. 2019).

The density, z -> w with w ~ N(0, I), takes one pass; sampling fills one dimension after another.
"""

import torch
from torch import Tensor, nn

from vaecore.flows import AutoregressiveStep
from vaecore.weightnorm import normed

BEGINS_AT = 0.1  # of shift and log variance, so that the flow begins near the identity


class MADE(nn.Module):
    """A function of z_<d for each d, [*, D] to [*, D], "before" in the given order (Germain et al. 2015).

    Weight-normed: a hidden layer of ReLU, and a direct connection beside it.
    """

    def __init__(self, dim: int, width: int, place: Tensor) -> None:
        super().__init__()
        sees = 1 + torch.arange(width) % max(1, dim - 1)  # a hidden unit sees so many of the first dimensions
        mask = (place < sees[:, None]).float()
        self.hidden = normed(nn.Linear(dim, width), mask)
        self.last = normed(nn.Linear(width, dim), (sees <= place[:, None]).float(), BEGINS_AT)
        self.direct = normed(nn.Linear(dim, dim), (place < place[:, None]).float(), BEGINS_AT)

    def forward(self, z: Tensor) -> Tensor:
        return self.last(self.hidden(z).relu()) + self.direct(z)


class Half(nn.Module):
    """z -> m(z) + z exp(v(z) / 2), through the dimensions in order or backwards; m and v are networks of their own."""

    def __init__(self, dim: int, width: int, backwards: bool) -> None:
        super().__init__()
        self.order = range(dim)[::-1] if backwards else range(dim)
        place = torch.tensor([self.order.index(d) for d in range(dim)])
        self.shift, self.log_variance = MADE(dim, width, place), MADE(dim, width, place)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The shift and the log scale, each [*, D]."""
        return self.shift(z), 0.5 * self.log_variance(z)


class DualFlow(nn.Module):
    """f: z -> w as a list of steps; a block's backward half comes first. 10 D hidden units, as in the released code."""

    def __init__(self, blocks: int, dim: int) -> None:
        super().__init__()
        self.halves = nn.ModuleList(Half(dim, 10 * dim, k % 2 == 0) for k in range(2 * blocks))

    def forward(self) -> list[AutoregressiveStep]:
        return [AutoregressiveStep(half, half.order) for half in self.halves]
