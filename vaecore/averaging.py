"""Parameter averaging: weights that follow those in training at a distance (Polyak & Juditsky 1992; MAE's code)."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """shadow <- shadow + (1 - rate) (weights - shadow) at each step, from the first weights on, without correction.

    At 0.999 it lags by about 1,000 steps. Every parameter is averaged as it is, of a weight-normed layer gain and
    direction.
    """

    def __init__(self, module: nn.Module, rate: float) -> None:
        self.module, self.rate = module, rate
        self.shadow = {name: weight.detach().clone() for name, weight in module.named_parameters()}

    @torch.no_grad()
    def follow(self) -> None:
        """After a step of the optimiser."""
        torch._foreach_lerp_(list(self.shadow.values()), list(self.module.parameters()), 1 - self.rate)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within it the module has the averaged weights."""
        own = {name: weight.detach().clone() for name, weight in self.module.named_parameters()}
        self.put(self.shadow)
        try:
            yield
        finally:
            self.put(own)

    @torch.no_grad()
    def put(self, weights: dict[str, Tensor]) -> None:
        for name, weight in self.module.named_parameters():
            weight.copy_(weights[name])

    def take(self, shadow: dict[str, Tensor]) -> None:
        """Go on from the shadow of an earlier run."""
        for name, weight in self.shadow.items():
            weight.copy_(shadow[name])
