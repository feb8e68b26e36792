"""A decoder as plain layers and numbers, which app/components/decoder.js runs in a browser."""

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from app import figures

if TYPE_CHECKING:
    from torch import Tensor, nn

    from vaecore import VAE

# What one slow core decodes within a frame of 20 ms, and what a page may weigh.
MOST_PRODUCTS, MOST_WEIGHTS = 10_000_000, 2_000_000


class Unfit(ValueError):
    """Why a decoder does not run in the browser, as the end of a sentence that begins with "because"."""


class Walk:
    """The layers met so far as {kind, sizes}, their weights in the order in which they are read, and their products."""

    def __init__(self, latent: int) -> None:
        self.shape: tuple[int, ...] = (latent,)
        self.weights: list[np.ndarray] = []
        self.products = 0

    def layers(self, module: "nn.Module") -> list[dict]:
        """The layers of a module whose input has the shape that the walk has reached, [F] or [C, H, W]."""
        from torch import nn

        from vaecore.resnets import Residual

        if type(module) is nn.Sequential:
            return [layer for part in module for layer in self.layers(part)]
        if type(module) is Residual:
            start = self.shape
            body = self.layers(module.body)
            after, self.shape = self.shape, start
            shortcut = self.layers(module.shortcut)
            if self.shape != after:
                raise Unfit("its layers do not fit together")
            return [{"kind": "sum", "branches": [body, shortcut]}]
        return self.single(module)

    def single(self, module: "nn.Module") -> list[dict]:
        from torch import nn

        if isinstance(module, nn.Linear):
            return [self.linear(module)]
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            return [self.convolution(module)]
        if type(module) is nn.Unflatten and len(self.shape) == 1 and len(module.unflattened_size) == 3:
            self.shape = tuple(module.unflattened_size)
            return [{"kind": "pixels", "channels": self.shape[0]}]
        if type(module) is nn.Flatten:
            channels, self.shape = self.shape[0], (prod(self.shape),)
            return [{"kind": "flat", "channels": channels}]
        if type(module) in (nn.Identity, nn.Dropout):
            return []
        return [activation(module)]

    def linear(self, module: "nn.Linear") -> dict:
        if self.shape != (module.in_features,):
            raise Unfit("its layers do not fit together")
        self.take(module.weight, module.bias, module.out_features)
        self.products += module.in_features * module.out_features
        self.shape = (module.out_features,)
        return {"kind": "linear", "in": module.in_features, "out": module.out_features}

    def convolution(self, module: "nn.Conv2d | nn.ConvTranspose2d") -> dict:
        from torch import nn

        plain = module.groups == 1 and set(module.dilation) == {1} and module.padding_mode == "zeros"
        if not plain or isinstance(module.padding, str) or self.shape[:1] != (module.in_channels,):
            raise Unfit("it has a convolution of a kind that the browser's decoder does not know")
        before = self.shape[1:]
        up = isinstance(module, nn.ConvTranspose2d)
        sizes = zip(before, module.kernel_size, module.stride, module.padding, module.output_padding, strict=True)
        after = tuple(
            (n - 1) * step + k - 2 * edge + odd if up else (n + 2 * edge - k) // step + 1
            for n, k, step, edge, odd in sizes
        )
        # Taps first, then output channels, then input channels.
        self.take(
            module.weight.permute(2, 3, 1, 0) if up else module.weight.permute(2, 3, 0, 1),
            module.bias,
            module.out_channels,
        )
        small = before if up else after
        self.products += prod(small) * prod(module.weight.shape)
        self.shape = (module.out_channels, *after)
        return {
            "kind": "transposed" if up else "convolution",
            "in": module.in_channels,
            "out": module.out_channels,
            "from": list(before),
            "to": list(after),
            "kernel": list(module.kernel_size),
            "stride": list(module.stride),
            "padding": list(module.padding),
        }

    def take(self, weight: "Tensor", bias: "Tensor | None", count: int) -> None:
        self.weights.append(weight.detach().float().numpy().ravel())
        self.weights.append(np.zeros(count, np.float32) if bias is None else bias.detach().float().numpy())


def activation(module: "nn.Module") -> dict:
    from torch import nn

    if type(module) is nn.LeakyReLU:
        return {"kind": "leaky", "slope": module.negative_slope}
    if type(module) is nn.ELU:
        return {"kind": "elu", "slope": module.alpha}
    names = {nn.ReLU: "relu", nn.Sigmoid: "sigmoid", nn.Tanh: "tanh", nn.SiLU: "silu"}
    if type(module) is nn.Softplus and (module.beta, module.threshold) == (1, 20):
        return {"kind": "softplus"}
    if type(module) not in names:
        raise Unfit(f"the browser's decoder does not know its layer {type(module).__name__}")
    return {"kind": names[type(module)]}


def description(vae: "VAE", latent: int, shape: tuple[int, ...]) -> dict:
    """The decoder of `vae` for z [latent] and images `shape` = (C, H, W), as decoder.js reads it.

    {shape, likelihood: {kind, scale}, layers: [{kind, ...}], weights: base64 of float32, products}. The output is the
    mean of a Gaussian likelihood, the logits of a Bernoulli one. Raises Unfit where it must stay on the server.
    """
    from vaecore.decoders import BernoulliDecoder, GaussianDecoder

    decoder = vae.decoder
    if type(decoder) not in (BernoulliDecoder, GaussianDecoder):
        raise Unfit("its likelihood is more than one network and one distribution for each pixel")
    walk = Walk(latent)
    layers = walk.layers(decoder.net)
    if walk.shape != tuple(shape):
        raise Unfit("its layers do not end in an image")
    weights = np.concatenate(walk.weights)
    if walk.products > MOST_PRODUCTS or len(weights) > MOST_WEIGHTS:
        raise Unfit(f"an image takes it {walk.products / 1e6:,.1f} million multiplications, too many for each move")
    gaussian = type(decoder) is GaussianDecoder
    likelihood = (
        {"kind": "gaussian", "scale": float(decoder.log_scale.detach().exp())} if gaussian else {"kind": "bernoulli"}
    )
    layers.append({"kind": "flat", "channels": shape[0]})
    packed = figures.packed(weights, "f4")
    return {
        "shape": list(shape),
        "likelihood": likelihood,
        "layers": layers,
        "weights": packed,
        "products": walk.products,
    }
