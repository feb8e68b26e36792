"""The networks, with no probability in them: images [B, C, H, W] to vectors [B, F] and back.

`dense` is the 500-500 network of yookoon/VLAE, which the RME and GPVAE papers built on, and `small` the same at 128-128
for 8 x 8 images; `conv` is the pair of GPVAE's Tables 6 to 8 (28 x 28, 32 x 32 and 64 x 64), carried over to any size
from 8 x 8; `conv-dense` has that encoder and a dense decoder of as many weights, as in the papers' tables of the
Laplace VAE. `resnet` and `deep-conv` are ResnetVAE's and ConvVAE's of the learned prior's paper (in `resnets`), whose
DenseVAE is `dense` but for the slope of its leaky ReLU.
"""

from collections.abc import Callable, Hashable
from itertools import pairwise
from math import prod
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from vaecore.resnets import Shape, deep_decoder, deep_encoder

Kept = TypeVar("Kept")


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
        kind = nn.ConvTranspose2d if after != data_shape[0] else FewChannels
        layers += [kind(before, after, 4, stride=2, padding=1, output_padding=odd), nn.ReLU()]
    return channels_last(nn.Sequential(*layers[:-1]))


class FewChannels(nn.ConvTranspose2d):
    """The same transposed convolution (4 x 4, stride 2, padding 1), several times faster where it leaves few channels.

    Each of the four output pixels around an input pixel's corner sees a 2 x 2 window of the input: one convolution of
    four times the channels finds them all, and they are laid between each other.
    """

    def forward(self, h: Tensor) -> Tensor:
        odd = self.output_padding
        # Taps 3 and 1 make the even rows, taps 2 and 0 the odd ones; the same for columns.
        taps = self.weight.unflatten(3, (2, 2)).unflatten(2, (2, 2)).flip(2, 3, 4, 5)
        weight = taps.permute(1, 3, 5, 0, 2, 4).flatten(0, 2).contiguous(memory_format=torch.channels_last)
        found = conv2d(pad(h, (0, odd[1], 0, odd[0])), weight, padding=1).unflatten(1, (-1, 2, 2))
        high, wide = h.shape[2] + odd[0], h.shape[3] + odd[1]
        rows = [
            torch.stack([found[:, :, r, s, r : r + high, s : s + wide] for s in (0, 1)], -1).flatten(-2) for r in (0, 1)
        ]
        whole = torch.stack(rows, 3).flatten(2, 3) + self.bias[:, None, None]
        return whole[:, :, : 2 * h.shape[2] + odd[0], : 2 * h.shape[3] + odd[1]]


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
NETS = ("dense", "conv", "small", "conv-dense")
DEEP_NETS = ("resnet", "deep-conv")


def default_net(data_shape: Shape, choices: tuple[str, ...] = NETS) -> str:
    """The one of `choices` that suits images of this size."""
    return "small" if min(data_shape[1:]) < 16 else "conv" if "conv" in choices else "conv-dense"


def build_encoder(net: str, data_shape: Shape, features: int) -> nn.Sequential:
    """The encoder's network called `net`, whose last layer is linear with `features` outputs.

    Raises ValueError where the images are too small for the network's convolutions.
    """
    if net in DENSE_WIDTHS:
        return dense_encoder(data_shape, features, DENSE_WIDTHS[net])
    if net in DEEP_NETS:
        return deep_encoder(data_shape, features, residual=net == "resnet")
    channels, width = conv_sizes(data_shape)
    least = 2 ** len(channels)
    if min(data_shape[1:]) < least:
        size = "x".join(map(str, data_shape))
        raise ValueError(f"net={net!r} needs images of at least {least}x{least} pixels, not {size}: use net='dense'.")
    return conv_encoder(data_shape, features, channels, width)


def build_decoder(net: str, latent_dim: int, data_shape: Shape) -> nn.Sequential:
    """The decoder's network called `net`, for images that `build_encoder` takes too."""
    if net in DENSE_WIDTHS:
        return dense_decoder(latent_dim, data_shape, DENSE_WIDTHS[net])
    if net in DEEP_NETS:
        return deep_decoder(latent_dim, data_shape, residual=net == "resnet")
    if net == "conv-dense":
        return dense_decoder(latent_dim, data_shape, equal_width(latent_dim, data_shape))
    return conv_decoder(latent_dim, data_shape, *conv_sizes(data_shape))


def equal_width(latent_dim: int, data_shape: Shape) -> int:
    """The width w at which a dense decoder has about as many weights as `conv`'s: w² + (D + P + 2) w + P."""
    with torch.device("meta"):
        weights = count(conv_decoder(latent_dim, data_shape, *conv_sizes(data_shape)))
    pixels = prod(data_shape)
    half = (latent_dim + pixels + 2) / 2
    return max(1, round((half**2 + weights - pixels) ** 0.5 - half))


def shallow(data_shape: Shape, features: int, width: int = 10) -> nn.Sequential:
    """One hidden layer: how RME and ME weigh their components."""
    pixels = prod(data_shape)
    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, width), nn.ReLU(), nn.Linear(width, features))


def count(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


class Keep(dict):
    """What a module has laid out: its copies, and those that are pickled, begin with nothing."""

    def __deepcopy__(self, memo: dict) -> "Keep":
        return Keep()

    def __reduce__(self) -> tuple[type, tuple]:
        return Keep, ()


def laid_out(module: nn.Module, key: Hashable, make: Callable[[], Kept]) -> Kept:
    """`make()`, the module's weights in the layout that runs fastest, kept for as long as they stay as they are.

    Under gradients it is made anew at each call, so that they reach the weights themselves.
    """
    if torch.is_grad_enabled():
        return make()
    kept = module.__dict__.setdefault("_laid_out", Keep())
    state = [(weight.data_ptr(), weight._version) for weight in module.parameters()]
    if kept.get(key, (None,))[0] != state:
        kept[key] = state, make()
    return kept[key][1]


class SideBySide(nn.Module):
    """Networks of one architecture, run as one: images [B, C, H, W] to [M, B, F], with no loop over the M networks.

    Convolutions become one grouped convolution, linear layers one batched product. On a CPU the images go through in
    portions whose activations stay in its cache: without that, five grouped encoders take longer than one by one.
    """

    PORTION = 32

    def __init__(self, nets: list[nn.Sequential]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nets)

    def forward(self, x: Tensor, count: int | None = None) -> Tensor:
        """The outputs of the first `count` networks, of all by default."""
        layers = laid_out(self, count, lambda: [packed(same) for same in zip(*self.nets[:count], strict=True)])
        portions = x.split(self.PORTION) if x.device.type == "cpu" else [x]
        return torch.cat([self.through(layers, portion) for portion in portions], 1)

    @staticmethod
    def through(layers: list, x: Tensor) -> Tensor:
        h, networks = x, 1
        for layer, count, weight, bias in layers:
            if isinstance(layer, nn.Conv2d):
                h = conv2d(h, weight, bias, layer.stride, layer.padding, groups=networks)
                networks = count
            elif isinstance(layer, nn.Flatten):
                h = h.unflatten(1, (networks, -1)).movedim(1, 0).flatten(2)
            elif isinstance(layer, nn.Linear):
                h = torch.baddbmm(bias, h.expand(count, -1, -1), weight)
            else:
                h = layer(h)
        return h


def packed(together: tuple[nn.Module, ...]) -> tuple[nn.Module, int, Tensor | None, Tensor | None]:
    """The same layer of M networks: its kind, M, and the weights and biases as one."""
    layer, count = together[0], len(together)
    if isinstance(layer, nn.Conv2d):
        weight = torch.cat([each.weight for each in together]).contiguous(memory_format=torch.channels_last)
        return layer, count, weight, torch.cat([each.bias for each in together])
    if isinstance(layer, nn.Linear):
        weight = torch.stack([each.weight for each in together]).mT
        return layer, count, weight, torch.stack([each.bias for each in together])[:, None]
    return layer, count, None, None
