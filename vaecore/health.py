"""Is a VAE healthy? Its bounds, codes and prior in one report that takes less than a minute, and a verdict on each."""

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence

from vaecore import aggregate, evaluation, exact
from vaecore.distributions import is_diagonal
from vaecore.vae import VAE

LOWEST = 0.01  # of the codes: prior samples less dense under q(z) than all but this share of them count as low
BATCH = 100  # images at once


@dataclass(frozen=True)
class Sizes:
    """How much is measured; each set of images is the first so many of one seeded order."""

    images: int = 500  # for the bounds
    samples: int = 100  # K draws of q(z|x) for each
    codes: int = 2000  # images for active units, KL by dimension, q(z)
    exact: int = 40  # images for the exact gap, D = 2
    prior: int = 2000  # samples of p(z)
    worst: int = 10


QUICK = Sizes()
SLOW = Sizes(images=100, samples=20, codes=300, exact=30, prior=300)
SLOWEST = Sizes(images=40, samples=20, codes=60, exact=20, prior=300)


def sizes_for(vae: VAE, x: Tensor) -> Sizes:
    """Fewer images where p(x|z) goes pixel after pixel; fewest where q is refined or no diagonal Gaussian."""
    if vae.refine is not None:
        return SLOWEST
    q = vae.posterior(x[:1].to(vae.device))
    if not is_diagonal(q):
        return SLOWEST
    return QUICK if isinstance(vae.likelihood(q.sample()), Independent) else SLOW


@torch.no_grad()
def report(vae: VAE, images: Tensor, seed: int = 0, sizes: Sizes | None = None) -> dict:
    """The health of a VAE on images [N, C, H, W], as a JSON-ready dict; the same for the same seed and machine.

    All values are nats an image unless their name says otherwise; errors are standard errors over images. The low
    posterior share holds samples of p(z) against codes of images that are not in the sum q(z): where q(z) is the prior
    it is LOWEST. Raises ValueError for images of another shape, fewer than four of them, or values that are not finite.
    """
    if images.ndim != 4 or len(images) < 4:
        raise ValueError(f"images have shape {list(images.shape)}; a report needs [N, C, H, W] with N at least 4.")
    with torch.random.fork_rng(devices=[vae.device] if vae.device.type == "cuda" else []):
        torch.manual_seed(seed)
        sizes = sizes or sizes_for(vae, images)
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
        x, coded, few = (images[order[:count]].to(vae.device) for count in (sizes.images, sizes.codes, sizes.exact))
        found = {
            "protocol": f"{len(x):,} images drawn by seed {seed}, K = {sizes.samples} draws of q(z|x) for each; "
            f"{len(coded):,} images for the codes; nats an image",
            "images": len(images),
            "seed": seed,
            "sizes": asdict(sizes),
            "latent dimensions": vae.prior().event_shape[0],
            **bounds(vae, x, sizes, order),
            **codes(vae, coded),
            **prior(vae, coded, sizes, seed),
            "exact": gap(vae, few) if vae.prior().event_shape == (2,) else None,
        }
    strange = [name for name, value in found.items() if isinstance(value, float) and not math.isfinite(value)]
    if bad := next(iter(strange), ""):
        raise ValueError(f"{bad} is {found[bad]}, no finite number: this VAE has no report.")
    return found


def bounds(vae: VAE, x: Tensor, sizes: Sizes, order: Tensor) -> dict:
    """ELBO and IWAE, what the codes are worth to the decoder, and the images with the least ELBO, by their index."""
    parts = [evaluation.bounds(vae, part, sizes.samples) for part in x.split(BATCH)]
    reconstruction, kl, iwae = (torch.cat(each) for each in zip(*parts, strict=True))
    elbo = reconstruction - kl
    shifted = torch.cat([vae.log_likelihood(part, vae.posterior(part.roll(1, 0)).sample()) for part in x.split(BATCH)])
    worst = elbo.argsort()[: sizes.worst]
    return {
        **measured("ELBO", elbo),
        **measured(f"IWAE({sizes.samples})", iwae),
        **measured("IWAE - ELBO", iwae - elbo),
        **measured("reconstruction", reconstruction),
        **measured("reconstruction gained by the right code", reconstruction - shifted.double()),
        **measured("KL(q(z|x) || p(z))", kl),
        "spread of the ELBO": float(elbo.std()),
        "worst images": [{"image": int(order[i]), "ELBO": float(elbo[i])} for i in worst.tolist()],
    }


def codes(vae: VAE, x: Tensor) -> dict:
    """Active units and KL by dimension."""
    divided, reason = kl_by_dimension(vae, x)
    loc, scale = evaluation.encode(vae, x)
    mean, variance = evaluation.moments(loc, scale)
    return {
        "active units": int(evaluation.active_units(vae, x).sum()),
        "variance of the means by dimension": loc.double().var(0, correction=0).tolist(),
        "KL by dimension": divided,
        "KL by dimension is absent because": reason,
        "mean of q(z)": mean.tolist(),
        "variance of q(z)": variance.tolist(),
        "prior is N(0, I)": is_standard(vae),
    }


def is_standard(vae: VAE) -> bool:
    p = vae.prior()
    return is_diagonal(p) and bool((p.mean == 0).all() and (p.stddev == 1).all())


def kl_by_dimension(vae: VAE, x: Tensor) -> tuple[list[float] | None, str]:
    """Mean of KL(q(z_d|x) || N(0, 1)) over x, [D] nats, and why it is absent where q or p does not factorise."""
    parts = [vae.posterior(part) for part in x.split(BATCH)]
    if not is_diagonal(parts[0]):
        return None, "q(z|x) is no diagonal Gaussian: its dimensions do not add up to the KL."
    if not is_standard(vae):
        return None, "The prior is not N(0, I): its dimensions do not add up to the KL."
    unit = Normal(0.0, 1.0)
    each = [kl_divergence(Normal(q.mean.double().cpu(), q.stddev.double().cpu()), unit) for q in parts]
    return torch.cat(each).mean(0).tolist(), ""


def prior(vae: VAE, x: Tensor, sizes: Sizes, seed: int) -> dict:
    """q(z) against p(z): their KL, the mutual information (Hoffman & Johnson 2016), the low posterior share."""
    found = aggregate.marginal_kl(vae, [x], 2, points=min(len(x), 1000), seed=seed)
    summed, others = x[: len(x) // 2], x[len(x) // 2 :]
    drawn = torch.cat([vae.posterior(part).sample() for part in others.split(BATCH)])
    level = aggregate.log_aggregate_of(vae, drawn, summed).quantile(LOWEST)
    held = evaluation.encode(vae, summed) if is_diagonal(vae.posterior(x[:1])) else summed
    low = aggregate.low_posterior(vae, held, sizes.prior, 1, seed=seed).all_log_q < level
    return {
        "KL(q(z) || p(z))": found.kl,
        "KL(q(z) || p(z)) error": found.kl_error,
        "mutual information": found.mutual_information,
        "mutual information error": found.mutual_information_error,
        "ceiling of the mutual information": found.cap,
        **measured("low posterior share", low.double()),
    }


def gap(vae: VAE, x: Tensor) -> dict:
    """The exact gap by quadrature, in two parts where q is a diagonal Gaussian (Cremer et al. 2018)."""
    found = exact.split_gap(vae, x)
    return {
        "images": len(x),
        **measured("log p(x)", found.log_evidence),
        **measured("gap", found.total),
        **evaluation.parts(found),
    }


def measured(name: str, values: Tensor) -> dict[str, float]:
    """The mean of values [N] and its standard error."""
    mean, error = aggregate.information.mean_and_error(values.double())
    return {name: mean, f"{name} error": error}
