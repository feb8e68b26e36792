"""Samples of the prior where no code lies: Rosca et al. 2018; learned-prior paper, B.9, Figures B.4 and B.5."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vaecore.aggregate.density import OnEvent, log_aggregate, log_aggregate_of
from vaecore.eval_mode import in_eval_mode
from vaecore.inputs import floats_of, images_of, points_of
from vaecore.vae import VAE

PORTION = 100  # samples judged together


@dataclass(frozen=True, eq=False)
class LowSamples:
    """Samples of a prior in increasing order of log q(z), the lowest kept."""

    z: Tensor  # [keep, D]
    log_q: Tensor  # [keep] nats, ascending
    all_log_q: Tensor  # [count] nats, ascending


@dataclass(frozen=True, eq=False)
class Judgement:
    """What a VAE says about points z [K, D], and about one image drawn at each."""

    log_prior: Tensor  # [K] nats
    elbo: Tensor  # [K] nats, of the images
    images: Tensor  # [K, C, H, W], x ~ p(x|z)
    means: Tensor  # [K, C, H, W], E[x|z]


@in_eval_mode
@torch.no_grad()
def low_posterior(
    vae: VAE,
    codes: tuple[Tensor, Tensor] | Tensor,
    count: int = 10_000,
    keep: int = 100,
    *,
    seed: int = 0,
    on_event: OnEvent = None,
) -> LowSamples:
    """Of `count` samples of p(z) the `keep` whose log q(z) over the training codes is lowest.

    Args:
        codes: means and standard deviations of q(z|x_i), each [N, D]; for a q that is no diagonal Gaussian the training
            images [N, C, H, W] themselves, which is slow.
        on_event: called with {"event": "step", "step": k, "steps": n} as the ranking goes on.
    """
    if not 1 <= keep <= count:
        raise ValueError(f"keep is {keep} and count {count}; it needs 1 <= keep <= count.")
    with torch.random.fork_rng(devices=[vae.device] if vae.device.type == "cuda" else []):
        torch.manual_seed(seed)
        z = vae.prior().sample((count,))
    if isinstance(codes, tuple | list):
        log_q = log_aggregate(z, *(floats_of(part, "The codes").to(z.device) for part in codes), on_event)
    else:
        log_q = log_aggregate_of(vae, z, codes, on_event)
    log_q, order = log_q.sort()
    return LowSamples(z[order[:keep]], log_q[:keep], log_q)


@in_eval_mode
@torch.no_grad()
def judge(vae: VAE, z: Tensor, images: Tensor | None = None, samples: int = 16, *, seed: int = 0) -> Judgement:
    """log p(z), one x ~ p(x|z) for each z, its ELBO under the same VAE, and the decoder's means.

    Args:
        z: points [K, D].
        images: the x to judge, [K, C, H, W]; None draws them. A VAE that shares the decoder is given another's, so that
            both are asked about the same images.
        samples: draws of q(z|x) for each ELBO.
    """
    z, images = points_of(vae, z), images if images is None else images_of(vae, images)
    if not len(z) or (images is not None and len(images) != len(z)):
        number = "none" if images is None else len(images)
        raise ValueError(f"z has shape {list(z.shape)}, images: {number}; it needs [K, D], K >= 1, and one image each.")
    drawn, means, elbo = [], [], []
    with torch.random.fork_rng(devices=[vae.device] if vae.device.type == "cuda" else []):
        torch.manual_seed(seed)
        for start in range(0, len(z), PORTION):
            p = vae.likelihood(z[start : start + PORTION])
            x = p.sample() if images is None else images[start : start + PORTION].to(vae.device)
            drawn.append(x)
            means.append(p.mean)
            elbo.append(vae.elbo(x, samples))
    return Judgement(vae.prior().log_prob(z), torch.cat(elbo), torch.cat(drawn), torch.cat(means))
