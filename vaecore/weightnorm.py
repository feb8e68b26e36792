"""Weight normalisation: w = exp(g) v / |v| for each output, begun so that the outputs of real data have mean 0 and one
standard deviation (Salimans & Kingma 2016).

A masked layer normalises what its mask leaves of v. The gain is kept as its logarithm g, as MAE's released code does in
its prior, and here everywhere: a gain cannot change its sign.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
TINY = 1e-12


class Normalised(nn.Module):
    """The weight of a layer by its log gain and its direction v, as torch's parametrisations are."""

    def __init__(self, axis: int, mask: Tensor | None, begins_at: float) -> None:
        super().__init__()
        self.axis, self.begins_at = axis, begins_at
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, log_gain: Tensor, v: Tensor) -> Tensor:
        v = v if self.mask is None else v * self.mask
        return v * (log_gain.exp() / self.norm(v).clamp_min(TINY))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        seen = weight if self.mask is None else weight * self.mask
        return self.norm(seen).clamp_min(TINY).log(), weight

    def norm(self, v: Tensor) -> Tensor:
        """|v| for each output, 0 where the mask leaves nothing; its axes are kept."""
        return torch.linalg.vector_norm(v, dim=[k for k in range(v.ndim) if k != self.axis], keepdim=True)


def normed(layer: Layer, mask: Tensor | None = None, begins_at: float = 1.0) -> Layer:
    """The layer itself, weight-normed; `mask` broadcasts to its weight.

    `begins_at` is the standard deviation at which `initialise` lets its outputs begin; until then it scales them.
    """
    with torch.no_grad():
        layer.weight.mul_(begins_at)
    axis = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
    mask = None if mask is None else mask.expand_as(layer.weight).clone()
    parametrize.register_parametrization(layer, "weight", Normalised(axis, mask, begins_at))
    return layer


def find_normed(module: nn.Module) -> list[nn.Module]:
    return [part for part in module.modules() if parametrize.is_parametrized(part, "weight")]


@contextmanager
def fitted(module: nn.Module) -> Iterator[None]:
    """Within it, what a weight-normed layer of `module` is shown sets its gains and its bias before it answers."""
    hooks = [layer.register_forward_pre_hook(fit_layer) for layer in find_normed(module)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def fit_layer(layer: nn.Module, shown: tuple[Tensor]) -> None:
    """Outputs that do not move keep their gain."""
    made = layer.forward(*shown)
    axis = 1 if made.ndim == 4 else made.ndim - 1
    std, mean = torch.std_mean(made.movedim(axis, 0).flatten(1), 1, correction=0)
    weight = layer.parametrizations.weight
    factor = torch.where(std > 1e-6, weight[0].begins_at / std, torch.ones_like(std))
    weight.original0.add_(factor.log().view_as(weight.original0))
    layer.bias.copy_((layer.bias - mean) * factor)


IMAGES = 500  # as the released code takes


@torch.no_grad()
def initialise(vae: nn.Module, images: Tensor) -> None:
    """Let the weight-normed layers of a fresh VAE begin by `IMAGES` of its training images, [N, C, H, W], binarised.

    One ELBO of theirs shows each layer what it will see: encoder, prior and decoder in turn. Other VAEs stay as they
    are, and nothing is drawn.
    """
    if not find_normed(vae):
        return
    chosen = images[torch.randperm(len(images))[:IMAGES]]
    with fitted(vae):
        vae.elbo(chosen.bernoulli())
