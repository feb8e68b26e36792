"""Priors: modules whose call returns p(z), with batch_shape [] and event_shape [D].

`begin_with(prior)` lets a fresh one begin with a trained VAE's standard normal; `initialise(images)` is called once
with the training images before anything is trained.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, Normal, Transform

from vaecore.distributions import Flow, Mixture
from vaecore.encoders import GaussianEncoder
from vaecore.made import DualFlow


class StandardNormal(nn.Module):
    """p(z) = N(z; 0, I)."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.register_buffer("loc", torch.zeros(latent_dim), persistent=False)

    def forward(self) -> Distribution:
        return Independent(Normal(self.loc, torch.ones_like(self.loc)), 1)


class FlowPrior(StandardNormal):
    """p(z) = N(f(z); 0, I) |det df/dz|; `flow()` gives the steps of f in turn, and without any it is N(0, I)."""

    def __init__(self, latent_dim: int, flow: Callable[[], list[Transform]]) -> None:
        super().__init__(latent_dim)
        self.flow = flow

    def forward(self) -> Distribution:
        steps = [step.inv for step in reversed(self.flow())]
        return Flow(super().forward(), steps) if steps else super().forward()


class AutoregressivePrior(FlowPrior):
    """f is an autoregressive flow of blocks through the dimensions in both orders (Ma et al. 2019)."""

    def __init__(self, latent_dim: int, blocks: int) -> None:
        super().__init__(latent_dim, DualFlow(blocks, latent_dim))


class RealNVPPrior(FlowPrior):
    """f is a Real NVP (Xu et al. 2019, equation 4)."""

    def begin_with(self, prior: StandardNormal) -> None:
        """The flow stays fresh: its first batch sets what N(0, I) has to say of it."""


class VampPrior(nn.Module):
    """p(z) = 1/C sum_c q(z|u_c): the encoder's answers to C pseudo-inputs that are learned (Tomczak & Welling 2018).

    The encoder belongs to the VAE; here it is only referred to. Pseudo-inputs pass through a sigmoid: the published
    code's clamp to [0, 1] has no gradient at its own initial values, which are below 0. They begin as training images.
    """

    def __init__(self, encoder: GaussianEncoder, data_shape: tuple[int, int, int], count: int) -> None:
        super().__init__()
        self._encoder = (encoder,)  # in a tuple, so that its weights are not registered twice
        self.logits = nn.Parameter(0.1 * torch.randn(count, *data_shape) - 2.0)

    def forward(self) -> Distribution:
        parts = self._encoder[0](self.logits.sigmoid())
        return Mixture(Categorical(logits=torch.zeros_like(parts.mean[:, 0])), parts)

    @torch.no_grad()
    def initialise(self, images: Tensor) -> None:
        # Two equal pseudo-inputs would have equal gradients for ever: no image twice while there are others, and noise.
        chosen = torch.randperm(len(images)).repeat(-(-len(self.logits) // len(images)))[: len(self.logits)]
        logits = images[chosen].clamp(0.05, 0.95).logit()
        self.logits.copy_(logits + 0.01 * torch.randn_like(logits))

    def begin_with(self, prior: StandardNormal) -> None:
        """The pseudo-inputs stay training images."""
