"""The three densities together."""

from collections.abc import Callable
from itertools import chain

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, kl_divergence

from vaecore.distributions import draw
from vaecore.inputs import batch_of, points_of

Refine = Callable[["VAE", Tensor, Distribution], Distribution]


def divergence(q: Distribution, p: Distribution, z: Tensor, weight: Tensor) -> Tensor:
    """KL(q || p), [B] nats: exact where torch knows its closed form, else over z [K, B, D] by `weight` [K, B]."""
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        return (weight * (q.log_prob(z) - p.log_prob(z))).sum(0)


class VAE(nn.Module):
    """A prior, an encoder and a decoder: any modules whose calls return distributions.

    p(z)   = vae.prior()         batch_shape [],  event_shape [D]
    q(z|x) = vae.posterior(x)    batch_shape [B], event_shape [D]
    p(x|z) = vae.likelihood(z)   batch_shape [B], event_shape [C, H, W]

    `refine(vae, x, q)` may improve the encoder's q for each image. Log densities are in nats, summed over the event.
    """

    def __init__(self, prior: nn.Module, encoder: nn.Module, decoder: nn.Module, refine: Refine | None = None) -> None:
        super().__init__()
        self.prior, self.encoder, self.decoder, self.refine = prior, encoder, decoder, refine
        self.config: dict | None = None  # how `recipes.build` made it: what a checkpoint needs to make it again

    def posterior(self, x: Tensor) -> Distribution:
        """q(z|x) for x with shape [B, C, H, W]."""
        x = batch_of(self, x)
        q = self.encoder(x)
        return q if self.refine is None else self.refine(self, x, q)

    def likelihood(self, z: Tensor) -> Distribution:
        """p(x|z) for z with shape [B, D]."""
        return self.decoder(points_of(self, z))

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z) with shape [*, B], for x [B, C, H, W] and z [*, B, D]."""
        x = batch_of(self, x, self.decoder)
        xs = x.expand(*z.shape[:-1], *x.shape[1:]).reshape(-1, *x.shape[1:])
        return self.likelihood(z.reshape(-1, z.shape[-1])).log_prob(xs).reshape(z.shape[:-1])

    def log_joint(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x, z) = log p(x|z) + log p(z) with shape [*, B], for x [B, C, H, W] and z [*, B, D]."""
        return self.log_likelihood(x, z) + self.prior().log_prob(z)

    def bound(
        self, x: Tensor, samples: int = 1, q: Distribution | None = None, p: Distribution | None = None
    ) -> tuple[Tensor, Tensor]:
        """The ELBO's two terms, each [B] nats: E_q[log p(x|z)] and KL(q(z|x) || p(z)), for `q`, else the posterior,
        and for `p`, else the prior.

        The KL is exact where torch knows its closed form, else the mean over the same samples of z. A mixture is
        stratified: `samples` of each component, which count by its weight.
        """
        q, p = self.posterior(x) if q is None else q, self.prior() if p is None else p
        z, weight = draw(q, samples)
        return (weight * self.log_likelihood(x, z)).sum(0), divergence(q, p, z, weight)

    def elbo(self, x: Tensor, samples: int = 1, q: Distribution | None = None) -> Tensor:
        """E_q[log p(x, z) - log q(z|x)] <= log p(x), with shape [B], in nats (Kingma & Welling 2014, equation 3)."""
        reconstruction, kl = self.bound(x, samples, q)
        return reconstruction - kl

    @property
    def device(self) -> torch.device:
        return next(chain(self.parameters(), self.buffers())).device

    @property
    def differentiable(self) -> bool:
        """Whether gradients pass through its encoder and decoder; not where another program runs them."""
        return all(getattr(part, "differentiable", True) for part in (self.encoder, self.decoder))
