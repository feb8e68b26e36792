"""Images to codes: one point of the latent space for each."""

import torch
from torch import Tensor

from vaecore.eval_mode import in_eval_mode
from vaecore.evaluation import encode
from vaecore.inputs import images_of
from vaecore.vae import VAE


@in_eval_mode
@torch.no_grad()
def codes(vae: VAE, images: Tensor, draws: int = 0, seed: int = 0, batch: int = 1024) -> Tensor:
    """One code for each image [N, C, H, W]: [N, D] float32, on the CPU.

    With no draws it is q(z|x)'s mean, of whatever q the VAE has: a mixture's is its components' weighted mean, and a
    flow's, which has no closed form, the mean of `distributions.Flow`'s 128 fixed pairs of draws. Otherwise it is the
    average of so many samples of q(z|x), which the paper's code takes (50 of them): the mean, and noise of
    1 / sqrt(draws) of q's standard deviation. The same seed and batch give the same samples.

    Raises ValueError for a negative number of draws and for images of another shape.
    """
    if draws < 0 or batch < 1:
        raise ValueError(f"draws is {draws} and batch {batch}; draws must be at least 0, where 0 is q's mean, batch 1.")
    images = images_of(vae, images)
    if draws == 0:
        return encode(vae, images, batch)[0].float()
    with torch.random.fork_rng(devices=[vae.device] if vae.device.type == "cuda" else []):
        torch.manual_seed(seed)
        parts = [vae.posterior(x.to(vae.device)).sample((draws,)).mean(0).cpu() for x in images.split(batch)]
    return torch.cat(parts).float()


def thresholded(images: Tensor) -> Tensor:
    """1 where a pixel is at least a half, else 0: what the paper's code encodes for codes, instead of a random draw."""
    return (images >= 0.5).float()
