"""The aggregated posterior q(z) = 1/N sum_i q(z|x_i), which the prior should match and does not.

The ELBO's KL splits into KL(q(z) || p(z)) and the mutual information of x and z (learned-prior paper, equation 6). Here
is q(z) itself, exact: where the prior puts mass and no code lies, what is decoded there, what should be, and how far
apart the codes are.
"""

from vaecore.aggregate.density import log_aggregate, log_aggregate_of, log_densities, log_densities_of
from vaecore.aggregate.information import MarginalKL, marginal_kl
from vaecore.aggregate.lows import Judgement, LowSamples, judge, low_posterior
from vaecore.aggregate.nearest import ClosestPairs, closest_pairs, nearest_images
from vaecore.aggregate.optimal import OptimalImages, optimal_images
from vaecore.evaluation import moments

__all__ = [
    "ClosestPairs",
    "Judgement",
    "LowSamples",
    "MarginalKL",
    "OptimalImages",
    "closest_pairs",
    "judge",
    "log_aggregate",
    "log_aggregate_of",
    "log_densities",
    "log_densities_of",
    "low_posterior",
    "marginal_kl",
    "moments",
    "nearest_images",
    "optimal_images",
]
