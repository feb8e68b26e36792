"""Decoders: modules whose call returns p(x|z), with batch_shape [B] and event_shape [C, H, W].

`initialise(images)` is called once with the training images before a fresh decoder is trained; `quadratic(x, output)`
gives the score and the Fisher information of log p(x|output) by the network's output, pixel by pixel.
"""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from vaecore.distributions import GreyBernoulli


class GaussianDecoder(nn.Module):
    """p(x|z) = N(x; g(z), s² I), with one learned scalar variance.

    No constant could stand in for s²: the published likelihoods of GPVAE and RME imply different values for each data
    set and latent size, and the code they were built on learns it, from the data's spread around the mean image.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.log_scale = nn.Parameter(torch.zeros(()))

    def forward(self, z: Tensor) -> Distribution:
        mean = self.net(z)
        return Independent(Normal(mean, self.log_scale.exp().expand_as(mean)), 3)

    def quadratic(self, x: Tensor, output: Tensor) -> tuple[Tensor, Tensor]:
        information = (-2 * self.log_scale).exp().expand_as(output)
        return (x - output) * information, information

    @torch.no_grad()
    def initialise(self, images: Tensor) -> None:
        self.log_scale.copy_(0.5 * images.var(0, correction=0).mean().clamp_min(1e-6).log())


class BernoulliDecoder(nn.Module):
    """p(x|z) = Bernoulli(x; logits g(z)), each pixel on its own."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, z: Tensor) -> Distribution:
        return Independent(GreyBernoulli(logits=self.net(z)), 3)

    def quadratic(self, x: Tensor, output: Tensor) -> tuple[Tensor, Tensor]:
        mean = output.sigmoid()
        return x - mean, mean * (1 - mean)
