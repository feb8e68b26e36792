"""What people hand over, taken rightly or refused with a sentence: images, points of the latent space, codes.

Public functions pass what they are given through here, so that no array of another type is silently misread.
"""

import math
from contextlib import suppress
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from vaecore.text import a

FARTHEST = 16.0  # a Gaussian's samples, and standardised images, stay below it; grey levels of 0 to 255 do not


def images_of(vae: nn.Module, images: Any, least: int = 1) -> Tensor:  # noqa: ANN401
    """`images` [N, C, H, W] as a tensor of the encoder's type, from floats of any width, truth values, or an array.

    Raises ValueError for another shape than the VAE's, fewer than `least` images, whole numbers (which may mean 0 to
    255 or 0 and 1), values that are not finite, and those outside [0, 1], unless p(x|z) is a density of any real
    pixels, whose samples may lie a little outside.
    """
    found = batch_of(vae, images)
    if len(found) < least:
        raise ValueError(f"The images have shape {list(found.shape)}; it must be [N, C, H, W] with N at least {least}.")
    low, high = (float(end) for end in found.detach().aminmax())
    if not -math.inf < low <= high < math.inf:
        raise ValueError("The images hold values that are not finite numbers: look for NaN and infinity in them.")
    if (low < 0 or high > 1) and not (max(-low, high) < FARTHEST and is_real(vae)):
        hint = "divide them by 255" if low >= 0 and high > FARTHEST else "scale them"
        raise ValueError(f"The images have values from {low:g} to {high:g}; they must be in [0, 1]: {hint}.")
    return found


def batch_of(vae: nn.Module, images: Any, part: nn.Module | None = None) -> Tensor:  # noqa: ANN401
    """As `images_of`, without a look at the values, for the inside of loops; in the type of `part`, or the encoder."""
    found = pixels_of(images)
    shape = vae.config and list(vae.config["data_shape"])
    if shape and shape != list(found.shape[1:]):
        raise ValueError(f"The VAE was built for images of shape {shape}, the data has {list(found.shape[1:])}.")
    return found.to(float_type(part or vae.encoder))


def pixels_of(images: Any) -> Tensor:  # noqa: ANN401
    """`images` [N, C, H, W] of no VAE: ValueError for whole numbers, which may mean 0 to 255, and for other shapes."""
    found = tensor_of(images, "The images")
    if not (found.is_floating_point() or found.dtype == torch.bool):
        raise ValueError(
            f"The images are of type {kind(found)}, which may mean 0 to 255 or 0 and 1: hand over floats in [0, 1], of "
            "grey levels `images.float() / 255`."
        )
    if found.ndim != 4:
        raise ValueError(f"The images have shape {list(found.shape)}; it must be [N, C, H, W].")
    return found


def float_type(part: nn.Module) -> torch.dtype:
    """The type of a part's floats, which it takes its input in: the two halves of a stranger's VAE may differ."""
    floats = (each.dtype for each in chain(part.parameters(), part.buffers()) if each.is_floating_point())
    return next(floats, torch.get_default_dtype())


def points_of(vae: nn.Module, z: Any) -> Tensor:  # noqa: ANN401
    """`z` [N, D] as a tensor of the decoder's type, from real numbers of any type, or a numpy array."""
    found = tensor_of(z, "The points z")
    size = vae.config and vae.config["latent_dim"]
    if found.is_complex() or found.ndim != 2 or (size and found.shape[1] != size):
        shape = f"shape {list(found.shape)} and type {kind(found)}"
        raise ValueError(f"The points z have {shape}; they must be real numbers [N, {size or 'D'}].")
    return found.to(float_type(vae.decoder))


def array_of(codes: Any) -> np.ndarray:  # noqa: ANN401
    """Codes, of any type of real numbers, as an array."""
    return floats_of(codes, "The codes").detach().cpu().numpy()


def floats_of(values: Any, what: str, shape: str = "") -> Tensor:  # noqa: ANN401
    """`values`, real numbers of any type, as a tensor of float32, or float64 where they are.

    Args:
        shape: the letters of the axes that they must have, as "N, D"; then they must be finite too.
    """
    found = tensor_of(values, what)
    if found.is_complex() or (shape and found.ndim != len(shape.split(", "))):
        own = f"shape {list(found.shape)} and type {kind(found)}"
        raise ValueError(f"{what} have {own}; they must be real numbers{f' [{shape}]' if shape else ''}.")
    found = found if found.dtype in (torch.float32, torch.float64) else found.float()
    if shape and not found.isfinite().all():
        raise ValueError(f"{what} hold values that are not finite numbers: look for NaN and infinity in them.")
    return found


def places_of(prior: Distribution, z: Any, what: str, shape: str = "N, D") -> Tensor:  # noqa: ANN401
    """`z`, points of a prior's latent space, in the type that the prior's own samples have."""
    found, size = floats_of(z, what, shape), list(prior.event_shape)
    if size and list(found.shape[-1:]) != size:
        raise ValueError(f"{what} have shape {list(found.shape)}; the prior's points have {size}.")
    with torch.random.fork_rng(devices=[]), suppress(NotImplementedError):  # of a density alone nothing is known
        found = found.to(prior.sample())
    return found


def tensor_of(values: Any, what: str) -> Tensor:  # noqa: ANN401
    if isinstance(values, Tensor):
        return values
    try:
        return torch.as_tensor(np.asarray(values))
    except (TypeError, ValueError, RuntimeError):
        said = type(values).__name__
        raise ValueError(
            f"{what} are {a(said)} that holds no numbers of one shape; hand over a tensor or a numpy array."
        ) from None


def kind(values: Tensor) -> str:
    return str(values.dtype).removeprefix("torch.")


def is_real(vae: nn.Module) -> bool:
    """Whether p(x|z) is a density of any real pixels, as a Gaussian is, and not of those in [0, 1] alone."""
    with torch.no_grad():
        support = vae.likelihood(torch.zeros(1, *vae.prior().event_shape, device=vae.device)).support
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    return support is constraints.real
