"""What is maximised: plain functions of (vae, x) that give one number, the mean over the batch, in nats."""

from torch import Tensor

from vaecore.vae import VAE


def elbo(vae: VAE, x: Tensor) -> Tensor:
    """Mean over the batch of the ELBO with one sample of z for each image."""
    return vae.elbo(x).mean()
