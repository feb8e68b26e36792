"""The PixelCNN of MAE and of its lossy VAE: masked convolutions of 7 x 7 to 3 x 3 (Ma et al. 2019, as released).

A pixel sees those before it in reading order, though not all: in the r-th row above it, only so many to its right as
r kernels reach. Maps of z are unmasked in the first layer.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, elu, linear

from vaecore.weightnorm import normed

Layer = Callable[[Tensor], Tensor]
KERNELS = (7, 5, 3)  # a third of the blocks each


class Masked(nn.Conv2d):
    """A convolution whose rows below the middle are masked: it does not multiply by them."""

    def forward(self, h: Tensor) -> Tensor:
        weight = self.weight[:, :, : self.padding[0] + 1]
        return conv2d(h, weight, self.bias, padding=self.padding)[:, :, : h.shape[2]]


def masked(units: int, kernel: int) -> Masked:
    """It sees the rows above and this one up to its own place."""
    mask = torch.ones(1, 1, kernel, kernel)
    mask[:, :, kernel // 2, kernel // 2 + 1 :] = 0
    mask[:, :, kernel // 2 + 1 :] = 0
    return normed(Masked(units, units, kernel, padding=kernel // 2), mask)


def masked_first(image_channels: int, maps: int, units: int, kernel: int = 7) -> nn.Conv2d:
    """It sees what comes before its own place of the image, and all maps of z around."""
    mask = torch.ones(1, image_channels + maps, kernel, kernel)
    mask[:, :image_channels, kernel // 2, kernel // 2 :] = 0
    mask[:, :image_channels, kernel // 2 + 1 :] = 0
    return normed(nn.Conv2d(image_channels + maps, units, kernel, padding=kernel // 2), mask)


class MaskedBlock(nn.Module):
    """elu(h + widen(elu(see(elu(narrow(h)))))), only `see` looks further than its own place."""

    def __init__(self, units: int, kernel: int) -> None:
        super().__init__()
        half = max(1, units // 2)
        self.narrow, self.see = normed(nn.Conv2d(units, half, 1)), masked(half, kernel)
        self.widen = normed(nn.Conv2d(half, units, 1))

    def forward(self, h: Tensor) -> Tensor:
        return self.through(h, self.narrow, self.see, self.widen)

    def through(self, h: Tensor, narrow: Layer, see: Layer, widen: Layer) -> Tensor:
        """The same for h [B, C, ...], by other ways to compute the three convolutions."""
        return elu(h + widen(elu(see(elu(narrow(h))))))


def through(h: Tensor, blocks: Sequence[Layer], skips: Sequence[Layer]) -> Tensor:
    """The blocks in turn; each skip adds what it makes of a layer's output to that of the third layer after it."""
    states = [h]
    for block in (*blocks, None):
        if len(states) > 2:
            h = h + skips[len(states) - 3](states[-3])
        if block is not None:
            states.append(h := block(h))
    return h


class LossyPixelCNN(nn.Module):
    """Logits [B, C, H, W] of images [B, C, H, W], by those before each pixel and by maps of z [B, maps, H, W].

    The channels of one pixel are independent given the pixels before.
    """

    def __init__(self, image_channels: int, maps: int, blocks: int, units: int) -> None:
        super().__init__()
        self.image_channels = image_channels
        kernels = [KERNELS[3 * k // blocks] for k in range(blocks)]
        self.first = masked_first(image_channels, maps, units)
        self.blocks = nn.ModuleList(MaskedBlock(units, kernel) for kernel in kernels)
        self.skips = nn.ModuleList(MaskedBlock(units, kernel) for kernel in kernels[:-1])
        self.mix, self.last = normed(nn.Conv2d(units, units, 1)), normed(nn.Conv2d(units, image_channels, 1))
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        h = elu(self.first(torch.cat([x, features], 1)))
        return self.last(elu(self.mix(through(h, self.blocks, self.skips))))

    def reading(self, features: Tensor) -> "MaskedReading":
        return MaskedReading(self, features)


def at_a_place(layer: nn.Conv2d) -> Layer:
    """A 1 x 1 convolution of one place, [B, C]."""
    weight, bias = layer.weight.flatten(1), layer.bias
    return lambda h: linear(h, weight, bias)


class Seen:
    """A masked convolution that is given one place of its input after another, [B, C], and remembers them all."""

    def __init__(self, layer: nn.Conv2d, features: Tensor, channels: int | None = None) -> None:
        self.reach = layer.kernel_size[0] // 2
        weight = layer.weight[:, :channels, : self.reach + 1]  # the rows below are masked
        self.weight, self.bias = weight.flatten(1), layer.bias
        height, width = (side + 2 * self.reach for side in features.shape[-2:])
        self.before = features.new_zeros(len(features), weight.shape[1], height, width)
        self.row = self.column = 0

    def show(self, h: Tensor) -> None:
        self.before[:, :, self.row + self.reach, self.column + self.reach] = h

    def look(self) -> Tensor:
        rows, columns = self.row + self.reach + 1, self.column + 2 * self.reach + 1
        return linear(self.before[:, :, self.row : rows, self.column : columns].flatten(1), self.weight, self.bias)

    def __call__(self, h: Tensor) -> Tensor:
        self.show(h)
        return self.look()


class MaskedReading:
    """A `LossyPixelCNN` that is shown its images pixel after pixel and tells the next one's logit."""

    def __init__(self, net: LossyPixelCNN, features: Tensor) -> None:
        self.net, colours = net, net.image_channels
        maps = net.first.weight[:, colours:]
        self.of_z = conv2d(features, maps, padding=net.first.padding)
        self.first = Seen(net.first, features, colours)
        self.seen = [self.first]
        self.blocks, self.skips = ([self.placed(block, features) for block in each] for each in (net.blocks, net.skips))
        self.mix, self.last = at_a_place(net.mix), at_a_place(net.last)

    def placed(self, block: MaskedBlock, features: Tensor) -> Layer:
        see = Seen(block.see, features)
        self.seen.append(see)
        narrow, widen = at_a_place(block.narrow), at_a_place(block.widen)
        return lambda h: block.through(h, narrow, see, widen)

    def begin(self, row: int, before: Tensor) -> None:  # noqa: ARG002  (what is above was shown)
        """A row begins."""
        self.row = row

    def logits(self, column: int) -> Tensor:
        """[B, C], for the pixel of that column, after all before it were shown."""
        for seen in self.seen:
            seen.row, seen.column = self.row, column
        h = elu(self.first.look() + self.of_z[:, :, self.row, column])
        return self.last(elu(self.mix(through(h, self.blocks, self.skips))))

    def show(self, pixel: Tensor, column: int) -> None:  # noqa: ARG002  (it was asked for last)
        """The pixel [B, C] of that column."""
        self.first.show(pixel)
