"""Why a training diverged: what is no finite number any more, by name."""

import re
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaecore.text import a
from vaecore.vae import VAE

GROWN = 1e3  # no weight of a sound network comes near


def in_short(error: ValueError) -> str:
    """torch's refusal of a distribution's parameter, without the tensor that it prints."""
    found = re.match(r"Expected parameter (\w+) .* of distribution (\w+)", str(error))
    return f"{found[1]} of {a(found[2])} is out of its range" if found else str(error).split(":")[0]


def cause_in_gradients(vae: VAE) -> str:
    """Which parameters' gradients are not finite, first those of the layers nearest to the objective."""
    wrong = [name for name, part in vae.named_parameters() if part.grad is not None and not finite(part.grad)]
    return f"the objective is finite and the gradient of {listed(wrong[::-1])} is not"


@torch.no_grad()
def cause(vae: VAE, x: Tensor, prior: Distribution | None = None, error: ValueError | None = None) -> str:
    """Which weights, or else what the `error` names, or which term of the ELBO of images x, are not finite."""
    if wrong := [name for name, part in vae.named_parameters() if not finite(part)]:
        return f"{listed(wrong)} {'are' if len(wrong) > 1 else 'is'} not finite"
    try:
        q = vae.posterior(x)
        terms = dict(zip(("E_q[log p(x|z)]", "KL(q(z|x) || p(z))"), vae.bound(x, q=q, p=prior), strict=True))
    except ValueError as error:
        return in_short(error)
    wrong = [f"{name} is {worst(term)}" for name, term in terms.items() if not finite(term)]
    if not wrong:
        return "the ELBO is finite and what else the recipe maximises is not"
    least, most = float(q.stddev.min()), float(q.stddev.max())
    return f"{' and '.join(wrong)}; the standard deviations of q(z|x) are from {least:.3g} to {most:.3g}"


def remedy(vae: VAE, learning_rate: float) -> str:
    """What mends it, where weights that have grown beyond measure show that the steps were too large."""
    sizes = {name: float(part.detach().abs().max()) for name, part in vae.named_parameters()}
    name = max(sizes, key=lambda name: sizes[name])
    if not sizes[name] > GROWN:
        return ""
    return f" {name} had grown to {sizes[name]:.3g}: a smaller learning rate than {learning_rate:g} usually mends it."


def finite(tensor: Tensor) -> bool:
    return bool(tensor.isfinite().all())


def worst(term: Tensor) -> float:
    return float(term[~term.isfinite()][0])


def listed(names: Iterable[str], most: int = 3) -> str:
    """A few names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
