"""What a report of health measures: bounds, codes, q(z) against the prior, training against test images."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, kl_divergence

from vaecore import aggregate, evaluation, exact
from vaecore.distributions import is_diagonal
from vaecore.health.sizes import Sizes
from vaecore.vae import VAE

LOWEST = 0.01  # of the codes: prior samples less dense under q(z) than all but this share of them count as low
DRAWS = 2000  # of held-out codes, for the level below which only LOWEST of them lie
BATCH = 100  # images at once
FEW = 10  # images whose exact posteriors are integrated at once
Found = dict[str, object]


class Remembered(nn.Module):
    """q(z|x) of N images, encoded once, however often it is asked for: the n-th is known by the one pixel n / N."""

    def __init__(self, loc: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.loc, self.scale = loc, scale

    def forward(self, x: Tensor) -> Independent:
        number = (x.flatten().double() * len(self.loc)).round().long()
        return Independent(Normal(self.loc[number], self.scale[number]), 1)


def encoded_once(vae: VAE, x: Tensor) -> tuple[VAE, Tensor]:
    """`vae` and images x, or, where q is a diagonal Gaussian, the same with x by one pixel each and q remembered."""
    if not is_diagonal(vae.posterior(x[:1])):
        return vae, x
    loc, scale = (part.to(x.device) for part in evaluation.encode(vae, x, BATCH))
    pixels = (torch.arange(len(x)) / len(x)).to(x)[:, None, None, None]
    return VAE(vae.prior, Remembered(loc, scale), vae.decoder), pixels


def bounds(vae: VAE, x: Tensor, samples: int) -> Iterator[dict[str, Tensor]]:
    """Of the images [N, ...] so far, after each portion: reconstruction, KL, IWAE, and the reconstruction less that
    from the code of another image, each [n] nats."""
    rows = []
    for part in x.split(BATCH):
        reconstruction, kl, iwae = evaluation.bounds(vae, part, samples)
        shifted = vae.log_likelihood(part, vae.posterior(part.roll(1, 0)).sample()).double()
        rows.append(torch.stack([reconstruction, kl, iwae, reconstruction - shifted]))
        yield dict(zip(("reconstruction", "kl", "iwae", "gain"), torch.cat(rows, 1), strict=True))


def summary(values: dict[str, Tensor], samples: int) -> Found:
    """ELBO and IWAE, and what the codes are worth to the decoder."""
    reconstruction, kl, iwae = values["reconstruction"], values["kl"], values["iwae"]
    elbo = reconstruction - kl
    return {
        "images measured": len(elbo),
        "draws": samples,
        **measured("ELBO", elbo),
        **measured("IWAE", iwae),
        **measured("IWAE - ELBO", iwae - elbo),
        **measured("reconstruction", reconstruction),
        **measured("reconstruction gained by the right code", values["gain"]),
        **measured("KL(q(z|x) || p(z))", kl),
        "spread of the ELBO": float(elbo.std()),
        "spread of log p(x)": float(iwae.std()),
    }


def compared(test: dict[str, Tensor], train: dict[str, Tensor]) -> Found:
    """Training against test images: the ELBO of both and the difference, whose error holds both errors."""
    found: Found = {"images": len(test["kl"])}
    for kind, values in (("test", test), ("training", train)):
        elbo = values["reconstruction"] - values["kl"]
        found |= measured(f"ELBO of {kind} images", elbo)
        found |= measured(f"KL of {kind} images", values["kl"])
    errors = [found[f"ELBO of {kind} images error"] for kind in ("test", "training")]
    found["training - test"] = found["ELBO of training images"] - found["ELBO of test images"]
    found["training - test error"] = math.hypot(*errors)
    return found


def worst(values: dict[str, Tensor], order: Tensor, count: int) -> list[dict]:
    """The images with the least ELBO, by their index; `order` holds the indices of those measured."""
    elbo = values["reconstruction"] - values["kl"]
    return [{"image": int(order[i]), "ELBO": float(elbo[i])} for i in elbo.argsort()[:count].tolist()]


def codes(vae: VAE, x: Tensor) -> Found:
    """Active units, KL by dimension, and the moments of q(z)."""
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


def prior(vae: VAE, x: Tensor, sizes: Sizes, seed: int) -> Found:
    """q(z) against p(z): their KL, the mutual information (Hoffman & Johnson 2016), the low posterior share."""
    found = aggregate.marginal_kl(vae, [x], 2, points=min(len(x), 1000), seed=seed)
    return {
        "KL(q(z) || p(z))": found.kl,
        "KL(q(z) || p(z)) error": found.kl_error,
        "mutual information": found.mutual_information,
        "mutual information error": found.mutual_information_error,
        "ceiling of the mutual information": found.cap,
        **low(vae, x, sizes, seed),
    }


def low(vae: VAE, x: Tensor, sizes: Sizes, seed: int) -> Found:
    """The share of samples of p(z) where q(z), over one half of the images, is lower than at all but LOWEST of the
    codes of the other half."""
    summed, others = x[: len(x) // 2], x[len(x) // 2 :]
    diagonal = is_diagonal(vae.posterior(x[:1]))  # of any other q the density of each pair is slow
    times = -(-DRAWS // len(others)) if diagonal else 2
    drawn = torch.cat([vae.posterior(part).sample((times,)).flatten(0, 1) for part in others.split(BATCH)])
    level = aggregate.log_aggregate_of(vae, drawn, summed).quantile(LOWEST)
    held = evaluation.encode(vae, summed) if diagonal else summed
    below = aggregate.low_posterior(vae, held, sizes.prior, 1, seed=seed).all_log_q < level
    return {**measured("low posterior share", below.double()), "images held out": len(others)}


def gaps(vae: VAE, x: Tensor) -> Iterator[Found]:
    """The exact gap by quadrature (Cremer et al. 2018) of the images so far, portion after portion."""
    rows, overview = [], exact.Overview(vae, evaluation.encode(vae, x)[0])
    for part in x.split(FEW):
        found = exact.split_gap(vae, part, overview)
        rows.append(torch.stack([found.log_evidence, found.total, found.approximation]).double().cpu())
        yield gap(*torch.cat(rows, 1), is_diagonal(found.q))


def stored_gap(analysis: dict[str, Tensor], diagonal: bool) -> Found | None:
    """The same from what `analysis.analyse` keeps, on as many images as it has come to; None where there are none."""
    names = [f"exact.{name}" for name in ("log_evidence", "approximation", "amortization")]
    if not all(name in analysis for name in names):
        return None
    evidence, best, rest = (analysis[name].double() for name in names)
    return gap(evidence, best + rest, best, diagonal)


def gap(log_evidence: Tensor, total: Tensor, best: Tensor, diagonal: bool) -> Found:
    """From log p(x), the gap and that of the best diagonal Gaussian, each [N] nats; in two parts where q is one."""
    named = "approximation gap" if diagonal else "gap of the best diagonal Gaussian"
    return {
        "images": len(total),
        **measured("log p(x)", log_evidence),
        "spread of log p(x)": float(log_evidence.std()),
        **measured("gap", total),
        "median of the gap": float(total.median()),
        named: float(best.mean()),
        **({"amortization gap": float((total - best).mean())} if diagonal else {}),
    }


def is_plane(p: Distribution) -> bool:
    return p.event_shape == (2,)


def measured(name: str, values: Tensor) -> dict[str, float]:
    """The mean of values [N] and its standard error."""
    mean, error = aggregate.information.mean_and_error(values.double())
    return {name: mean, f"{name} error": error}
