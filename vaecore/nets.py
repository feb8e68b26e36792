"""The networks, with no probability in them: images [B, C, H, W] to vectors [B, F] and back.

`dense` is the 500-500 network of yookoon/VLAE, which the RME and GPVAE papers built on, and `small` the same at 128-128
for 8 x 8 images; `conv` is the pair of GPVAE's Tables 6 to 8 (28 x 28, 32 x 32 and 64 x 64), carried over to any size
from 8 x 8.
"""

from itertools import pairwise
from math import prod

import torch
from torch import nn

Shape = tuple[int, int, int]


def dense_encoder(data_shape: Shape, features: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(prod(data_shape), width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, features),
    )


def dense_decoder(latent_dim: int, data_shape: Shape, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(latent_dim, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, prod(data_shape)),
        nn.Unflatten(-1, data_shape),
    )


def halved(size: int, times: int) -> list[int]:
    """The sizes that `times` convolutions of stride 2 (kernel 4, padding 1) leave: 28 -> [28, 14, 7, 3]."""
    sizes = [size]
    for _ in range(times):
        sizes.append(sizes[-1] // 2)
    return sizes


def conv_encoder(data_shape: Shape, features: int, channels: tuple[int, ...], width: int) -> nn.Sequential:
    """Convolutions 4 x 4 of stride 2, then one hidden layer; leaky ReLU of slope 0.01."""
    last = [halved(side, len(channels))[-1] for side in data_shape[1:]]
    layers: list[nn.Module] = []
    for before, after in pairwise((data_shape[0], *channels)):
        layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(0.01)]
    layers += [nn.Flatten(), nn.Linear(channels[-1] * prod(last), width), nn.LeakyReLU(0.01)]
    return channels_last(nn.Sequential(*layers, nn.Linear(width, features)))


def conv_decoder(latent_dim: int, data_shape: Shape, channels: tuple[int, ...], width: int) -> nn.Sequential:
    """The encoder backwards, with transposed convolutions that arrive at exactly H x W; ReLU, and a linear output."""
    heights, widths = (halved(side, len(channels))[::-1] for side in data_shape[1:])
    shape = (channels[-1], heights[0], widths[0])
    layers: list[nn.Module] = [nn.Linear(latent_dim, width), nn.ReLU(), nn.Linear(width, prod(shape))]
    layers += [nn.ReLU(), nn.Unflatten(-1, shape)]
    sizes = pairwise(zip(heights, widths, strict=True))
    for (before, after), (small, large) in zip(pairwise(up_channels(data_shape[0], channels)), sizes, strict=True):
        odd = tuple(b - 2 * a for a, b in zip(small, large, strict=True))
        layers += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, output_padding=odd), nn.ReLU()]
    return channels_last(nn.Sequential(*layers[:-1]))


def up_channels(colours: int, channels: tuple[int, ...]) -> tuple[int, ...]:
    """Channels on the way up: (32, 32, 64) gives 64 -> 32 -> 32 -> colours, as the papers' tables have it."""
    return (channels[-1], *channels[-2::-1], colours)


def channels_last(net: nn.Sequential) -> nn.Sequential:
    """The layout in which the convolutions of these sizes run faster on a CPU."""
    return net.to(memory_format=torch.channels_last)


def conv_sizes(data_shape: Shape) -> tuple[tuple[int, ...], int]:
    """Channels and hidden width of GPVAE's Tables 6 (up to 28 x 28), 7 and 8 (from 64 x 64)."""
    side = max(data_shape[1:])
    channels = (32, 32, 64, 64) if side >= 64 else (32, 32, 64)
    return channels, 256 if side <= 28 else 512


DENSE_WIDTHS = {"dense": 500, "small": 128}
NETS = ("dense", "conv", "small")


def default_net(data_shape: Shape) -> str:
    return "small" if min(data_shape[1:]) < 16 else "conv"


def build_nets(net: str, data_shape: Shape, latent_dim: int, features: int) -> tuple[nn.Module, nn.Module]:
    """The pair (encoder's network with `features` outputs, decoder's network) called `net`.

    Raises ValueError where the images are too small for the network's convolutions.
    """
    if net in DENSE_WIDTHS:
        width = DENSE_WIDTHS[net]
        return dense_encoder(data_shape, features, width), dense_decoder(latent_dim, data_shape, width)
    channels, width = conv_sizes(data_shape)
    least = 2 ** len(channels)
    if min(data_shape[1:]) < least:
        size = "x".join(map(str, data_shape))
        raise ValueError(f"net='conv' needs images of at least {least}x{least} pixels, not {size}: use net='dense'.")
    return conv_encoder(data_shape, features, channels, width), conv_decoder(latent_dim, data_shape, channels, width)
