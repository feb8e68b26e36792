"""What is maximised: plain functions of (vae, batch) that give one number, the mean over the batch, in nats."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaecore import mutual
from vaecore.distributions import is_diagonal
from vaecore.inputs import batch_of
from vaecore.pixelcnn import PixelCNN
from vaecore.processes import averaged_kl, marginal
from vaecore.realnvp import Coupling
from vaecore.text import a
from vaecore.vae import VAE


@dataclass(frozen=True)
class Batch:
    """Some training images x [B, C, H, W], and how many steps and whole epochs were taken before; whether the training
    began with a trained VAE."""

    x: Tensor
    iteration: int = 0
    epoch: int = 0
    begun: bool = False
    epochs: int = 0  # of the whole training


def elbo(vae: VAE, batch: Batch) -> Tensor:
    """Mean over the batch of the ELBO with one sample of z for each image, and for each component of a mixture."""
    return vae.elbo(batch.x).mean()


def warm_elbo(
    vae: VAE,
    batch: Batch,
    warm_up: float = 0,
    regulariser: float = 0.0,
    l2: float = 0.0,
    prior: Distribution | None = None,
) -> Tensor:
    """E_q[log p(x|z) + beta (log p(z) - log q(z|x))] - regulariser Reg[q(z)] - l2 / 2 sum w² (Xu et al. 2019, B.3).

    beta rises from 0.01 to 1 within `warm_up` epochs, below 1 within that share of all, and is 1 where a trained VAE
    goes on; w are the weights of hidden layers; `prior` stands in for the VAE's own. The paper prints + Reg, but
    what is maximised must lose by it.
    """
    q = vae.posterior(batch.x)
    reconstruction, kl = vae.bound(batch.x, q=q, p=prior)
    span = warm_up * batch.epochs if warm_up < 1 else warm_up
    beta = min(1.0, 0.01 + 0.99 * batch.epoch / span) if span and not batch.begun else 1.0
    bound = (reconstruction - beta * kl).mean()
    if regulariser:
        bound = bound - regulariser * unit_moments(q)
    return bound - l2 * half_square(vae) if l2 else bound


def half_square(vae: VAE) -> Tensor:
    """Half the sum of squares of the weights, biases aside, of all layers of the networks but the last of each."""
    flows_and_pixels = (part for part in vae.modules() if isinstance(part, Coupling | PixelCNN))
    networks = (vae.encoder.net, vae.decoder.net, *flows_and_pixels)
    layers = [[part for part in net.modules() if isinstance(part, LAYERS)] for net in networks]
    return 0.5 * sum(layer.weight.square().sum() for found in layers for layer in found[:-1])


LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


def unit_moments(q: Distribution) -> Tensor:
    """Reg[q(z)]: the mean over dimensions of Mean[z]² + (Var[z] - 1)², of the batch's aggregated posterior."""
    variance = q.variance.mean(0) + q.mean.var(0, correction=0)
    return (q.mean.mean(0).square() + (variance - 1).square()).mean()


def prior_alone(vae: VAE, batch: Batch, l2: float = 0.0) -> Tensor:
    """The ELBO, of which gradients reach the prior alone: what post-hoc training maximises, less l2 / 2 sum w²."""
    with torch.no_grad():
        q = vae.posterior(batch.x)
        z = q.rsample()
        rest = vae.log_likelihood(batch.x, z) - q.log_prob(z)
    bound = (rest + vae.prior().log_prob(z)).mean()
    return bound - l2 * half_square(vae) if l2 else bound


def process_bound(vae: VAE, batch: Batch, sampled: bool = False) -> Tensor:
    """GPVAE's equation 15: E_q(z|x) log p(x|z) - E_q(W,U) KL(q(z|x,W,U) || p(z)) - KL(q(W,U) || N(0, I)) / N."""
    encoder = vae.encoder
    x = batch_of(vae, batch.x)
    moments = encoder.moments(x)
    reconstruction = vae.log_likelihood(x, marginal(moments).rsample((1,)))[0]
    return (reconstruction - averaged_kl(moments, sampled)).mean() - moments.weights_kl / encoder.train_size


def prefix(vae: VAE, batch: Batch, count: int) -> Tensor:
    """The ELBO of the mixture of the first `count` components, Q_count-1 in RME's terms."""
    return vae.elbo(batch.x, q=vae.encoder(batch_of(vae, batch.x), count)).mean()


Apart = Callable[[Distribution, Distribution, Batch], Tensor]


def component(vae: VAE, batch: Batch, index: int, apart: Apart) -> Tensor:
    """The ELBO of component `index` alone, and from the second on what holds it apart from those before it."""
    x = batch_of(vae, batch.x)
    q = vae.encoder.component(x, index)
    bound = vae.elbo(x, q=q).mean()
    if index == 0:
        return bound
    with torch.no_grad():
        before = vae.encoder(x, index)
    return bound + apart(q, before, batch)


def bounded_kl(q: Distribution, before: Distribution, batch: Batch, most: float = 500.0) -> Tensor:  # noqa: ARG001
    """RME: -relu(C - KL(q_m || Q_m-1)), by one z ~ q_m for each image: a hinge on the batch's mean."""
    z = q.rsample()
    return -(most - (q.log_prob(z) - before.log_prob(z)).mean()).relu()


def sampled_entropy(q: Distribution, before: Distribution, batch: Batch) -> Tensor:  # noqa: ARG001
    """BVI-ER1: nu E[-log q_m] by one sample, nu = 1 / sqrt(t + 1). Penalised, the component would collapse."""
    return -q.log_prob(q.rsample()).mean() / (batch.iteration + 1) ** 0.5


def gaussian_entropy(q: Distribution, before: Distribution, batch: Batch) -> Tensor:  # noqa: ARG001
    """BVI-ER2: nu / 2 log det of the component's covariance, with BVI-ER1's nu (the paper states no weight)."""
    return q.stddev.log().sum(-1).mean() / (batch.iteration + 1) ** 0.5


def pairwise_kl(q: Distribution) -> Tensor:
    """KL_k(q_i || q_j) with shape [B, B, D], nats, of diagonal Gaussians q [B, D]; ValueError for another q."""
    if not is_diagonal(q):
        raise ValueError(f"The mutual divergence is known for diagonal Gaussians alone; q is {a(type(q).__name__)}.")
    return mutual.pairwise_kl(q.mean, q.stddev)


def diversity(q: Distribution, form: str = "released", eta: float = 1.0) -> Tensor:
    """L_diverse of a batch of posteriors, yet to be weighed by eta (Ma et al. 2019, equation 8): `mutual.closeness`."""
    return mutual.closeness(pairwise_kl(q), form, eta)


def smoothness(q: Distribution) -> Tensor:
    """L_smooth: the standard deviation of KL(q_i || q_j) over the batch's pairs, nats (Ma et al. 2019, equation 6)."""
    return mutual.spread(pairwise_kl(q))


def mutual_bound(
    vae: VAE, batch: Batch, eta: float = 0.0, gamma: float = 0.0, form: str = "released", free_bits: float = 0.0
) -> Tensor:
    """E_q[log p(x|z)] - max(KL, free_bits) - eta L_diverse - gamma L_smooth (Ma et al. 2019, equation 7).

    Free bits are one bound from below on the batch's mean of the total KL, in nats. A weight of 0 leaves its term out.
    """
    q = vae.posterior(batch.x)
    reconstruction, kl = vae.bound(batch.x, q=q)
    bound = reconstruction.mean() - kl.mean().clamp_min(free_bits)
    if eta or gamma:
        pairs = pairwise_kl(q)
        bound = bound - eta * mutual.closeness(pairs, form, eta) if eta else bound
        bound = bound - gamma * mutual.spread(pairs) if gamma else bound
    return bound
