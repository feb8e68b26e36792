"""Ways between two codes: known answers, and never worse than the straight line in their own measure."""

import math

import pytest
import torch
from models import perturbed
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal

import vaecore
from vaecore import paths
from vaecore.priors import RealNVPPrior, StandardNormal
from vaecore.realnvp import RealNVP


def two_gaussians() -> MixtureSameFamily:
    """Two wells around (-3, 0) and (3, 0), with a third, wide one above that bridges them."""
    loc, scale = torch.tensor([[-3.0, 0.0], [3.0, 0.0], [0.0, 3.0]]), torch.tensor([[0.5, 0.5], [0.5, 0.5], [1.5, 0.7]])
    return MixtureSameFamily(Categorical(torch.ones(3)), Independent(Normal(loc, scale), 1))


class Ring(Distribution):
    """Unnormalised: |z| = 2 up to a width of 0.2."""

    support, arg_constraints = torch.distributions.constraints.real_vector, {}

    def log_prob(self, value: Tensor) -> Tensor:
        return -0.5 * ((value.norm(dim=-1) - 2) / 0.2).square()


def flow_prior(seed: int, dim: int, depth: int = 3) -> Distribution:
    torch.manual_seed(seed)
    prior = RealNVPPrior(dim, RealNVP(depth, dim)).eval()
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter += 0.25 * torch.randn_like(parameter)
    return prior()


def ends(dim: int, spread: float = 2.0) -> tuple[Tensor, Tensor]:
    return spread * torch.randn(dim), spread * torch.randn(dim)


def test_the_straight_line_and_its_ends() -> None:
    start, end = ends(7)
    for path in (paths.linear(start, end, 5), paths.spherical(start, end, 5)):
        assert path.shape == (5, 7)
        assert torch.equal(path[0], start)
        assert torch.equal(path[-1], end)
    assert torch.allclose(paths.linear(start, end, 5)[2], (start + end) / 2)


def test_the_great_circle_keeps_norms_and_angles() -> None:
    start, end = ends(12)
    path = paths.spherical(start, 3 * end, 9)
    assert torch.allclose(path.norm(dim=1), torch.linspace(float(start.norm()), float(3 * end.norm()), 9), atol=1e-5)
    unit = path / path.norm(dim=1, keepdim=True)
    cosines = (unit[1:] * unit[:-1]).sum(1)
    assert torch.allclose(cosines, cosines[:1].expand(8), atol=1e-5)


@pytest.mark.parametrize("end", [[0.0, 0.0], [2.0, 4.0], [-1.0, -2.0], [1.0, 2.0]])
def test_without_one_great_circle_it_is_the_straight_line(end: list[float]) -> None:
    start, end = torch.tensor([1.0, 2.0]), torch.tensor(end)
    assert torch.equal(paths.spherical(start, end), paths.linear(start, end))
    assert torch.equal(paths.spherical(end, start), paths.linear(end, start))


def test_under_a_standard_normal_no_straight_line_has_a_valley() -> None:
    prior = StandardNormal(5)()
    for _ in range(10):
        start, end = ends(5)
        path = paths.linear(start, end)
        assert paths.valley(prior.log_prob(path)) == 0
        assert torch.equal(paths.highest_valley(prior, start, end), path)


def test_the_valley_is_measured_from_the_line_between_the_ends() -> None:
    assert paths.valley(torch.tensor([0.0, -3.0, -10.0, -6.0, -8.0])) == -6
    assert paths.valley(torch.tensor([[0.0, 1.0, 2.0], [5.0, 2.0, 5.0], [1.0, 1.0, 1.0]])).tolist() == [0, -3, 0]
    # log p = z² / 2 up to a constant lies z (1 - z) / 2 below its chord over [0, 1], 1/8 in the middle.
    assert paths.valley(torch.linspace(0, 1, 101).square() / 2).item() == pytest.approx(-1 / 8, abs=1e-6)


def test_refined_points_lie_on_the_polygon() -> None:
    path = torch.randn(4, 3)
    fine = paths.refined(path, 6)
    assert fine.shape == (19, 3)
    assert torch.allclose(fine[::6], path)
    assert torch.allclose(fine[3], (path[0] + path[1]) / 2, atol=1e-6)


def test_over_the_bridge_between_two_wells() -> None:
    prior, start, end = two_gaussians(), torch.tensor([-3.0, 0.0]), torch.tensor([3.0, 0.0])
    straight, found = paths.linear(start, end), paths.highest_valley(prior, start, end)
    assert found[len(found) // 2, 1] > 1.5
    assert paths.lowest(prior, found) > paths.lowest(prior, straight) + 1.5
    assert torch.equal(found[0], start)
    assert torch.equal(found[-1], end)
    # Nothing is gained by a longer way: the pass is as high as the best of a fine grid of arches.
    t = torch.linspace(0, 1, 61)
    x, height = -3 * (math.pi * t).cos(), torch.linspace(0, 5, 101)[:, None]
    arches = torch.stack([x.expand(101, 61), height * (math.pi * t).sin()], -1)
    assert paths.lowest(prior, found) > prior.log_prob(arches).amin(1).max() - 0.3


@pytest.mark.parametrize("angle", [1.0, 2.0, math.pi])
def test_a_ring_is_gone_round(angle: float) -> None:
    start, end = torch.tensor([2.0, 0.0]), 2 * torch.tensor([math.cos(angle), math.sin(angle)])
    found = paths.highest_valley(Ring(), start, end)
    assert found.norm(dim=1).sub(2).abs().max() < 0.2
    steps = found.diff(dim=0).norm(dim=1)
    assert steps.max() < 1.1 * steps.min()
    assert steps.sum() == pytest.approx(2 * angle, rel=0.03)


@pytest.mark.parametrize("dim", [2, 8])
def test_never_lower_than_the_straight_line(dim: int) -> None:
    better = 0
    for seed in range(4):
        prior = flow_prior(seed, dim)
        start, end = prior.sample((2,))
        straight, found = paths.linear(start, end), paths.highest_valley(prior, start, end)
        assert paths.lowest(prior, found) >= paths.lowest(prior, straight) - 2 * paths.ROUNDING
        assert prior.log_prob(found).min() >= paths.lowest(prior, straight) - 2 * paths.ROUNDING
        better += bool(paths.lowest(prior, found) > paths.lowest(prior, straight) + 0.01)
        assert torch.equal(paths.highest_valley(prior, start, end), found)
    assert better


class Walled(Ring):
    """Nothing inside of |z| = 1."""

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value).where(value.norm(dim=-1) > 1, -math.inf)


def test_where_the_straight_line_leaves_the_support_another_way_or_itself_is_taken() -> None:
    start = torch.tensor([2.0, 0.0])
    for end in (-start, torch.tensor([0.0, 2.0]), start + 1):
        found = paths.highest_valley(Walled(), start, end)
        assert found.isfinite().all()
        assert torch.equal(found[[0, -1]], torch.stack([start, end]))
        assert paths.lowest(Walled(), found) >= paths.lowest(Walled(), paths.linear(start, end))


@pytest.mark.parametrize("name", ["vae", "gpvae"])
def test_the_smoothest_way_changes_the_image_least(name: str) -> None:
    vae = perturbed(name, "small", "bernoulli", 3)

    def decode(z: Tensor) -> Tensor:
        return vae.likelihood(z).mean

    for _ in range(3):
        start, end = ends(3, 4.0)
        straight, found = paths.linear(start, end), paths.smoothest(decode, start, end)
        assert found.shape == straight.shape
        assert torch.equal(found[[0, -1]], torch.stack([start, end]))
        assert paths.energy(decode(found)) < paths.energy(decode(straight))
        assert torch.equal(paths.smoothest(decode, start, end), found)
    assert all(parameter.grad is None for parameter in vae.parameters())


def test_the_smoothest_way_of_a_plane_is_straight_and_of_a_bent_axis_even() -> None:
    start, end = ends(3)
    weight = torch.randn(3, 20)
    assert torch.allclose(paths.smoothest(lambda z: z @ weight, start, end), paths.linear(start, end), atol=1e-3)
    # g = z³: equal steps of g, whose sum of squares is |g(1) - g(0)|² / (T - 1).
    found = paths.smoothest(lambda z: z**3, torch.zeros(1), torch.ones(1), 9)
    assert paths.energy(found**3).item() == pytest.approx(1 / 8, rel=0.01)


def test_pairs_are_found_by_their_valleys() -> None:
    prior = two_gaussians()
    codes = prior.sample((300,))
    deep, smooth = paths.find_pairs(prior, codes, 4), paths.find_pairs(prior, codes, 4, deepest=False)
    for pairs in (deep, smooth):
        assert pairs.index.shape == (4, 2)
        assert len(set(pairs.index.flatten().tolist())) == 8
        for (i, j), depth in zip(pairs.index, pairs.valley, strict=True):
            assert paths.valley(prior.log_prob(paths.linear(codes[i], codes[j], paths.COARSE))) == pytest.approx(depth)
    assert deep.valley.tolist() == sorted(deep.valley.tolist())
    assert deep.valley.max() < smooth.valley.min() - 2
    assert torch.equal(paths.find_pairs(prior, codes, 4).index, deep.index)
    assert not torch.equal(paths.find_pairs(prior, codes, 4, seed=1).index, deep.index)


def test_ends_and_codes_must_fit() -> None:
    with pytest.raises(ValueError, match="two ends"):
        paths.linear(torch.zeros(2), torch.zeros(3))
    with pytest.raises(ValueError, match="N >= 2"):
        paths.find_pairs(StandardNormal(2)(), torch.zeros(1, 2))
    assert vaecore.paths is paths
