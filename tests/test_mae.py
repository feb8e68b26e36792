"""The systems of the MAE paper against explicit loops, torch's own KL in float64, and finite differences."""

import math
from itertools import permutations

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from vaecore.mutual import mean_pairwise, pairwise_kl, spread

# METHODS' hand check: three posteriors in two dimensions.
LOC = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]]).double()
SCALE = torch.tensor([[1.0, 1.0], [1.0, 4.0], [0.25, 1.0]]).double().sqrt()


def some(batch: int = 5, dims: int = 3) -> tuple[Tensor, Tensor]:
    return torch.randn(batch, dims).double(), torch.randn(batch, dims).double().exp()


# ---- how far posteriors lie from each other


def test_pairwise_kl_is_torchs_own_pair_by_pair() -> None:
    loc, scale = some()
    kl = pairwise_kl(loc, scale)
    assert kl.shape == (5, 5, 3)
    for i in range(5):
        for j in range(5):
            expected = kl_divergence(Normal(loc[i], scale[i]), Normal(loc[j], scale[j]))
            torch.testing.assert_close(kl[i, j], expected)
    assert (kl.diagonal() == 0).all()


def test_mean_and_spread_are_those_of_an_explicit_loop() -> None:
    loc, scale = some()
    kl = pairwise_kl(loc, scale)
    pairs = list(permutations(range(5), 2))
    for k in range(3):
        mean = sum(float(kl[i, j, k]) for i, j in pairs) / (5 * 4)
        assert math.isclose(float(mean_pairwise(kl)[k]), mean)
    totals = [float(kl[i, j].sum()) for i, j in pairs]
    centre = sum(totals) / len(totals)
    std = math.sqrt(sum((total - centre) ** 2 for total in totals) / (5**2 - 5 - 1))
    assert math.isclose(float(spread(kl)), std)


def test_the_hand_check_of_mean_and_spread() -> None:
    kl = pairwise_kl(LOC, SCALE)
    assert float(mean_pairwise(kl).sum()) == pytest.approx(2.416667, abs=1e-6)
    assert float(spread(kl)) == pytest.approx(1.719241, abs=1e-6)


def test_gradients_of_mean_and_spread_are_the_finite_differences() -> None:
    loc, scale = (each.requires_grad_() for each in some(4, 2))
    for measure in (lambda kl: mean_pairwise(kl), spread):
        assert torch.autograd.gradcheck(lambda m, s: measure(pairwise_kl(m, s)), (loc, scale))  # noqa: B023


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_posteriors_that_coincide_have_no_distance_and_gradient_zero(dtype: torch.dtype) -> None:
    loc = torch.full((6, 3), 0.3, dtype=dtype, requires_grad=True)
    scale = torch.full((6, 3), 0.7, dtype=dtype, requires_grad=True)
    kl = pairwise_kl(loc, scale)
    assert (kl == 0).all()
    (mean_pairwise(kl).sum() + spread(kl)).backward()
    assert (loc.grad == 0).all()
    assert (scale.grad == 0).all()


def test_two_posteriors_are_enough_and_one_is_not() -> None:
    kl = pairwise_kl(*some(2))
    a, b = float(kl[0, 1].sum()), float(kl[1, 0].sum())
    assert math.isclose(float(spread(kl)), abs(a - b) / math.sqrt(2))
    for measure in (mean_pairwise, spread):
        with pytest.raises(ValueError, match="batch of 1 has no pair of posteriors"):
            measure(pairwise_kl(*some(1)))
    with pytest.raises(ValueError, match=r"shapes \[5, 3\] and \[3\]"):
        pairwise_kl(torch.zeros(5, 3), torch.ones(3))
