"""The aggregated posterior against naive sums in double precision, closed forms and explicit loops."""

import math

import pytest
import torch
from models import SHAPE, linear_gaussian, perturbed
from torch import Tensor
from torch.distributions import Independent, Normal

import vaecore
from vaecore import aggregate


def naive(z: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    """log q(z|x_i) of each pair, [M, N], by torch's own density in double precision."""
    return Independent(Normal(loc.double(), scale.double()), 1).log_prob(z.double()[:, None])


def codes(count: int, latent: int, reach: float, least: float) -> tuple[Tensor, Tensor]:
    """Means up to |reach| and standard deviations from `least` to 50 times it."""
    loc = reach * (2 * torch.rand(count, latent) - 1)
    return loc, least * torch.exp(math.log(50) * torch.rand(count, latent))


@pytest.mark.parametrize(
    ("latent", "reach", "least"), [(2, 7.0, 0.004), (2, 7.0, 0.1), (40, 3.0, 0.01), (40, 2.0, 0.2), (1, 300.0, 0.004)]
)
def test_log_q_is_the_naive_sum(latent: int, reach: float, least: float) -> None:
    loc, scale = codes(1300, latent, reach, least)
    near = loc[:500] + scale[:500] * torch.randn(500, latent)
    far = torch.tensor([[1e3], [-1e4]]).expand(-1, latent)
    z = torch.cat([near, torch.randn(1600, latent), far, loc[:3]])
    truth = naive(z, loc, scale)
    torch.testing.assert_close(
        aggregate.log_aggregate(z, loc, scale), truth.logsumexp(1) - math.log(1300), atol=2e-3, rtol=1e-7
    )
    torch.testing.assert_close(aggregate.log_densities(z[:9], loc, scale), truth[:9], atol=1e-6, rtol=1e-9)


def test_single_precision_is_used_where_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    used = []
    plain = aggregate.density.log2_sum
    monkeypatch.setattr(aggregate.density, "log2_sum", lambda *rest: used.append(rest[-1]) or plain(*rest))
    loc, scale = torch.randn(3000, 40) + 50, 0.3 + torch.rand(3000, 40)
    z = torch.randn(100, 40) + 50
    truth = naive(z, loc, scale).logsumexp(1) - math.log(3000)
    torch.testing.assert_close(aggregate.log_aggregate(z, loc, scale), truth, atol=1e-3, rtol=0)
    aggregate.log_aggregate(z, loc, scale / 100)
    assert used == [torch.float32, torch.float64]


def test_terms_that_outgrow_the_sampled_ones_are_put_right() -> None:
    loc, scale = torch.zeros(2000, 2), torch.full((2000, 2), 0.1)
    # The sample sees each seventh code; the others are nearer to the point, the later the nearer.
    loc[:, 0] = torch.linspace(20, 0, 2000)
    loc[::7, 0] = 30
    z = torch.tensor([[-1.0, 0.0], [30.0, 0.0], [10.0, 3.0]])
    truth = naive(z, loc, scale).logsumexp(1) - math.log(2000)
    torch.testing.assert_close(aggregate.log_aggregate(z, loc, scale), truth, atol=3e-3, rtol=0)


@pytest.mark.parametrize("recipe", ["vae", "me", "laplace-vae", "iaf", "gpvae"])
def test_log_q_of_any_vae_is_the_mean_of_its_posteriors(recipe: str) -> None:
    vae = perturbed(recipe, "small" if recipe != "laplace-vae" else "dense", "gaussian")
    images, z = torch.rand(7, *SHAPE), torch.randn(5, 2)
    with torch.no_grad():
        each = torch.stack([vae.posterior(images[i : i + 1]).log_prob(z[:, None])[:, 0] for i in range(7)], 1).double()
    torch.testing.assert_close(aggregate.log_densities_of(vae, z, images), each, atol=2e-3, rtol=1e-4)
    expected = each.logsumexp(1) - math.log(7)
    events = []
    torch.testing.assert_close(
        aggregate.log_aggregate_of(vae, z, images, events.append), expected, atol=2e-3, rtol=1e-4
    )
    assert events == [{"event": "step", "step": 1, "steps": 1}]


def test_wrong_shapes_are_refused_with_a_sentence() -> None:
    loc, scale = torch.zeros(4, 2), torch.ones(4, 2)
    with pytest.raises(ValueError, match=r"\[3, 3\], \[4, 2\] and \[4, 2\]; they need"):
        aggregate.log_aggregate(torch.zeros(3, 3), loc, scale)
    with pytest.raises(ValueError, match="above zero"):
        aggregate.log_densities(torch.zeros(3, 2), loc, 0 * scale)
    with pytest.raises(ValueError, match="need \\[N, C, H, W\\]"):
        aggregate.log_aggregate_of(linear_gaussian(0.3), torch.zeros(3, 2), torch.zeros(0, 1, 4, 4))
    with pytest.raises(ValueError, match="1 <= keep <= count"):
        aggregate.low_posterior(linear_gaussian(0.3), (loc, scale), count=5, keep=6)
    with pytest.raises(ValueError, match="one image each"):
        aggregate.judge(linear_gaussian(0.3), torch.zeros(3, 2), torch.zeros(2, 1, 4, 4))


def test_low_posterior_samples_are_the_prior_samples_farthest_from_the_codes() -> None:
    vae = linear_gaussian(0.3)
    loc, scale = torch.tensor([[1.0, 0.0]]).double(), torch.full((1, 2), 0.5).double()
    low = aggregate.low_posterior(vae, (loc, scale), count=1000, keep=20, seed=3)
    again = aggregate.low_posterior(vae, (loc, scale), count=1000, keep=1000, seed=3)
    assert low.z.shape == (20, 2)
    assert torch.equal(low.z, again.z[:20])
    distance = (again.z - loc).norm(dim=1)
    assert (distance.diff() <= 0).all()
    torch.testing.assert_close(low.log_q, naive(low.z, loc, scale)[:, 0])
    assert torch.equal(low.all_log_q, again.log_q)
    images = torch.rand(3, 1, 4, 4).double()
    of_images = aggregate.low_posterior(vae, images, count=1000, keep=20, seed=3)
    q = vae.posterior(images)
    assert torch.equal(of_images.z, aggregate.low_posterior(vae, (q.mean, q.stddev), 1000, 20, seed=3).z)


def test_two_vaes_judge_the_same_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregate.lows, "PORTION", 4)
    vae, z = perturbed("vae", "small", "bernoulli"), torch.randn(6, 2)
    first = aggregate.judge(vae, z, seed=1)
    second = aggregate.judge(vae, z, first.images, seed=1)
    assert torch.equal(first.images, second.images)
    assert set(first.images.unique().tolist()) <= {0.0, 1.0}
    torch.testing.assert_close(first.means, vae.likelihood(z).mean.detach())
    torch.testing.assert_close(first.log_prior, vae.prior().log_prob(z))
    many = aggregate.judge(vae, z, first.images, samples=3000).elbo
    with torch.no_grad():
        torch.testing.assert_close(many, vae.elbo(first.images, 3000), atol=0.2, rtol=0)
    assert vaecore.aggregate is aggregate
