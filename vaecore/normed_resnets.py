"""MAE's weight-normed ResNets (Ma et al. 2019, as released): an encoder, and a decoder of the same sizes backwards.

For 28 x 28 the encoder halves to 14, 7 and 4, rounding up, with 32, 64 and 64 channels, then one convolution of what is
left makes 512. Other sizes, depths and channels are carried over. ELU throughout, activation after the sum.
"""

from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.functional import elu

from vaecore.resnets import Shape, convolution, deconvolution
from vaecore.weightnorm import normed


class ResidualSum(nn.Module):
    """act(shortcut(h) + second(elu(first(h))))."""

    def __init__(self, first: nn.Module, second: nn.Module, shortcut: nn.Module, last: bool = False) -> None:
        super().__init__()
        self.first, self.second, self.shortcut = first, second, shortcut
        self.act = nn.Identity() if last else nn.ELU()

    def forward(self, h: Tensor) -> Tensor:
        return self.act(self.shortcut(h) + self.second(elu(self.first(h))))


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
            normed(convolution(before, after, 2, kernel=1)),
        )
        for before, after in pairwise((data_shape[0], *widths(width, layers)))
    ]
    whole = normed(nn.Conv2d(widths(width, layers)[-1], 8 * width, sizes(data_shape, layers)[-1]))
    last = normed(nn.Linear(8 * width, features))
    return nn.Sequential(*blocks, whole, nn.ELU(), nn.Flatten(), last).to(memory_format=torch.channels_last)


class Apart(nn.ConvTranspose2d):
    """The 1 x 1 transposed convolution of stride 2: each pixel by itself, then laid apart between zeros.

    torch 2.13's own corrupts memory in its backward pass, channels last and to a single channel.
    """

    def forward(self, h: Tensor) -> Tensor:
        high, wide = (2 * side - 1 + odd for side, odd in zip(h.shape[2:], self.output_padding, strict=True))
        made = torch.einsum("bihw,io->bohw", h, self.weight[..., 0, 0])
        laid = made.new_zeros(len(h), self.out_channels, high, wide)
        laid[:, :, ::2, ::2] = made
        return laid + self.bias[:, None, None]


def normed_decoder(latent_dim: int, data_shape: Shape, width: int, layers: int) -> nn.Sequential:
    """z [B, D] to [B, C, H, W], with no activation after the last block."""
    channels, steps = (*widths(width, layers)[::-1], data_shape[0]), sizes(data_shape, layers)[::-1]
    made: list[nn.Module] = [nn.Unflatten(-1, (latent_dim, 1, 1))]
    made += [normed(nn.ConvTranspose2d(latent_dim, channels[0], steps[0])), nn.ELU()]
    for k, ((before, after), (low, high)) in enumerate(zip(pairwise(channels), pairwise(steps), strict=True)):
        odd = tuple(b - 2 * a + 1 for a, b in zip(low, high, strict=True))
        up = normed(deconvolution(before, after, 2, odd))
        shortcut = normed(Apart(before, after, 1, 2, output_padding=odd))
        made.append(ResidualSum(up, normed(convolution(after, after, 1)), shortcut, last=k == layers - 1))
    return nn.Sequential(*made)


def maps_of(latent_dim: int, data_shape: Shape, maps: int) -> nn.Sequential:
    """z [B, D] to maps [B, maps, H, W] of the image's size, one linear layer and ELU."""
    shape = (maps, *data_shape[1:])
    return nn.Sequential(normed(nn.Linear(latent_dim, prod(shape))), nn.Unflatten(-1, shape), nn.ELU())
