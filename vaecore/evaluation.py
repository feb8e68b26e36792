"""What one asks of a trained VAE: evidence and bounds, in nats per image; active units; how codes cluster."""

import math
from typing import NamedTuple

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from vaecore import exact
from vaecore.clusters import cluster_accuracy, kmeans, label_clusters
from vaecore.distributions import draw, is_diagonal
from vaecore.eval_mode import in_eval_mode
from vaecore.inputs import images_of
from vaecore.text import counted
from vaecore.vae import VAE, divergence


class Bounds(NamedTuple):
    """Estimates from the same K draws of q(z|x) for each image, [B] nats each: so the paper's identities hold exactly.

    lb = recons - kl, and NLL = -lb - KL(q(z|x) || p(z|x)) defines the last (Xu et al. 2019, appendix B.3).
    """

    reconstruction: Tensor  # mean of log p(x|z)
    kl: Tensor  # mean of log q(z|x) - log p(z)
    log_evidence: Tensor  # log mean of p(x, z) / q(z|x)

    @property
    def elbo(self) -> Tensor:
        return self.reconstruction - self.kl


@in_eval_mode
@torch.no_grad()
def bounds(vae: VAE, x: Tensor, samples: int = 100, chunk: int = 4096) -> Bounds:
    """`Bounds` of images x [B, C, H, W] with K = `samples` draws, at most `chunk` decodes at once.

    Raises ValueError for no samples, and for x of another shape.
    """
    if samples < 1 or x.ndim != 4 or not len(x):
        shape = list(x.shape)
        raise ValueError(
            f"samples is {samples} and x has shape {shape}; it needs at least 1, and [B, C, H, W], B >= 1."
        )
    q, p = vae.posterior(x), vae.prior()
    terms = []
    for start in range(0, samples, step := max(1, chunk // len(x))):
        z = q.rsample((min(step, samples - start),))
        terms.append(torch.stack([vae.log_likelihood(x, z), q.log_prob(z) - p.log_prob(z)]))
    reconstruction, kl = torch.cat(terms, 1).double()
    weights = reconstruction - kl
    return Bounds(reconstruction.mean(0), kl.mean(0), weights.logsumexp(0) - math.log(samples))


@in_eval_mode
def log_evidence(vae: VAE, x: Tensor, samples: int = 100, chunk: int = 4096) -> Tensor:
    """log 1/K sum_k p(x, z_k) / q(z_k|x), z_k ~ q(z|x): a lower bound of log p(x) that tends to it (Burda et al. 2016).

    Args:
        x: images with shape [B, C, H, W].
        samples: K.
        chunk: at most this many decodes at once.

    Returns:
        [B] nats.
    """
    return bounds(vae, images_of(vae, x), samples, chunk).log_evidence


@in_eval_mode
@torch.no_grad()
def active_units(vae: VAE, images: Tensor, threshold: float = 0.01) -> Tensor:
    """Which latent dimensions vary with x: Var_x[E_q(z|x) z_d] > 0.01 (Burda et al. 2016). [D] bool."""
    return encode(vae, images)[0].var(0, correction=0) > threshold


@in_eval_mode
@torch.no_grad()
def encode(vae: VAE, images: Tensor, chunk: int = 1024) -> tuple[Tensor, Tensor]:
    """Means and standard deviations of q(z|x), each [N, D]."""
    parts = [vae.posterior(x.to(vae.device)) for x in images_of(vae, images).split(chunk)]
    return torch.cat([q.mean for q in parts]).cpu(), torch.cat([q.stddev for q in parts]).cpu()


@in_eval_mode
@torch.no_grad()
def divergences(vae: VAE, images: Tensor, samples: int = 16, chunk: int = 1024) -> Tensor:
    """KL(q(z|x) || p(z)) of each image, [N] nats: exact where there is a closed form, else of so many draws of q."""
    posteriors = (vae.posterior(x.to(vae.device)) for x in images_of(vae, images).split(chunk))
    return torch.cat([divergence(q, vae.prior(), *draw(q, samples)) for q in posteriors]).cpu()


def kmeans_accuracy(
    train_z: ArrayLike,
    train_y: ArrayLike,
    test_z: ArrayLike,
    test_y: ArrayLike,
    k: int,
    seed: int = 0,
    labels: str = "majority",
) -> float:
    """The share of test codes [M, D] whose cluster has their label: `k` clusters of the training codes [N, D], labelled
    by their members' majority or by the "closest" code to the centre (Ma et al. 2019, Table 2; see `clusters`)."""
    fit = kmeans(train_z, k, seed)
    return cluster_accuracy(fit.predict(test_z), label_clusters(fit, train_z, train_y, labels), test_y)


def moments(loc: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of q(z), each [D], float64, for means and standard deviations [N, D] of any q(z|x).

    Var[z] = E Var[z|x] + Var E[z|x], the law of total variance: exact, without a draw (Xu et al. 2019, Table B.1).
    """
    if loc.ndim != 2 or loc.shape != scale.shape or not len(loc):
        shapes = f"{list(loc.shape)} and {list(scale.shape)}"
        raise ValueError(f"loc and scale have shapes {shapes}; both must be [N, D], with N at least 1.")
    loc, scale = loc.double(), scale.double()
    return loc.mean(0), scale.square().mean(0) + loc.var(0, correction=0)


@in_eval_mode
@torch.no_grad()
def evaluate(
    vae: VAE,
    images: Tensor,
    samples: int = 100,
    exact_images: int = 500,
    seed: int = 0,
    training: Tensor | None = None,
) -> dict:
    """The measures of a checkpoint on `images`, with the protocol in words, as one JSON-ready dict.

    Active units are counted on the `training` images where they are given, as the learned prior's paper does.
    For a 2-D latent space the evidence and the gaps are exact (quadrature) on `exact_images` images drawn by `seed`.
    """
    images = images_of(vae, images)
    with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []):
        torch.manual_seed(seed)
        found = [torch.stack([*bounds(vae, x, samples)]) for x in images.split(256)]
    reconstruction, kl, iwae = torch.cat(found, -1).mean(-1).tolist()
    mean, variance = moments(*encode(vae, images))
    results = {
        "protocol": f"{counted(len(images), 'image')}; K = {counted(samples, 'draw')} of q(z|x) for each, seed {seed}; "
        "nats per image",
        "ELBO": reconstruction - kl,
        "reconstruction E_q[log p(x|z)]": reconstruction,
        "KL(q(z|x) || p(z))": kl,
        f"IWAE({samples})": iwae,
        "NLL": -iwae,
        "KL(q(z|x) || p(z|x)) = -ELBO - NLL": iwae - reconstruction + kl,
        "active units": int(active_units(vae, images if training is None else training).sum()),
        "mean of q(z), average over dimensions": float(mean.mean()),
        "variance of q(z), average over dimensions": float(variance.mean()),
        "mean of q(z)": mean.tolist(),
        "variance of q(z)": variance.tolist(),
    }
    if training is not None:
        results["protocol"] += f"; active units on {counted(len(training), 'training image')}"
    if vae.prior().event_shape != (2,):
        return results
    # By a generator of their own: the same images for every checkpoint, however many numbers its bounds have drawn.
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    drawn = images[order[:exact_images].to(images.device)]
    gap = exact.split_gap(vae, drawn)
    results["protocol"] += f"; exact values on {counted(len(drawn), 'image')} drawn by the seed"
    return results | {
        "exact log p(x)": float(gap.log_evidence.mean()),
        "exact ELBO": float(gap.elbo.mean()),
        "exact gap KL(q(z|x) || p(z|x))": float(gap.total.mean()),
        **parts(gap),
        "standard error of the exact gap": float(gap.total.std(correction=0)) / math.sqrt(len(drawn)),
        "images of several modes": float((gap.modes > 1).double().mean()),
        "99 % of the error estimates of log p(x) are under": float(gap.error.quantile(0.99)),
    }


def parts(gap: exact.Gap) -> dict[str, float]:
    """The gap's split where q is a diagonal Gaussian; beside another q, which may beat them, the best of those."""
    best = float(gap.approximation.mean())
    if is_diagonal(gap.q):
        return {"approximation gap": best, "amortization gap": float(gap.amortization.mean())}
    return {"gap of the best diagonal Gaussian": best}
