"""PixelVAE's decoder: p(x|z) = prod_i p(x_i | x_<i, z) over pixels in reading order (Gulrajani et al. 2017).

Masked layers as in PixelCNN++ (Salimans et al. 2017), without a blind spot: one stream sees the rows above, the other
the pixels to the left as well. Shifting the image first makes them strict; features of z are added unshifted, so that
each pixel sees those of its own place.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints
from torch.nn.functional import leaky_relu, pad

from vaecore.distributions import GreyBernoulli

SLOPE, DROPOUT = 0.01, 0.5
OnEvent = Callable[[dict], None] | None


class Above(nn.Conv2d):
    """2 x 3: this row and the one above, to both sides."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, (2, 3))

    def forward(self, h: Tensor) -> Tensor:
        return super().forward(pad(h, (1, 1, 1, 0)))


class Left(nn.Conv2d):
    """2 x 2: this place, the one to the left, and those two above."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, (2, 2))

    def forward(self, h: Tensor) -> Tensor:
        return super().forward(pad(h, (1, 0, 1, 0)))


def down(h: Tensor) -> Tensor:
    return pad(h[..., :-1, :], (0, 0, 1, 0))


def right(h: Tensor) -> Tensor:
    return pad(h[..., :-1], (1, 0))


class GatedResidual(nn.Module):
    """h + a sigmoid(b), with (a, b) two convolutions of h and of what a 1 x 1 convolution takes `beside` it."""

    def __init__(self, channels: int, convolution: type[nn.Conv2d], beside: bool) -> None:
        super().__init__()
        self.first, self.second = convolution(channels, channels), convolution(channels, 2 * channels)
        self.beside = nn.Conv2d(channels, channels, 1) if beside else None
        self.drop = nn.Dropout(DROPOUT)

    def forward(self, h: Tensor, beside: Tensor | None = None) -> Tensor:
        inner = self.first(leaky_relu(h, SLOPE))
        if self.beside is not None:
            inner = inner + self.beside(leaky_relu(beside, SLOPE))
        a, b = self.second(self.drop(leaky_relu(inner, SLOPE))).chunk(2, dim=1)
        return h + a * b.sigmoid()


class PixelCNN(nn.Module):
    """Logits [B, C, H, W] of images [B, C, H, W], each pixel's a function of those before it and of features of z.

    The channels of one pixel are independent given the pixels before.
    """

    def __init__(self, image_channels: int, features: int, layers: int = 3) -> None:
        super().__init__()
        channels = image_channels + features
        self.above, self.left_above = Above(image_channels, channels), Above(image_channels, channels)
        self.left = Left(image_channels, channels)
        self.see_above, self.see_left = (nn.Conv2d(features, channels, 1) for _ in range(2))
        self.rows = nn.ModuleList(GatedResidual(channels, Above, beside=False) for _ in range(layers))
        self.places = nn.ModuleList(GatedResidual(channels, Left, beside=True) for _ in range(layers))
        self.last = nn.Conv2d(channels, image_channels, 1)
        self.reach = 3 + 2 * layers  # how many rows above its own a pixel sees

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        above = down(self.above(x)) + self.see_above(features)
        place = down(self.left_above(x)) + right(self.left(x)) + self.see_left(features)
        for row, own in zip(self.rows, self.places, strict=True):
            above = row(above)
            place = own(place, above)
        return self.last(leaky_relu(place, SLOPE))


class Pixels(Distribution):
    """p(x|z) of binary images, batch_shape [B], event_shape [C, H, W], by a PixelCNN and features of z [B, F, H, W].

    Of grey x, `log_prob` takes the pixels as they are for what comes before, and scores each as `GreyBernoulli` does.
    """

    arg_constraints, support = {}, constraints.independent(constraints.unit_interval, 3)

    def __init__(self, net: PixelCNN, features: Tensor) -> None:
        self.net, self.features = net, features
        size = features.shape[-2:]
        super().__init__(features.shape[:1], torch.Size([net.last.out_channels, *size]), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """[*, B] nats for x [*, B, C, H, W], in one pass."""
        shape = torch.broadcast_shapes(value.shape, self.batch_shape + self.event_shape)
        x = value.expand(shape)
        return GreyBernoulli(logits=self.logits(x)).log_prob(x).sum((-3, -2, -1))

    def logits(self, x: Tensor) -> Tensor:
        """Each pixel's logit given those before it, [*, B, C, H, W]."""
        features = self.features.expand(*x.shape[:-3], *self.features.shape[1:])
        return self.net(x.flatten(0, -4), features.flatten(0, -4)).view(x.shape)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.draw(sample_shape)

    @torch.no_grad()
    def draw(self, sample_shape: Sequence[int] = (), on_event: OnEvent = None) -> Tensor:
        """Images [*sample_shape, B, C, H, W], pixel by pixel: H W passes over the rows that a pixel sees.

        `on_event` is called with {"event": "step", "step", "steps"} after each row.
        """
        x = self.features.new_zeros(torch.Size(sample_shape) + self.batch_shape + self.event_shape)
        features = self.features.expand(*x.shape[:-3], *self.features.shape[1:])
        flat, features = x.flatten(0, -4), features.flatten(0, -4)
        height, width = self.event_shape[-2:]
        for row in range(height):
            seen = slice(max(0, row - self.net.reach), row + 1)
            for column in range(width):
                logits = self.net(flat[:, :, seen], features[:, :, seen])[:, :, -1, column]
                flat[:, :, row, column] = logits.sigmoid().bernoulli()
            if on_event:
                on_event({"event": "step", "step": row + 1, "steps": height})
        return flat.view(x.shape)

    @property
    def mean(self) -> Tensor:
        """An estimate of E[x|z], which has no closed form: the means given the pixels before, in one fixed draw."""
        with torch.random.fork_rng(devices=[self.features.device] if self.features.is_cuda else []):
            torch.manual_seed(0)
            return self.logits(self.draw()).sigmoid()


class PixelDecoder(nn.Module):
    """z [B, D] to `Pixels`: a decoder network makes the features that the PixelCNN sees."""

    def __init__(self, net: nn.Module, image_channels: int, features: int) -> None:
        super().__init__()
        self.net, self.pixels = net, PixelCNN(image_channels, features)

    def forward(self, z: Tensor) -> Pixels:
        return Pixels(self.pixels, self.net(z))
