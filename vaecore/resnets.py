"""The networks of Xu et al. 2019 (appendix B.2): ResNets, and the same sizes in plain convolutions.

For 28 x 28 the feature maps are 28·28·32, 28·28·32, 14·14·64, 14·14·64, 7·7·64, 7·7·16 and back; other sizes are halved
twice as well, rounding up. ResNet blocks are Wide-ResNet's: activation before each of two convolutions, and a 1 x 1
shortcut where the shape changes. No normaliser: the paper mentions none (the authors' examples put ActNorm there).
"""

from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

Shape = tuple[int, int, int]
SLOPE = 0.01  # of the leaky ReLU; the paper does not state it
CHANNELS, STRIDES = (32, 32, 64, 64, 64, 16), (1, 1, 2, 1, 2, 1)


def sizes(data_shape: Shape) -> list[tuple[int, int]]:
    """Height and width before and after each of the encoder's layers."""
    found = [data_shape[1:]]
    for stride in STRIDES:
        found.append(tuple(-(-side // stride) for side in found[-1]))
    return found


def convolution(before: int, after: int, stride: int, kernel: int = 3) -> nn.Conv2d:
    return nn.Conv2d(before, after, kernel, stride, kernel // 2)


def deconvolution(before: int, after: int, stride: int, odd: tuple[int, int], kernel: int = 3) -> nn.ConvTranspose2d:
    """Arrives at stride x (size - 1) + 1 + odd."""
    return nn.ConvTranspose2d(before, after, kernel, stride, kernel // 2, odd)


class Residual(nn.Module):
    """shortcut(h) + conv(act(conv(act(h))))."""

    def __init__(self, first: nn.Module, second: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.LeakyReLU(SLOPE), first, nn.LeakyReLU(SLOPE), second)
        self.shortcut = shortcut

    def forward(self, h: Tensor) -> Tensor:
        return self.shortcut(h) + self.body(h)


def layer(before: int, after: int, stride: int, residual: bool, odd: tuple[int, int] | None = None) -> nn.Module:
    """One layer down, or up to `odd` more than the least size where that is given."""

    def change(kernel: int) -> nn.Module:
        if odd is None:
            return convolution(before, after, stride, kernel)
        return deconvolution(before, after, stride, odd, kernel)

    if not residual:
        return nn.Sequential(change(3), nn.LeakyReLU(SLOPE))
    shortcut = nn.Identity() if (before, stride) == (after, 1) else change(1)
    return Residual(change(3), convolution(after, after, 1), shortcut)


def deep_encoder(data_shape: Shape, features: int, residual: bool) -> nn.Sequential:
    """Images [B, C, H, W] to [B, features]."""
    widths = (data_shape[0], *CHANNELS)
    layers = [layer(*pair, stride, residual) for pair, stride in zip(pairwise(widths), STRIDES, strict=True)]
    flat = CHANNELS[-1] * prod(sizes(data_shape)[-1])
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, features))
    return net.to(memory_format=torch.channels_last)


def deep_decoder(latent_dim: int, data_shape: Shape, residual: bool) -> nn.Sequential:
    """z [B, D] to [B, C, H, W], the encoder's sizes backwards, then a linear 1 x 1 convolution."""
    small = (CHANNELS[-1], *sizes(data_shape)[-1])
    layers = [nn.Linear(latent_dim, prod(small)), nn.LeakyReLU(SLOPE), nn.Unflatten(-1, small)]
    # The encoder's first layer, from the image, has the 1 x 1 convolution as its counterpart.
    backwards = zip(pairwise(CHANNELS[::-1]), STRIDES[:0:-1], pairwise(sizes(data_shape)[:0:-1]), strict=True)
    for pair, stride, (low, high) in backwards:
        odd = tuple(b - stride * a + stride - 1 for a, b in zip(low, high, strict=True))
        layers.append(layer(*pair, stride, residual, odd))
    return nn.Sequential(*layers, nn.Conv2d(CHANNELS[0], data_shape[0], 1)).to(memory_format=torch.channels_last)
