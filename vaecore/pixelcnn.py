"""PixelVAE's decoder: p(x|z) = prod_i p(x_i | x_<i, z) over pixels in reading order (Gulrajani et al. 2017).

Masked layers as in PixelCNN++ (Salimans et al. 2017), without a blind spot: one stream sees the rows above, the other
the pixels to the left as well. Shifting the image first makes them strict; features of z are added unshifted, so that
each pixel sees those of its own place.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints
from torch.nn.functional import leaky_relu, linear, pad

from vaecore.distributions import GreyBernoulli

SLOPE, DROPOUT = 0.01, 0.5
OnEvent = Callable[[dict], None] | None
Layer = Callable[[Tensor], Tensor]


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
        return self.through(self.first, self.second, h, None if beside is None else self.seen(beside))

    def through(self, first: Layer, second: Layer, h: Tensor, seen: Tensor | None) -> Tensor:
        """The same for h [B, C, ...], by other ways to compute the two convolutions; what is `seen` beside is added."""
        inner = first(leaky_relu(h, SLOPE))
        inner = inner if seen is None else inner + seen
        a, b = second(self.drop(leaky_relu(inner, SLOPE))).chunk(2, dim=1)
        return h + a * b.sigmoid()

    def seen(self, beside: Tensor) -> Tensor:
        return self.beside(leaky_relu(beside, SLOPE))


class PixelCNN(nn.Module):
    """Logits [B, C, H, W] of images [B, C, H, W], each pixel's a function of those before it and of features of z.

    The channels of one pixel are independent given the pixels before.
    """

    def __init__(self, image_channels: int, features: int, layers: int = 3) -> None:
        super().__init__()
        self.image_channels, channels = image_channels, image_channels + features
        self.above, self.left_above = Above(image_channels, channels), Above(image_channels, channels)
        self.left = Left(image_channels, channels)
        self.see_above, self.see_left = (nn.Conv2d(features, channels, 1) for _ in range(2))
        self.rows = nn.ModuleList(GatedResidual(channels, Above, beside=False) for _ in range(layers))
        self.places = nn.ModuleList(GatedResidual(channels, Left, beside=True) for _ in range(layers))
        self.last = nn.Conv2d(channels, image_channels, 1)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        above = down(self.above(x)) + self.see_above(features)
        place = down(self.left_above(x)) + right(self.left(x)) + self.see_left(features)
        for row, own in zip(self.rows, self.places, strict=True):
            above = row(above)
            place = own(place, above)
        return self.last(leaky_relu(place, SLOPE))

    def reading(self, features: Tensor) -> "Reading":
        return Reading(self, features)


class Rows:
    """An `Above` that is given one row of its input after another, [B, C, W], and remembers the row before."""

    def __init__(self, convolution: Above, like: Tensor) -> None:
        self.convolution = convolution
        self.before = like.new_zeros(len(like), convolution.in_channels, like.shape[-1] + 2)

    def __call__(self, h: Tensor) -> Tensor:
        before, self.before = self.before, pad(h, (1, 1))
        return nn.Conv2d.forward(self.convolution, torch.stack([before, self.before], 2))[:, :, 0]


class Places:
    """A `Left` that is given one place of its input after another, [B, C], and remembers two rows of them."""

    def __init__(self, convolution: Left, like: Tensor) -> None:
        self.weight, self.bias = convolution.weight.flatten(1), convolution.bias
        self.rows = like.new_zeros(len(like), convolution.in_channels, 2, like.shape[-1] + 1)
        self.column = 0

    def begin(self) -> None:
        """A new row."""
        self.rows[:, :, 0], self.column = self.rows[:, :, 1], 0

    def __call__(self, h: Tensor) -> Tensor:
        self.column += 1
        self.rows[:, :, 1, self.column] = h
        return linear(self.rows[..., self.column - 1 : self.column + 1].flatten(1), self.weight, self.bias)


class Reading:
    """A PixelCNN that is shown its images pixel after pixel and tells the next one's logit.

    It keeps what later pixels need of those before, so that all of them together take the multiplications of one pass.
    """

    def __init__(self, net: PixelCNN, features: Tensor) -> None:
        self.net = net
        self.above_features, self.place_features = net.see_above(features), net.see_left(features)
        self.above, self.left_above = Rows(net.above, features), Rows(net.left_above, features)
        self.left = Places(net.left, features)
        self.row_layers = [(Rows(part.first, features), Rows(part.second, features)) for part in net.rows]
        self.place_layers = [(Places(part.first, features), Places(part.second, features)) for part in net.places]

    def begin(self, row: int, before: Tensor) -> None:
        """A row begins; `before` [B, C, W] are the pixels of the one above, which the first row has not."""
        above, self.place = self.above_features[:, :, row], self.place_features[:, :, row].clone()
        if row:
            above = above + self.above(before)
            self.place += self.left_above(before)
        self.seen = []
        for part, layers, own in zip(self.net.rows, self.row_layers, self.net.places, strict=True):
            above = part.through(*layers, above, None)
            self.seen.append(own.seen(above[:, :, None])[:, :, 0])
        for places in (self.left, *(each for pair in self.place_layers for each in pair)):
            places.begin()

    def logits(self, column: int) -> Tensor:
        """[B, C], for the pixel of that column, after all to its left were shown."""
        place = self.place[:, :, column]
        for part, layers, seen in zip(self.net.places, self.place_layers, self.seen, strict=True):
            place = part.through(*layers, place, seen[:, :, column])
        return linear(leaky_relu(place, SLOPE), self.net.last.weight.flatten(1), self.net.last.bias)

    def show(self, pixel: Tensor, column: int) -> None:
        """The pixel [B, C] of that column."""
        left = self.left(pixel)
        if column + 1 < self.place.shape[-1]:
            self.place[:, :, column + 1] += left


class Pixels(Distribution):
    """p(x|z) of binary images, batch_shape [B], event_shape [C, H, W], by a PixelCNN and features of z [B, F, H, W].

    Any network of (x, features) that knows its `image_channels` and gives a `reading(features)` will do.

    Of grey x, `log_prob` takes the pixels as they are for what comes before, and scores each as `GreyBernoulli` does.
    """

    arg_constraints, support = {}, constraints.independent(constraints.unit_interval, 3)

    def __init__(self, net: nn.Module, features: Tensor) -> None:
        self.net, self.features = net, features
        size = features.shape[-2:]
        super().__init__(features.shape[:1], torch.Size([net.image_channels, *size]), validate_args=False)

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
    def draw(
        self,
        sample_shape: Sequence[int] = (),
        on_event: OnEvent = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Images [*sample_shape, B, C, H, W], pixel by pixel, in about the multiplications of one pass.

        `on_event` is called with {"event": "step", "step", "steps"} after each row. Without a `generator` torch's own
        draws.
        """
        x = self.features.new_zeros(torch.Size(sample_shape) + self.batch_shape + self.event_shape)
        flat = x.flatten(0, -4)
        reading = self.net.reading(self.features.expand(*x.shape[:-3], *self.features.shape[1:]).flatten(0, -4))
        height, width = self.event_shape[-2:]
        for row in range(height):
            reading.begin(row, flat[:, :, row - 1])
            for column in range(width):
                pixel = reading.logits(column).sigmoid().bernoulli(generator=generator)
                reading.show(pixel, column)
                flat[:, :, row, column] = pixel
            if on_event:
                on_event({"event": "step", "step": row + 1, "steps": height})
        return flat.view(x.shape)

    @property
    def mean(self) -> Tensor:
        return self.estimate()

    def estimate(self, on_event: OnEvent = None) -> Tensor:
        """An estimate of E[x|z], which has no closed form: the means given the pixels before, in one fixed draw."""
        generator = torch.Generator(self.features.device).manual_seed(0)
        return self.logits(self.draw(on_event=on_event, generator=generator)).sigmoid()


class PixelDecoder(nn.Module):
    """z [B, D] to `Pixels`: a decoder network makes the features that the PixelCNN `pixels` sees."""

    def __init__(self, net: nn.Module, pixels: nn.Module) -> None:
        super().__init__()
        self.net, self.pixels = net, pixels

    def forward(self, z: Tensor) -> Pixels:
        return Pixels(self.pixels, self.net(z))
