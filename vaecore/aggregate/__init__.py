"""The aggregated posterior q(z) = 1/N sum_i q(z|x_i), which the prior should match and does not.

The ELBO's KL splits into KL(q(z) || p(z)) and the mutual information of x and z (learned-prior paper, equation 6). Here
is q(z) itself, exact: where the prior puts mass and no code lies, what is decoded there, and what should be.
"""

from vaecore.aggregate.density import log_aggregate, log_aggregate_of, log_densities, log_densities_of
from vaecore.aggregate.lows import Judgement, LowSamples, judge, low_posterior

__all__ = [
    "Judgement",
    "LowSamples",
    "judge",
    "log_aggregate",
    "log_aggregate_of",
    "log_densities",
    "log_densities_of",
    "low_posterior",
]
