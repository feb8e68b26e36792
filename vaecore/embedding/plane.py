"""The plane of greatest variance."""

import torch
from torch import Tensor

from vaecore.inputs import floats_of


def pca(codes: Tensor) -> tuple[Tensor, Tensor]:
    """The two directions of greatest variance: places [N, 2] about their mean, and their shares [2] of the variance.

    The sign of each direction is fixed by its largest entry.
    """
    codes = floats_of(codes, "The codes", "N, D")
    if codes.shape[1] < 2 or len(codes) < 2:
        raise ValueError(f"The codes have shape {list(codes.shape)}; it must be [N, D], with N and D at least 2.")
    centred = codes.double() - codes[0].double()  # equal codes are exactly zero, and no rounding has a direction
    centred -= centred.mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred)
    axes = vectors[:, -2:].flip(1)
    axes = axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    return (centred @ axes).float(), (values[-2:].flip(0) / values.sum().clamp_min(1e-300)).float()
