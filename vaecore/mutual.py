"""How far diagonal Gaussians lie from each other: KL(q_i || q_j) of all pairs, its mean, its spread (Ma et al. 2019).

The released code's conventions: all B(B-1) ordered pairs count, so both directions do, and no posterior is paired with
itself. Theorem 1 of the paper holds for pairs with i = j included: there the mean is (B-1)/B of this one.
"""

import torch
from torch import Tensor


def pairwise_kl(loc: Tensor, scale: Tensor) -> Tensor:
    """KL_k(q_i || q_j) with shape [B, B, D], nats, of q_i = N(loc_i, diag scale_i²), loc and scale [B, D].

    The first index is the first argument; the diagonal is exactly 0. Raises ValueError for other shapes.
    """
    if loc.ndim != 2 or loc.shape != scale.shape:
        shapes = f"{list(loc.shape)} and {list(scale.shape)}"
        raise ValueError(f"loc and scale have shapes {shapes}; both must be [B, D].")
    log_scale = scale.log()
    log_ratio = 2 * (log_scale[:, None] - log_scale)
    distance = ((loc[:, None] - loc) / scale).square()
    return 0.5 * (torch.expm1(log_ratio) - log_ratio + distance)


def mean_pairwise(kl: Tensor) -> Tensor:
    """The mean of kl [B, B, ...] over the B(B-1) ordered pairs, [...]; summed over dimensions, MPD (equation 4)."""
    return off_diagonal(kl).mean(0)


def spread(kl: Tensor) -> Tensor:
    """STD, the sample standard deviation of the pairs' total KL: kl [B, B, D] to a scalar in nats (equation 6).

    Its divisor is B² - B - 1. Where all posteriors coincide its gradient is 0.
    """
    return off_diagonal(kl.sum(-1)).std()


def off_diagonal(pairs: Tensor) -> Tensor:
    """[B, B, ...] to [B(B-1), ...], row by row without the diagonal. ValueError for a batch of one: it has no pair."""
    count = len(pairs)
    if count < 2:
        raise ValueError(f"A batch of {count} has no pair of posteriors; diversity and smoothness need at least 2.")
    # After its first entry, every (B+1)-th entry of the flat matrix lies on the diagonal.
    rows = pairs.flatten(0, 1)[1:].unflatten(0, (count - 1, count + 1))
    return rows[:, :-1].flatten(0, 1)
