"""The aggregated posterior against naive sums in double precision, closed forms and explicit loops."""

import math

import pytest
import torch
from models import SHAPE, LinearDecoder, linear_gaussian, perturbed
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

import vaecore
from vaecore import aggregate, evaluation
from vaecore.priors import StandardNormal


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

    def spy(z: Tensor, sample: Tensor, blocks: list[Tensor]) -> Tensor:
        used.append(blocks[0].dtype)
        return plain(z, sample, blocks)

    monkeypatch.setattr(aggregate.density, "log2_sum", spy)
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
    torch.testing.assert_close(aggregate.log_aggregate(z, loc, scale), truth, atol=aggregate.density.TOLERANCE, rtol=0)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_nothing_and_are_given_back(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregate.density, "ROWS", 50)
    before, steps = torch.get_num_threads(), []
    loc, scale, z = torch.randn(300, 3), 0.1 + torch.rand(300, 3), torch.randn(420, 3)
    try:
        torch.set_num_threads(threads)
        found = aggregate.log_aggregate(z, loc, scale, lambda event: steps.append((event["step"], event["steps"])))
        assert torch.get_num_threads() == threads

        def stop(event: dict) -> None:
            raise InterruptedError

        with pytest.raises(InterruptedError):
            aggregate.log_aggregate(z, loc, scale, stop)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert steps == [(k, 9) for k in range(1, 10)]
    torch.testing.assert_close(found, naive(z, loc, scale).logsumexp(1) - math.log(300), atol=1e-3, rtol=0)


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
    assert aggregate.log_aggregate(torch.zeros(0, 2), loc, scale).shape == (0,)
    with pytest.raises(ValueError, match="above zero"):
        aggregate.log_densities(torch.zeros(3, 2), loc, 0 * scale)
    with pytest.raises(ValueError, match="\\[N, C, H, W\\] with N at least 1"):
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


class LinearEncoder(nn.Module):
    """q(z|x) = N(slope·(x's first D pixels), scale²)."""

    def __init__(self, slope: float, scale: float, latent: int = 2) -> None:
        super().__init__()
        self.slope, self.scale, self.latent = nn.Parameter(torch.tensor(slope)), scale, latent

    def forward(self, x: Tensor) -> Distribution:
        loc = self.slope * x.flatten(1)[:, : self.latent]
        return Independent(Normal(loc, torch.full_like(loc, self.scale)), 1)


def linear(slope: float, scale: float) -> vaecore.VAE:
    return vaecore.VAE(StandardNormal(2), LinearEncoder(slope, scale), LinearDecoder(0.5)).double().eval()


def test_marginal_kl_of_a_gaussian_q_is_the_closed_form() -> None:
    """For x ~ N(0, I), q(z) = N(0, slope² + scale²): its divergence and the mutual information are known."""
    slope, scale = 0.6, 0.5
    found = aggregate.marginal_kl(linear(slope, scale), [torch.randn(4000, 1, 4, 4).double()], n_z=3, seed=1)
    variance = slope**2 + scale**2
    kl, information = variance - 1 - math.log(variance), math.log(variance / scale**2)
    assert 0 < found.kl_error < 0.03
    assert abs(found.kl - kl) < 4 * found.kl_error
    # That q(z) is a mean over a sample of x makes a bias of some 1/N; the error is far above it.
    assert abs(found.mutual_information - information) < 4 * found.mutual_information_error
    assert found.avg_kl == pytest.approx(found.kl + found.mutual_information)
    assert found.avg_kl == pytest.approx(kl + information, abs=0.1)
    assert (found.images, found.n_x, found.n_z) == (4000, 1, 3)


def test_its_standard_error_is_the_scatter_of_fresh_estimates() -> None:
    vae, found = linear(0.6, 0.5), []
    for seed in range(40):
        found.append(aggregate.marginal_kl(vae, [torch.randn(300, 1, 4, 4).double()], n_z=2, seed=seed))
    scatter = torch.tensor([each.kl for each in found]).std()
    claimed = torch.tensor([each.kl_error for each in found]).mean()
    assert scatter / 2 < claimed < 2 * scatter


def test_the_fall_with_n_x_is_the_saturation() -> None:
    """Posteriors that do not overlap: the KL is avg KL - log(N n_x), as in the paper's Table B.2."""
    vae, images = linear(3.0, 1e-4), torch.randn(200, 1, 4, 4).double()
    draws = [images + 0.3 * torch.randn_like(images) for _ in range(8)]
    for n_x in (1, 2, 8):
        found = aggregate.marginal_kl(vae, draws[:n_x], n_z=2)
        assert found.cap == pytest.approx(math.log(200 * n_x))
        assert found.mutual_information == pytest.approx(found.cap, abs=0.02)
        assert found.kl == pytest.approx(found.floor, abs=0.02)
    assert found.mutual_information <= found.cap + 1e-6
    few = aggregate.marginal_kl(vae, draws, n_z=2, points=20)
    assert few.mutual_information == pytest.approx(math.log(1600), abs=0.05)


@pytest.mark.parametrize("recipe", ["me", "iaf"])
def test_marginal_kl_is_algorithm_b2_for_any_q(recipe: str) -> None:
    vae = perturbed(recipe, "small", "bernoulli")
    draws, events = [(torch.rand(5, *SHAPE) < 0.5).float() for _ in range(2)], []
    found = aggregate.marginal_kl(vae, draws, n_z=400, on_event=events.append)
    assert events[-1]["step"] == events[-1]["steps"]
    x, n = torch.cat(draws), 400
    with torch.no_grad():
        z = vae.posterior(x).sample((n,))
        each = torch.stack([vae.posterior(x[i : i + 1]).log_prob(z.reshape(-1, 1, 2))[:, 0] for i in range(10)], 1)
        log_q = each.logsumexp(1) - math.log(10)
        kl = (log_q - vae.prior().log_prob(z.reshape(-1, 2))).mean()
        average = (vae.posterior(x).log_prob(z) - vae.prior().log_prob(z)).mean()
    assert found.kl == pytest.approx(float(kl), abs=0.1)
    assert found.avg_kl == pytest.approx(float(average), abs=0.1)


def test_moments_are_those_of_draws_and_of_the_law_of_total_variance() -> None:
    loc, scale = torch.randn(500, 3) * torch.tensor([1.0, 0.2, 3.0]) + 1, 0.1 + torch.rand(500, 3)
    mean, variance = aggregate.moments(loc, scale)
    z = (loc + scale * torch.randn(2000, 500, 3)).double().flatten(0, 1)
    torch.testing.assert_close(mean, z.mean(0), atol=0.01, rtol=0)
    torch.testing.assert_close(variance, z.var(0), atol=0.01, rtol=0.01)
    vae, images = perturbed("vae", "small", "gaussian"), torch.rand(50, *SHAPE)
    loc, scale = evaluation.encode(vae, images)
    assert (aggregate.moments(loc, scale)[1] >= loc.double().var(0, correction=0)).all()


def test_closest_pairs_are_the_explicit_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregate.nearest, "ROWS", 7)
    monkeypatch.setattr(aggregate.nearest, "BLOCK", 5)
    loc, scale = torch.randn(60, 3), 0.1 + torch.rand(60, 3)
    loc[40], loc[59] = loc[3], loc[3]  # three codes at one place
    found = aggregate.closest_pairs(loc, scale)
    for i in range(60):
        gaps = (loc.double() - loc[i].double()).norm(dim=1)
        gaps[i] = torch.inf
        j = int(found.index[i])
        assert j != i
        assert found.distance[i] == gaps.min() == gaps[j]
        if gaps[j] == 0:
            assert i in (3, 40, 59)
            assert found.normalised[i] == 0
            continue
        u = (loc[j] - loc[i]).double() / gaps[j]
        std = [float((u @ torch.diag(scale[k].double() ** 2) @ u).sqrt()) for k in (i, j)]
        assert float(found.normalised[i]) == pytest.approx(2 * float(gaps[j]) / sum(std), rel=1e-6)


def test_normalised_distance_is_that_of_samples() -> None:
    loc, scale = torch.tensor([[0.0, 0.0], [1.0, 2.0]]), torch.tensor([[0.3, 0.1], [0.2, 0.4]])
    found = aggregate.closest_pairs(loc, scale)
    way = (loc[1] - loc[0]) / loc[1].norm()
    std = [float((scale[k] * torch.randn(200_000, 2) @ way).std()) for k in (0, 1)]
    assert found.normalised.tolist() == pytest.approx([2 * 5**0.5 / sum(std)] * 2, rel=0.01)
    assert found.index.tolist() == [1, 0]


def test_nearest_images_are_the_explicit_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregate.nearest, "BLOCK", 5)
    training, images = torch.rand(33, *SHAPE), torch.rand(6, *SHAPE)
    images[2] = training[17]
    index, distance = aggregate.nearest_images(images, training)
    gaps = (images[:, None] - training).double().square().sum((2, 3, 4)).sqrt()
    assert torch.equal(index, gaps.argmin(1))
    torch.testing.assert_close(distance, gaps.amin(1), atol=1e-6, rtol=1e-6)
    assert (int(index[2]), float(distance[2])) == (17, 0.0)


def test_the_optimal_image_is_the_weighted_mean() -> None:
    images = torch.rand(3, *SHAPE)
    loc, scale = torch.tensor([[0.0, 0.0], [1.0, 0.0], [50.0, 0.0]]), torch.ones(3, 2)
    z = torch.tensor([[0.5, 0.0], [50.0, 0.0], [0.0, 0.0], [500.0, 3.0]])
    found = aggregate.optimal_images(aggregate.log_densities(z, loc, scale), images)
    torch.testing.assert_close(found.means[0], images[:2].mean(0))
    torch.testing.assert_close(found.means[1], images[2])
    torch.testing.assert_close(found.means[3], images[2])
    near = 1 / (1 + math.exp(-0.5))
    torch.testing.assert_close(found.means[2], near * images[0] + (1 - near) * images[1])
    assert found.effective.tolist() == pytest.approx([2, 1, 1 / (near**2 + (1 - near) ** 2), 1])


def test_the_optimal_decoder_beats_any_other_at_drawn_codes() -> None:
    """Proposition 2 itself: among decoders, the weighted mean has the least expected Bernoulli loss."""
    images, loc = (torch.rand(6, *SHAPE) < 0.5).double(), torch.randn(6, 2).double()
    scale = torch.full((6, 2), 0.8).double()
    z = (loc + scale * torch.randn(3000, 6, 2)).flatten(0, 1)
    best = aggregate.optimal_images(aggregate.log_densities(z, loc, scale), images).means.clamp(1e-9, 1 - 1e-9)
    x = images.repeat(3000, 1, 1, 1)

    def loss(means: Tensor) -> float:
        return float(-(x * means.log() + (1 - x) * (1 - means).log()).sum((1, 2, 3)).mean())

    for other in (0.9 * best + 0.05, best.pow(1.3).clamp(max=1 - 1e-9), images.mean(0).clamp(1e-9, 1 - 1e-9)):
        assert loss(best) < loss(other.expand_as(x))


def test_wrong_arguments_of_the_rest_are_refused_with_a_sentence() -> None:
    vae, x = linear_gaussian(0.3), torch.rand(3, 1, 4, 4).double()
    with pytest.raises(ValueError, match="a list of tensors of one shape"):
        aggregate.marginal_kl(vae, x)
    with pytest.raises(ValueError, match="1 <= points <= 3"):
        aggregate.marginal_kl(vae, [x], points=4)
    with pytest.raises(ValueError, match="A pair needs two codes"):
        aggregate.closest_pairs(torch.zeros(1, 2), torch.ones(1, 2))
    with pytest.raises(ValueError, match="Images have shapes"):
        aggregate.nearest_images(x, x[..., :3])
    with pytest.raises(ValueError, match="a column for each image"):
        aggregate.optimal_images(torch.zeros(2, 4), x)
