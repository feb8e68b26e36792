"""Parameter averaging: weights that follow those in training at a distance (Polyak & Juditsky 1992; MAE's code)."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """shadow <- shadow + (1 - r_t) (weights - shadow) at each step t, from the first weights on.

    r_t is `rate`, as in MAE's code: at 0.999 it lags by about 1,000 steps, so that after fewer the first weights are
    what is kept. `warmed`, it is min(rate, (1 + t) / (10 + t)): the lag is at most a tenth of the steps taken. Every
    parameter is averaged as it is, of a weight-normed layer gain and direction.
    """

    def __init__(self, module: nn.Module, rate: float, warmed: bool = False) -> None:
        self.module, self.rate, self.warmed = module, rate, warmed
        self.shadow = {name: weight.detach().clone() for name, weight in module.named_parameters()}

    @torch.no_grad()
    def follow(self, step: int = 0) -> None:
        """After step number `step` of the optimiser, counted from 0."""
        rate = min(self.rate, (1 + step) / (10 + step)) if self.warmed else self.rate
        torch._foreach_lerp_(list(self.shadow.values()), list(self.module.parameters()), 1 - rate)

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
