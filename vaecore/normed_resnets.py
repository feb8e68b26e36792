"""MAE's weight-normed ResNets (Ma et al. 2019, as released): an encoder, and a decoder of the same sizes backwards.

For 28 x 28 the encoder halves to 14, 7 and 4, rounding up, with 32, 64 and 64 channels, then one convolution of what is
left makes 512. Other sizes, depths and channels are carried over. ELU throughout, activation after the sum.
"""

from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.functional import elu

from vaecore.resnets import Shape, convolution
from vaecore.weightnorm import normed


class ResidualSum(nn.Module):
    """act(shortcut(h) + second(elu(first(h))))."""

    def __init__(self, first: nn.Module, second: nn.Module, shortcut: nn.Module, last: bool = False) -> None:
        super().__init__()
        self.first, self.second, self.shortcut = first, second, shortcut
        self.act = nn.Identity() if last else nn.ELU()

    def forward(self, h: Tensor) -> Tensor:
        return self.act(self.shortcut(h) + self.second(elu(self.first(h))))


class EverySecond(nn.Module):
    """Every second pixel: then a 1 x 1 convolution is one of stride 2, whose backward pass in torch 2.13 (oneDNN, one
    channel) writes beyond its memory."""

    def forward(self, h: Tensor) -> Tensor:
        return h[:, :, ::2, ::2]


def sizes(data_shape: Shape, layers: int) -> list[tuple[int, int]]:
    """Height and width before and after each of the encoder's blocks."""
    found = [data_shape[1:]]
    for _ in range(layers):
        found.append(tuple(-(-side // 2) for side in found[-1]))
    return found


def widths(width: int, layers: int) -> list[int]:
    """Channels of the encoder's blocks: half the width for the first, 32, 64, 64."""
    return [max(1, width // 2), *[width] * (layers - 1)]


def normed_encoder(data_shape: Shape, features: int, width: int, layers: int) -> nn.Sequential:
    """Images [B, C, H, W] to [B, features], the last layer linear."""
    blocks = [
        ResidualSum(
            normed(convolution(before, after, 2)),
            normed(convolution(after, after, 1)),
            nn.Sequential(EverySecond(), normed(convolution(before, after, 1, kernel=1))),
        )
        for before, after in pairwise((data_shape[0], *widths(width, layers)))
    ]
    whole = normed(nn.Conv2d(widths(width, layers)[-1], 8 * width, sizes(data_shape, layers)[-1]))
    last = normed(nn.Linear(8 * width, features))
    return nn.Sequential(*blocks, whole, nn.ELU(), nn.Flatten(), last).to(memory_format=torch.channels_last)


class Apart(nn.Module):
    """Pixels laid apart between zeros, [B, C, H, W] to [B, C, 2 H - 1 + odd, ...]: a convolution of it is a transposed
    one of stride 2. torch 2.13's own has corrupted memory here in its backward pass, to a single channel."""

    def __init__(self, odd: tuple[int, int]) -> None:
        super().__init__()
        self.odd = odd

    def forward(self, h: Tensor) -> Tensor:
        size = [2 * side - 1 + odd for side, odd in zip(h.shape[2:], self.odd, strict=True)]
        laid = h.new_zeros(*h.shape[:2], *size)
        laid[:, :, ::2, ::2] = h
        return laid


def normed_decoder(latent_dim: int, data_shape: Shape, width: int, layers: int) -> nn.Sequential:
    """z [B, D] to [B, C, H, W], with no activation after the last block."""
    channels, steps = (*widths(width, layers)[::-1], data_shape[0]), sizes(data_shape, layers)[::-1]
    made: list[nn.Module] = [nn.Unflatten(-1, (latent_dim, 1, 1))]
    made += [normed(nn.ConvTranspose2d(latent_dim, channels[0], steps[0])), nn.ELU()]
    for k, ((before, after), (low, high)) in enumerate(zip(pairwise(channels), pairwise(steps), strict=True)):
        odd = tuple(b - 2 * a + 1 for a, b in zip(low, high, strict=True))
        up, shortcut = (nn.Sequential(Apart(odd), normed(convolution(before, after, 1, kernel))) for kernel in (3, 1))
        made.append(ResidualSum(up, normed(convolution(after, after, 1)), shortcut, last=k == layers - 1))
    return nn.Sequential(*made)


def maps_of(latent_dim: int, data_shape: Shape, maps: int) -> nn.Sequential:
    """z [B, D] to maps [B, maps, H, W] of the image's size, one linear layer and ELU."""
    shape = (maps, *data_shape[1:])
    return nn.Sequential(normed(nn.Linear(latent_dim, prod(shape))), nn.Unflatten(-1, shape), nn.ELU())
