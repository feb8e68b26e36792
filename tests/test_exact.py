"""The exact posterior against closed forms and brute force."""

import math
from collections.abc import Callable, Iterator

import pytest
import torch
from models import (
    PIXELWISE,
    SHAPE,
    VARIANTS,
    brute_force,
    folded,
    gaussian,
    linear_gaussian,
    mixture,
    perturbed,
    written,
)
from torch.distributions import (
    AffineTransform,
    Categorical,
    Independent,
    Laplace,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    StudentT,
    TransformedDistribution,
    Uniform,
    kl_divergence,
)

import vaecore
from vaecore import exact


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.mark.parametrize("scale", [1.0, 0.1, 0.01, 0.003])
def test_linear_gaussian_model_has_its_closed_form(scale: float) -> None:
    vae = linear_gaussian(scale)
    with torch.no_grad():
        x = vae.likelihood(torch.randn(6, 2)).sample()
        truth, posterior = vae.decoder.evidence().log_prob(x.flatten(1)), vae.decoder.posterior(x)
    gap = exact.split_gap(vae, x)
    torch.testing.assert_close(gap.log_evidence, truth, atol=1e-3, rtol=0)
    assert ((gap.log_evidence - truth).abs() <= gap.error + 1e-9).all()
    diagonal = MultivariateNormal(posterior.mean, torch.diag_embed(1 / posterior.precision_matrix.diagonal(0, -2, -1)))
    torch.testing.assert_close(gap.approximation, kl_divergence(diagonal, posterior), atol=1e-3, rtol=0)
    q = MultivariateNormal(gap.q.mean, torch.diag_embed(gap.q.variance))
    torch.testing.assert_close(gap.total, kl_divergence(q, posterior), atol=1e-3, rtol=1e-4)
    z = posterior.sample((7,)).movedim(0, 1)
    log_density = posterior.log_prob(z.movedim(1, 0)).movedim(0, 1)
    torch.testing.assert_close(gap.posterior.log_prob(z), log_density, atol=1e-3, rtol=1e-6)
    assert (gap.modes == 1).all()


def test_a_posterior_of_two_modes_is_whole() -> None:
    vae = folded()
    x = torch.tensor([[1.0, 0.3], [2.0, -0.5], [-0.5, 0.0]]).reshape(3, 1, 1, 2)
    gap = exact.split_gap(vae, x)
    assert gap.modes.tolist() == [2, 2, 1]
    for b in range(3):
        z, values, area = brute_force(vae, x[b : b + 1])
        log_evidence = values.logsumexp(0) + torch.tensor(area).log()
        assert abs(gap.log_evidence[b] - log_evidence) < 1e-3
        log_q = Independent(Normal(gap.q.mean[b], gap.q.stddev[b]), 1).log_prob(z)
        kl = (log_q.exp() * (log_q - values + log_evidence)).sum() * area
        assert abs(gap.total[b] - kl) < 1e-3 * (1 + kl)
    q = mixture(3)
    z, values, area = brute_force(vae, x[:1])
    log_q = q.component_distribution.log_prob(z[:, None, None])[:, 0]
    log_q = (log_q + q.mixture_distribution.logits[0]).logsumexp(-1)
    kl = (log_q.exp() * (log_q - values)).sum() * area + gap.log_evidence[0]
    assert abs(gap.posterior.kl(q)[0] - kl) < 2e-3 * (1 + kl)


def test_best_gaussian_is_no_worse_than_a_search_by_brute_force() -> None:
    vae, x = folded(), torch.tensor([1.0, 0.3]).reshape(1, 1, 1, 2)
    z, values, area = brute_force(vae, x, reach=3)
    log_posterior = values - values.logsumexp(0) - torch.tensor(area).log()

    def kl(loc: torch.Tensor, log_scale: torch.Tensor) -> torch.Tensor:
        log_q = Independent(Normal(loc, log_scale.exp()), 1).log_prob(z)
        return (log_q.exp() * (log_q - log_posterior)).sum() * area

    loc, log_scale = torch.tensor([0.9, 0.2]).requires_grad_(), torch.tensor([-2.0, -2.0]).requires_grad_()
    search = torch.optim.LBFGS([loc, log_scale], line_search_fn="strong_wolfe", max_iter=60)

    def closure() -> torch.Tensor:
        search.zero_grad()
        loss = kl(loc, log_scale)
        loss.backward()
        return loss

    search.step(closure)
    best = exact.best_gaussian(vae, x)
    assert kl(best.mean[0], best.stddev[0].log()) < kl(loc, log_scale).detach() + 2e-3


# A grid of decodes takes a PixelVAE minutes.
@pytest.mark.parametrize(("name", "net", "likelihood"), [each for each in VARIANTS if each[0] not in PIXELWISE])
def test_the_bound_plus_the_gap_is_the_evidence(name: str, net: str, likelihood: str) -> None:
    vae = perturbed(name, net, likelihood)
    x = torch.rand(3, *SHAPE)
    x = x.round() if likelihood == "bernoulli" else x
    gap = exact.split_gap(vae, x)
    z, values, area = brute_force(vae, x[:1], reach=5, size=301)
    assert abs(gap.log_evidence[0] - values.logsumexp(0) - torch.tensor(area).log()) < 4e-3
    with torch.no_grad():
        elbo = torch.stack([vae.elbo(x, samples=3000) for _ in range(5)])
    error = elbo.std(0) / 5**0.5
    assert ((elbo.mean(0) + gap.total - gap.log_evidence).abs() < 5 * error + 2e-3).all()
    assert (gap.total >= 0).all()
    assert (gap.approximation >= 0).all()
    assert (gap.amortization >= 0).all()
    if name in ("rnvp-q", "rnvp-both"):
        # A shaken flow leaves part of the posterior nearly bare: a few weights decide the bound. The grid decides here.
        for one, evidence in zip(x[1:, None], gap.log_evidence[1:], strict=True):
            z, values, area = brute_force(vae, one, reach=8, size=401)
            assert abs(evidence - values.logsumexp(0) - torch.tensor(area).log()) < 4e-3
    else:
        iwae = vaecore.evaluation.log_evidence(vae, x, samples=2000)
        torch.testing.assert_close(iwae, gap.log_evidence, atol=0.1, rtol=0)


def test_the_density_sums_to_one_and_a_batch_changes_nothing() -> None:
    vae = perturbed("vae", "small", "gaussian")
    x = torch.rand(4, *SHAPE)
    overview = exact.Overview(vae, vae.posterior(x).mean.detach())
    posterior = exact.true_posterior(vae, x, overview)
    line = torch.linspace(-5, 5, 301)
    z = torch.cartesian_prod(line, line)
    total = posterior.log_prob(z.expand(4, -1, 2)).logsumexp(1) + 2 * (line[1] - line[0]).log()
    torch.testing.assert_close(total, torch.zeros(4), atol=5e-3, rtol=0)
    alone = exact.true_posterior(vae, x[2:3], overview)
    torch.testing.assert_close(alone.log_evidence[0], posterior.log_evidence[2], atol=5e-3, rtol=0)


def test_an_unknown_likelihood_goes_the_slow_way_to_the_same_table() -> None:
    vae = linear_gaussian(0.5)
    x = vae.likelihood(torch.randn(2, 2)).sample()
    quick = exact.Overview(vae, size=20).log_joint(x)

    class Opaque(torch.nn.Module):
        def __init__(self, decoder: torch.nn.Module) -> None:
            super().__init__()
            self.decoder = decoder

        def forward(self, z: torch.Tensor) -> torch.distributions.Distribution:
            normal = self.decoder(z).base_dist
            return Independent(torch.distributions.StudentT(1e7, normal.loc, normal.scale), 3)

    slow = exact.Overview(vaecore.VAE(vae.prior, vae.encoder, Opaque(vae.decoder)), size=20).log_joint(x)
    torch.testing.assert_close(slow, quick, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("latent_dim", [1, 3])
def test_any_other_latent_size_is_refused(latent_dim: int) -> None:
    vae = perturbed("vae", "small", "gaussian", latent_dim)
    with pytest.raises(ValueError, match="2-D latent space"):
        exact.true_posterior(vae, torch.rand(1, *SHAPE))
    with pytest.raises(ValueError, match="2-D latent space"):
        exact.best_gaussian(vae, torch.rand(1, *SHAPE))


ONE = torch.zeros(1, 1, 1, 1)


def normalised(vae: vaecore.VAE) -> float:
    """The exact log evidence of a posterior that was written down normalised: it should be zero."""
    return float(exact.true_posterior(vae, ONE, exact.Overview(vae, size=80)).log_evidence[0])


def test_many_narrow_modes_are_all_found() -> None:
    angles = [2 * math.pi * k / 12 for k in range(12)]
    places = [(1.7 * math.cos(a), 1.7 * math.sin(a)) for a in angles]
    vae = written(lambda z: torch.stack([gaussian(z, place, 0.03) for place in places]).logsumexp(0) - math.log(12))
    assert abs(normalised(vae)) < 0.01


def test_a_long_banana_is_followed_to_its_ends_and_has_its_best_gaussian() -> None:
    def banana(z: torch.Tensor) -> torch.Tensor:
        return gaussian(torch.stack([z[:, 0], (z[:, 1] - z[:, 0].square()) / 0.3], 1), (0, 0), 1.0) - math.log(0.3)

    vae = written(banana)
    gap = exact.split_gap(vae, ONE, exact.Overview(vae, torch.tensor([[0.0, 6.0]]), size=120))
    assert abs(float(gap.log_evidence[0])) < 0.01
    # Minimised over mean and both deviations by a general optimiser on a fine Gauss-Hermite grid: 0.771 nats.
    assert abs(float(gap.approximation[0]) - 0.771) < 0.02


def test_impossible_places_have_no_mass_and_break_nothing() -> None:
    def half(z: torch.Tensor) -> torch.Tensor:
        return torch.where(z[:, 0] > 0.2, gaussian(z, (0.2, 0.0), 0.3) + math.log(2), -torch.inf)

    posterior = exact.true_posterior(written(half), ONE)
    # A cliff is the worst that a lattice can meet: its scatter has to say so.
    assert abs(float(posterior.log_evidence[0])) < max(0.01, float(posterior.error[0]))


SHIFT = torch.tensor([0.5, 0.3]).double()
QS = {
    "Laplace": lambda: Independent(Laplace(SHIFT.expand(1, 2), torch.tensor(0.1).double()), 1),
    "needle in a haystack": lambda: MixtureSameFamily(
        Categorical(torch.ones(1, 2)),
        Independent(Normal(torch.tensor([[[0.31, 0.27], [0.0, 0.0]]]), torch.tensor([[[0.01] * 2, [0.5] * 2]])), 1),
    ),
    "full covariance": lambda: MultivariateNormal(SHIFT.expand(1, 2), torch.tensor([[0.02, 0.015], [0.015, 0.02]])),
    "affine flow": lambda: TransformedDistribution(
        Independent(Normal(torch.zeros(1, 2), torch.ones(1, 2)), 1), [AffineTransform(SHIFT, 0.2, event_dim=1)]
    ),
}


@pytest.mark.parametrize("name", list(QS))
def test_kl_for_any_density_is_that_of_many_samples(name: str) -> None:
    vae, q = written(lambda z: gaussian(z, (0.5, 0.3), 0.1)), QS[name]()
    posterior = exact.true_posterior(vae, ONE)
    z = q.sample((400_000,))
    terms = q.log_prob(z)[:, 0] - gaussian(z[:, 0], (0.5, 0.3), 0.1)
    kl, error = posterior.divergence(q)
    assert abs(float(kl[0] - terms.mean())) < 5 * float(terms.std()) / 400_000**0.5 + float(error[0])
    assert float(error[0]) < max(1.0, 0.15 * float(kl[0]))


def test_mass_of_q_that_cannot_be_found_is_owned_up_to() -> None:
    vae = written(lambda z: gaussian(z, (0.5, 0.3), 0.1))
    uniform = Independent(Uniform(torch.zeros(1, 2) - 1.0, torch.ones(1, 2)), 1)
    hidden = Independent(StudentT(torch.tensor(3.0).expand(1, 2), SHIFT.expand(1, 2), torch.tensor(0.05)), 1)
    for q in (hidden, uniform):
        q.base_dist._validate_args = False
        z = q.sample((200_000,))
        truth = float((q.log_prob(z)[:, 0] - gaussian(z[:, 0], (0.5, 0.3), 0.1)).mean())
        kl, error = exact.true_posterior(vae, ONE).divergence(q)
        assert abs(float(kl[0]) - truth) < max(0.1, float(error[0]), 0.02 * truth)


def test_an_encoder_with_a_flow_works_like_any_other() -> None:
    vae = linear_gaussian(0.5)
    x = vae.likelihood(torch.randn(2, 2)).sample()
    plain, base = exact.split_gap(vae, x), vae.encoder

    class Flow(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.distributions.Distribution:
            return TransformedDistribution(base(x), [AffineTransform(torch.zeros(2), 1.0, event_dim=1)])

    flow = exact.split_gap(vaecore.VAE(vae.prior, Flow(), vae.decoder), x)
    torch.testing.assert_close(flow.total, plain.total, atol=0.02, rtol=0.01)
    torch.testing.assert_close(flow.approximation, plain.approximation, atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda vae, x: exact.true_posterior(vae, x[0]), r"\[N, C, H, W\]"),
        (lambda vae, x: exact.true_posterior(vae, x[:0]), "N at least 1"),
        (lambda vae, x: exact.true_posterior(vae, x).kl(vae.prior()), "one for each image"),
        (lambda vae, x: exact.true_posterior(vae, x).kl(vae.posterior(x[:1])), "one for each image"),
    ],
)
def test_what_cannot_be_asked_is_said(ask: Callable, sentence: str) -> None:
    vae = linear_gaussian(0.5)
    with pytest.raises(ValueError, match=sentence):
        ask(vae, torch.rand(3, 1, 4, 4))
