"""The MAE paper's columns RE, KL, MPD, STD and NLL (Ma et al. 2019, Tables 1 and 4), in nats per image."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor

from vaecore.distributions import is_diagonal
from vaecore.eval_mode import in_eval_mode
from vaecore.evaluation import bounds
from vaecore.inputs import images_of
from vaecore.mutual import mean_pairwise, pairwise_kl, spread
from vaecore.text import counted
from vaecore.vae import VAE

BATCH, SAMPLES = 512, 5  # the paper's code: MPD and STD depend on the batch
PART, CHUNK = 64, 512  # images encoded, and points decoded, at once


@dataclass(frozen=True)
class Density:
    """Means over images; RE + KL = -ELBO. MPD and STD are means over batches, None where q is no diagonal Gaussian."""

    re: float  # reconstruction error -E_q[log p(x|z)]
    kl: float  # KL(q(z|x) || p(z))
    mpd: float | None  # mean of KL(q_i || q_j) over the ordered pairs of a batch (equation 4)
    std: float | None  # their standard deviation (equation 6)

    @property
    def elbo(self) -> float:
        return -(self.re + self.kl)


@dataclass(frozen=True)
class Evidence:
    """NLL = -log p(x), importance weighted, and the ELBO of the same images and draws; standard errors over images."""

    nll: float
    nll_error: float
    elbo: float


@in_eval_mode
@torch.no_grad()
def density(
    vae: VAE,
    images: Tensor,
    samples: int = SAMPLES,
    batch: int = BATCH,
    seed: int = 0,
    tick: Callable[[], object] = lambda: None,
) -> Density:
    """RE and KL from `samples` draws of q(z|x), the KL exact where it is known, and MPD and STD of each batch.

    Batches count by their images; a last batch of one image has no pair and counts in RE and KL alone. `tick` is called
    after each batch. Raises ValueError for fewer than two images, no samples, and batches of one.
    """
    if len(images) < 2 or samples < 1 or batch < 2:
        sizes = f"{counted(len(images), 'image')}, {counted(samples, 'sample')} and batches of {batch}"
        raise ValueError(f"There are {sizes}; it needs at least 2 images, 1 sample and batches of 2.")
    images, terms, pairs = images_of(vae, images), [], []
    with torch.random.fork_rng(devices=[vae.device] if vae.device.type == "cuda" else []):
        torch.manual_seed(seed)
        for x in images.split(batch):
            found, codes = zip(*(encoded(vae, part.to(vae.device), samples) for part in x.split(PART)), strict=True)
            terms += found
            if None not in codes and len(x) > 1:
                kl = pairwise_kl(*torch.cat(codes, 1))
                pairs.append((len(x), float(mean_pairwise(kl).sum()), float(spread(kl))))
            tick()
    log_likelihood, kl = torch.cat(terms, 1).double().mean(1).tolist()
    if not pairs:
        return Density(-log_likelihood, kl, None, None)
    count, mpd, std = zip(*pairs, strict=True)
    return Density(-log_likelihood, kl, fmean(mpd, count), fmean(std, count))


def encoded(vae: VAE, x: Tensor, samples: int) -> tuple[Tensor, Tensor | None]:
    """E_q[log p(x|z)] and KL, [2, B], and mean and standard deviation of a diagonal Gaussian q, [2, B, D]."""
    q = vae.posterior(x)
    return torch.stack(vae.bound(x, samples, q)), torch.stack([q.mean, q.stddev]) if is_diagonal(q) else None


@in_eval_mode
def evidence(
    vae: VAE, images: Tensor, samples: int = 1024, seed: int = 0, tick: Callable[[], object] = lambda: None
) -> Evidence:
    """NLL of images [N, C, H, W] with `samples` importance samples each; `tick` is called after each 64 images."""
    found = []
    with torch.random.fork_rng(devices=[vae.device] if vae.device.type == "cuda" else []):
        torch.manual_seed(seed)
        for x in images_of(vae, images).split(PART):
            bound = bounds(vae, x.to(vae.device), samples, CHUNK)
            found.append(torch.stack([-bound.log_evidence, bound.elbo]).cpu())
            tick()
    nll, elbo = torch.cat(found, 1)
    error = float(nll.std(correction=0)) / len(nll) ** 0.5
    return Evidence(float(nll.mean()), error, float(elbo.mean()))
