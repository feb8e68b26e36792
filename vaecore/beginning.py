"""What a training begins with: settings that can be, a device that is here, and weights."""

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from vaecore import checkpoints, weightnorm
from vaecore.datasets import Dataset
from vaecore.inputs import images_of
from vaecore.recipes import Recipe
from vaecore.text import counted
from vaecore.vae import VAE


def pick_device(device: str | torch.device = "auto") -> torch.device:
    """The GPU if there is one, else the CPU, for "auto"; otherwise the device named, if it is here."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(device)
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError):
        raise ValueError(f"There is no device {str(device)!r} here; use auto, cpu or cuda.") from None
    return device


def as_images(vae: VAE, data: Dataset | Tensor) -> Tensor:
    """The images of a data set, its grey ones where those are drawn anew for each batch, or the images themselves."""
    return images_of(vae, (data.images if data.grey is None else data.grey) if isinstance(data, Dataset) else data)


def check_settings(vae: VAE, epochs: int, batch_size: int, learning_rate: float | None) -> None:
    if epochs < 1 or batch_size < 1:
        raise ValueError(f"epochs is {epochs} and batch_size {batch_size}; both must be at least 1.")
    if learning_rate is not None and not 0 < learning_rate < math.inf:
        raise ValueError(f"learning_rate is {learning_rate}; it must be a positive number.")
    if not vae.differentiable:
        raise ValueError("This VAE's networks give values and no gradients: it cannot be trained.")


def check_batch(recipe: Recipe, images: Tensor, batch_size: int, processes: int = 1) -> None:
    if min(len(images), batch_size) < (least := recipe.least_batch) * processes:
        there = f"there are {counted(len(images), 'image')} and batch_size is {batch_size}"
        if processes > 1:
            each = f"Each of {counted(processes, 'process')}"
            raise ValueError(f"{each} needs at least {least} of a batch's images, and {there}.")
        raise ValueError(f"{recipe.name} compares the images of a batch: it needs at least {least}, and {there}.")


def begin(vae: VAE, images: Tensor, start: str | Path | VAE | None) -> bool:
    """Begin with the trained VAE `start`, or let what is fresh see the images once.

    Returns whether encoder and decoder are now trained ones: a flow that a plain encoder lacks has yet to be.
    """
    fresh = (vae.prior, vae.decoder) if start is None else (vae.prior,)
    for part in fresh:
        if hasattr(part, "initialise"):
            part.initialise(images)
    if start is None:
        weightnorm.initialise(vae, images)
    begun = start is not None and continue_from(vae, start)
    # It belongs to this run: with the weights came the other run's.
    if hasattr(vae.encoder, "train_size"):
        vae.encoder.train_size.fill_(len(images))
    return begun


def continue_from(vae: VAE, start: str | Path | VAE) -> bool:
    """Take over what `start` has learned; whether its encoder was of the same kind."""
    trained = start if isinstance(start, VAE) else checkpoints.load(start)
    try:
        vae.decoder.load_state_dict(trained.decoder.state_dict())
        take_over(vae.prior, trained.prior)
        return take_over(vae.encoder, trained.encoder)
    except (RuntimeError, AttributeError):
        raise ValueError("The VAE to start from has other parts or sizes than the one to train.") from None


def take_over(part: nn.Module, trained: nn.Module) -> bool:
    """The same part's weights as they are, else what this one makes of a plain VAE's; whether they were the same."""
    same = part.state_dict().keys() == trained.state_dict().keys()
    if same:
        part.load_state_dict(trained.state_dict())
    else:
        part.begin_with(trained)
    return same
