"""Priors: modules whose call returns p(z), with batch_shape [] and event_shape [D]."""

import torch
from torch import nn
from torch.distributions import Distribution, Independent, Normal


class StandardNormal(nn.Module):
    """p(z) = N(z; 0, I)."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.register_buffer("loc", torch.zeros(latent_dim), persistent=False)

    def forward(self) -> Distribution:
        return Independent(Normal(self.loc, torch.ones_like(self.loc)), 1)
