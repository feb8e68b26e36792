"""The library under VAEscope: variational auto-encoders as three densities, and what one can ask of them.

Names are loaded when they are first used, so that importing `vaecore` costs nothing.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "Dataset": "datasets",
    "load_dataset": "datasets",
    "RECIPES": "recipes",
    "build": "recipes",
    "VAE": "vae",
    "fit": "training",
    "save": "checkpoints",
    "load": "checkpoints",
}
_MODULES = (
    "aggregate",
    "analysis",
    "checkpoints",
    "datasets",
    "evaluation",
    "exact",
    "imports",
    "learned",
    "objectives",
    "paths",
    "recipes",
    "shelf",
    "training",
)

__all__ = [*_HOME, *_MODULES]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name in _HOME:
        return getattr(import_module(f"vaecore.{_HOME[name]}"), name)
    if name in _MODULES:
        return import_module(f"vaecore.{name}")
    raise AttributeError(f"module 'vaecore' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
