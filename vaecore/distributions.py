"""The distributions that torch lacks, and points that stand for any of them in an expectation."""

import math
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor
from torch.distributions import (
    Bernoulli,
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    Normal,
    TransformedDistribution,
    constraints,
)
from torch.nn.functional import softplus


class GreyBernoulli(Bernoulli):
    """Bernoulli by logits whose log density also accepts grey values x in [0, 1].

    log p(x) = x·logit - softplus(logit) is linear in x: for a grey pixel it is the mean of log p over the pixel's
    random binarisations b ~ Bernoulli(x), and for x in {0, 1} the usual log probability (nats).
    """

    support = constraints.unit_interval

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return value * self.logits - softplus(self.logits)


def diagonal(parameters: Tensor) -> Independent:
    """N(m, diag s²) for `parameters` [..., 2D], which hold m and log s²."""
    loc, log_variance = parameters.chunk(2, dim=-1)
    return Independent(Normal(loc, (0.5 * log_variance).exp()), 1)


def is_diagonal(q: Distribution) -> bool:
    """Whether q is a Gaussian of independent dimensions."""
    return isinstance(q, Independent) and isinstance(q.base_dist, Normal)


class Shares(Categorical):
    """Categorical by logarithms [..., M] whose exponentials sum to 1 already: torch's takes nine steps to see to it."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = self._param = logits
        self._num_events = logits.shape[-1]
        Distribution.__init__(self, logits.shape[:-1], validate_args=False)


class Mixture(MixtureSameFamily):
    """A mixture of diagonal Gaussians, batch_shape [B], whose samples carry gradients to all of its parameters.

    With F_d the distribution function of z_d given z_1..d-1, F(z) = u keeps u while the parameters move, so that
    dz = -(dF/dz)⁻¹ dF (implicit reparameterisation, Figurnov et al. 2018); dF/dz is lower triangular.
    """

    has_rsample = True

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with torch.no_grad():
            z = self.sample(torch.Size(sample_shape))
            slope = self._conditionals(z)[1]
        level = self._conditionals(z)[0]
        moved = torch.linalg.solve_triangular(slope, (level - level.detach())[..., None], upper=False)
        return z - moved[..., 0]

    def _conditionals(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """F_d(z_d | z_1..d-1) with shape [..., D], and its derivatives by z with shape [..., D, D]."""
        parts: Normal = self.component_distribution.base_dist
        unit = (z[..., None, :] - parts.loc) / parts.scale
        log_density = -0.5 * unit.square() - parts.scale.log() - 0.5 * math.log(2 * math.pi)
        before = log_density.cumsum(-1) - log_density
        share = (self.mixture_distribution.logits[..., None] + before).softmax(-2)
        below = torch.special.ndtr(unit)
        level = (share * below).sum(-2)
        score = -unit / parts.scale
        # d share_md / d z_j = share_md (score_mj - the shares' mean score_j), for j < d.
        both = torch.einsum("...md,...md,...mj->...dj", share, below, score)
        mean = torch.einsum("...md,...mj->...dj", share, score)
        slope = (both - level[..., None] * mean).tril(-1)
        return level, slope + torch.diag_embed((share * log_density.exp()).sum(-2))


class Flow(TransformedDistribution):
    """Invertible maps of a diagonal Gaussian; its moments are estimated from 128 fixed pairs of opposite draws."""

    @cached_property
    def _draws(self) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(128, self.event_shape[0], generator=generator).to(self.base_dist.mean)
        pairs = torch.cat([noise, -noise]).reshape(-1, *[1] * len(self.batch_shape), self.event_shape[0])
        z = self.base_dist.mean + pairs * self.base_dist.stddev
        for transform in self.transforms:
            z = transform(z)
        return z

    @property
    def mean(self) -> Tensor:
        return self._draws.mean(0)

    @property
    def variance(self) -> Tensor:
        return self._draws.var(0, correction=0)


def draw(q: Distribution, samples: int = 1) -> tuple[Tensor, Tensor]:
    """Points z [K, B, D] and weights [K, B], which sum to 1 over K, with E_q f = E sum_k weight_k f(z_k).

    They are `samples` draws of q; of a mixture, as many of each component, which weigh what their component does.
    Gradients reach all parameters of q through both.
    """
    if not isinstance(q, MixtureSameFamily):
        z = q.rsample((samples,))
        return z, torch.full_like(z[..., 0], 1 / samples)
    z = q.component_distribution.rsample((samples,)).movedim(-2, 1).flatten(0, 1)
    return z, q.mixture_distribution.probs.movedim(-1, 0).repeat(samples, 1) / samples
