"""The networks, with no probability in them: images [B, C, H, W] to vectors [B, F] and back.

`dense` is the 500-500 network of yookoon/VLAE, which the RME and GPVAE papers built on, and `small` the same at 128-128
for 8 x 8 images; `conv` is the pair of GPVAE's Tables 6 to 8 (28 x 28, 32 x 32 and 64 x 64), carried over to any size
from 8 x 8; `conv-dense` has that encoder and a dense decoder of as many weights, as in the papers' tables of the
Laplace VAE. `leaky-dense` (500-500), `deep-conv` and `resnet` are DenseVAE's, ConvVAE's and ResnetVAE's of the learned
prior's paper (in `resnets` but for the first).
"""

from collections.abc import Callable, Hashable, Iterable
from functools import partial
from itertools import pairwise
from math import prod
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear, pad

from vaecore.resnets import SLOPE, Shape, deep_decoder, deep_encoder

Kept = TypeVar("Kept")


Activation = Callable[[], nn.Module]


def dense_encoder(data_shape: Shape, features: int, width: int, activation: Activation = nn.ReLU) -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(prod(data_shape), width),
        activation(),
        nn.Linear(width, width),
        activation(),
        nn.Linear(width, features),
    )


def dense_decoder(latent_dim: int, data_shape: Shape, width: int, activation: Activation = nn.ReLU) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(latent_dim, width),
        activation(),
        nn.Linear(width, width),
        activation(),
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


DENSE = {"dense": (500, nn.ReLU), "small": (128, nn.ReLU), "leaky-dense": (500, partial(nn.LeakyReLU, SLOPE))}
NETS = ("dense", "conv", "small", "conv-dense")
DEEP_NETS = ("resnet", "deep-conv")
PRIOR_NETS = ("leaky-dense", *DEEP_NETS)  # of the learned prior's paper


def default_net(data_shape: Shape, choices: tuple[str, ...] = NETS) -> str:
    """The one of `choices` that suits images of this size."""
    return "small" if min(data_shape[1:]) < 16 else "conv" if "conv" in choices else "conv-dense"


def build_encoder(net: str, data_shape: Shape, features: int) -> nn.Sequential:
    """The encoder's network called `net`, whose last layer is linear with `features` outputs.

    Raises ValueError where the images are too small for the network's convolutions.
    """
    if net in DENSE:
        return dense_encoder(data_shape, features, *DENSE[net])
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
    if net in DENSE:
        return dense_decoder(latent_dim, data_shape, *DENSE[net])
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

    Under gradients it is made anew at each call, so that they reach the weights themselves, and in training, since a
    fused optimiser changes weights without a new version of theirs. The weights are listed once: to walk through fifty
    of them would take as long as an encoder. They may change, but not for other tensors.
    """
    if torch.is_grad_enabled() or module.training:
        module.__dict__.pop("_laid_out", None)
        return make()
    kept = module.__dict__.setdefault("_laid_out", Keep())
    if key not in kept:
        kept[key] = list(module.parameters()), None, None
    weights, before, made = kept[key]
    state = [(weight.data_ptr(), weight._version) for weight in weights]
    if state != before:
        made = make()
        kept[key] = weights, state, made
    return made


class SideBySide(nn.Module):
    """Networks of one architecture, run as one: images [B, C, H, W] to [M, B, F], with no loop over the M networks."""

    def __init__(self, nets: list[nn.Sequential]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nets)

    def forward(self, x: Tensor, count: int | None = None) -> Tensor:
        """The outputs of the first `count` networks, of all by default."""
        pack = block_diagonal if x.is_cuda and not torch.is_grad_enabled() else packed
        wide = through(laid_out(self, (count, pack), lambda: pack(self.nets[:count])), x)
        return wide.unflatten(1, (len(self.nets[:count]), -1)).movedim(1, 0)


Step = Callable[[Tensor], Tensor]


def through(steps: list[Step], h: Tensor) -> Tensor:
    for step in steps:
        h = step(h)
    return h


PORTION = 80  # images times networks


def in_portions(steps: list[Step], groups: int, x: Tensor) -> Tensor:
    """The same for a few images at a time, whose activations stay in a CPU's cache: so grouped convolutions take less
    than half the time."""
    return torch.cat([through(steps, portion) for portion in x.split(PORTION // groups)])


def packed(networks: Iterable[nn.Sequential]) -> list[Step]:
    """M networks of one architecture as one that gives [B, M F]: layers side by side, each with the activation that
    follows it. Convolutions become one grouped convolution, linear layers one batched product."""
    layers, steps, groups = list(zip(*networks, strict=True)), [], 1  # at first they all look at the same images
    for together, following in pairwise([*layers, (None,)]):
        layer = together[0]
        activation = following[0] if isinstance(following[0], ACTIVATIONS) else None
        if isinstance(layer, nn.Flatten):
            steps.append(layer)
            if groups > 1 and layers[0][0].weight.device.type == "cpu":
                steps = [partial(in_portions, steps, groups)]
        elif isinstance(layer, nn.Conv2d | nn.Linear):
            make = conv_step if isinstance(layer, nn.Conv2d) else linears_step
            steps.append(make(together, groups, activation))
            groups = len(together)
    return steps


ACTIVATIONS = (nn.ReLU, nn.LeakyReLU)


def block_diagonal(networks: Iterable[nn.Sequential]) -> list[Step]:
    """M networks of one architecture as one that is as wide as all, whose weights between two of them are 0.

    A GPU launches that as fast as a single one of them, and computes the zeros in less time than a grouped convolution
    or M small products take: measured on an H100, 0.18 ms for five encoders' convolutions, grouped 0.54.
    """
    steps, shared = [], True  # at first they all look at the same images
    for together in zip(*networks, strict=True):
        layer = together[0]
        if not hasattr(layer, "weight"):
            steps.append(layer)
            continue
        weights = [each.weight for each in together]
        weight = torch.cat(weights) if shared else blocks(weights)
        bias, shared = torch.cat([each.bias for each in together]), False
        if isinstance(layer, nn.Conv2d):
            weight = weight.contiguous(memory_format=torch.channels_last)
            steps.append(partial(conv2d, weight=weight, bias=bias, **places(layer)))
        else:
            steps.append(partial(linear, weight=weight, bias=bias))
    return steps


def blocks(weights: list[Tensor]) -> Tensor:
    """Weights [G, F, ...] of M layers as those of one layer, [M G, M F, ...]."""
    count, (rows, columns) = len(weights), weights[0].shape[:2]
    whole = weights[0].new_zeros(count * rows, count * columns, *weights[0].shape[2:])
    for m, weight in enumerate(weights):
        whole[m * rows : (m + 1) * rows, m * columns : (m + 1) * columns] = weight
    return whole


def conv_step(together: tuple[nn.Conv2d, ...], groups: int, activation: nn.Module | None) -> Step:
    """The same convolution of M networks as one, of an input with the channels of one or of all."""
    conv = together[0]
    weight = torch.cat([each.weight for each in together]).contiguous(memory_format=torch.channels_last)
    bias = torch.cat([each.bias for each in together])
    if not onednn_takes(weight):
        return after(partial(conv2d, weight=weight, bias=bias, **places(conv), groups=groups), activation)
    return resting_conv(weight, bias, activation, groups=groups, **places(conv))


def places(conv: nn.Conv2d) -> dict:
    return {"stride": conv.stride, "padding": conv.padding, "dilation": conv.dilation}


def linears_step(together: tuple[nn.Linear, ...], groups: int, activation: nn.Module | None) -> Step:
    """The same linear layer of M networks as one: [B, F], or [B, M F], to [B, M G]."""
    weights, biases = [each.weight for each in together], [each.bias for each in together]
    weight, bias = torch.cat(weights), torch.cat(biases)
    if groups == 1:
        return linear_step(weight, bias, activation)
    if onednn_takes(weight):
        # A grouped convolution of 1 x 1 pixels takes a third of the time of a batched product of so few rows.
        step = resting_conv(weight[..., None, None], bias, activation, groups=groups)
        return lambda h: step(h.mT[None, ..., None])[0, ..., 0].mT
    stacked, shift = torch.stack(weights).mT, torch.stack(biases)[:, None]

    def batched(h: Tensor) -> Tensor:
        h = h.unflatten(1, (groups, -1)).movedim(1, 0)
        return torch.baddbmm(shift, h, stacked).movedim(0, 1).flatten(1)

    return after(batched, activation)


def linear_step(weight: Tensor, bias: Tensor | None = None, activation: nn.Module | None = None) -> Step:
    """x W^T + b and the activation: in one, with W in the order in which oneDNN reads it, where `onednn_takes` it."""
    if not onednn_takes(weight):
        return after(partial(linear, weight=weight, bias=bias), activation)
    ordered, at = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous()), fused(activation)
    return lambda x: torch.ops.mkldnn._linear_pointwise(x.contiguous(), ordered, bias, *at)


def resting_conv(
    weight: Tensor,
    bias: Tensor,
    activation: nn.Module | None,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> Step:
    """The same for a convolution. The order depends on the input's size too, so it is found at the first call."""
    at = [list(padding), list(stride), list(dilation), groups]
    activated, ordered = fused(activation), []

    def step(h: Tensor) -> Tensor:
        if not ordered:
            ordered.append(torch.ops.mkldnn._reorder_convolution_weight(weight, *at, list(h.shape)))
        return torch.ops.mkldnn._convolution_pointwise(h, ordered[0], bias, *at, *activated)

    return step


def product(a: Tensor, b: Tensor) -> Tensor:
    """a b without gradients, by oneDNN where it takes them: on some CPUs it is twice as fast as torch's own library."""
    return torch.ops.mkldnn._linear_pointwise(a, b.mT, None, *fused(None)) if onednn_takes(a) else a @ b


def onednn_takes(x: Tensor) -> bool:
    """Whether oneDNN's layers with a fused activation, which have no gradients, can take x."""
    on_cpu = x.device.type == "cpu" and x.dtype == torch.float32
    return on_cpu and torch.backends.mkldnn.is_available() and not torch.is_grad_enabled()


def fused(activation: nn.Module | None) -> tuple[str, list[float], str]:
    """oneDNN's name and numbers for an activation."""
    if activation is None:
        return "none", [], ""
    slope = getattr(activation, "negative_slope", None)
    return ("relu", [], "") if slope is None else ("leaky_relu", [slope], "")


def after(layer: Step, activation: nn.Module | None) -> Step:
    return layer if activation is None else lambda x: activation(layer(x))
