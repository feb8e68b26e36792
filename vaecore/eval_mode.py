"""Evaluation mode: what is asked of a VAE in training neither begins its actnorm nor drops anything out, and it goes on
in training afterwards. And it has as many threads as its size is worth."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from torch import nn

from vaecore.threads import threads_for

PORTION = 1024  # images or points that a call of the networks gets, about

P, R, M = ParamSpec("P"), TypeVar("R"), TypeVar("M", bound=nn.Module)


@contextmanager
def eval_mode(module: nn.Module) -> Iterator[None]:
    """Within it every part of `module` is in evaluation mode; then each is in the mode that it had.

    Nothing is written to one that is in evaluation mode already, which other threads may be using.
    """
    training = [part for part in module.modules() if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True


def in_eval_mode(function: Callable[Concatenate[M, P], R]) -> Callable[Concatenate[M, P], R]:
    """`function(vae, ...)` with its first argument in evaluation mode, and with one thread where that is small work."""

    @wraps(function)
    def asked(vae: M, *args: P.args, **kwargs: P.kwargs) -> R:
        with eval_mode(vae), threads_for(vae, PORTION):
            return function(vae, *args, **kwargs)

    return asked
