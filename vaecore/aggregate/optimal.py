"""What the best decoder would show at z (learned-prior paper, Proposition 2)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vaecore.inputs import floats_of, pixels_of


@dataclass(frozen=True, eq=False)
class OptimalImages:
    """The best decoder's means at M points."""

    means: Tensor  # [M, C, H, W], sum_i w_i(z) x_i
    effective: Tensor  # [M], 1 / sum_i w_i², the effective number of images in each mean


@torch.no_grad()
def optimal_images(log_densities: Tensor, images: Tensor) -> OptimalImages:
    """sum_i w_i(z) x_i with w_i = q(z|x_i) / sum_j q(z|x_j): the decoder that the ELBO would choose (equation 7).

    It is so for Bernoulli decoders and for Gaussian ones of one fixed variance, whatever the prior.

    Args:
        log_densities: log q(z|x_i) [M, N], as `log_densities` or `log_densities_of` gives them.
        images: x_i [N, C, H, W].
    """
    images, log_densities = pixels_of(images), floats_of(log_densities, "The log densities")
    images = floats_of(images, "The images", "N, C, H, W")
    if not len(images) or log_densities.ndim != 2 or log_densities.shape[1] != len(images):
        shape = list(log_densities.shape)
        raise ValueError(f"log_densities has shape {shape}; it needs [M, {len(images)}], a column for each image.")
    weights = log_densities.softmax(1)
    means = weights.to(images) @ images.flatten(1)
    return OptimalImages(means.unflatten(1, images.shape[1:]), 1 / weights.square().sum(1))
