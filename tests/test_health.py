"""A report of health against calculations of its own: torch's KL in float64, a mixture in plain loops, a collapse."""

import json
import math

import pytest
import torch
from models import FixedEncoder, LinearDecoder, perturbed
from torch.distributions import Independent, Normal, kl_divergence

import vaecore
from vaecore import health, verdicts
from vaecore.priors import StandardNormal

TINY = health.Sizes(images=20, samples=8, codes=24, exact=4, prior=50, worst=3)


class Spread(torch.nn.Module):
    """q(z|x) = N(a x_1..D, 0.3²): its means differ from image to image."""

    def __init__(self, latent: int, slope: float = 2.0) -> None:
        super().__init__()
        self.latent, self.slope = latent, torch.nn.Parameter(torch.tensor(slope))

    def forward(self, x: torch.Tensor) -> Independent:
        loc = self.slope * x.flatten(1)[:, : self.latent]
        return Independent(Normal(loc, torch.full_like(loc, 0.3)), 1)


def spread(latent: int = 2) -> vaecore.VAE:
    return vaecore.VAE(StandardNormal(latent), Spread(latent), LinearDecoder(1.0, latent)).double().eval()


def collapsed() -> vaecore.VAE:
    return vaecore.VAE(StandardNormal(3), FixedEncoder([0.0] * 3, [1.0] * 3), LinearDecoder(9.0, 3)).double().eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(30, 1, 4, 4, dtype=torch.float64)


def test_kl_by_dimension_is_torchs_own() -> None:
    vae, x = perturbed("vae", "small", "bernoulli", 5), torch.rand(150, 1, 8, 8)
    with torch.no_grad():
        q = vae.posterior(x)
        wide = Normal(q.mean.double(), q.stddev.double())
        expected = kl_divergence(wide, Normal(torch.zeros(5).double(), torch.ones(5).double())).mean(0)
        found, reason = health.kl_by_dimension(vae, x)
    assert found == pytest.approx(expected.tolist(), rel=1e-5)
    assert reason == ""


def test_kl_by_dimension_is_absent_where_it_does_not_add_up() -> None:
    with torch.no_grad():
        flow, learned = (perturbed(name, "small", "bernoulli") for name in ("iaf", "rnvp-p"))
        assert health.kl_by_dimension(flow, torch.rand(3, 1, 8, 8))[0] is None
        found, reason = health.kl_by_dimension(learned, torch.rand(3, 1, 8, 8))
    assert found is None
    assert "prior" in reason


def test_mutual_information_is_the_mean_kl_less_that_of_the_mixture(images: torch.Tensor) -> None:
    vae, x = spread(), images[:12]
    with torch.no_grad():
        found = health.prior(vae, x, TINY, seed=0)
        loc = vae.posterior(x).mean
        average = kl_divergence(Normal(loc, torch.full_like(loc, 0.3)), Normal(0.0, 1.0)).sum(-1).mean()
        # KL[q(z) || p(z)] by a plain grid over the plane.
        line = torch.linspace(-4, 6, 801, dtype=torch.float64)
        z = torch.cartesian_prod(line, line)
        each = torch.stack([Normal(m, torch.tensor(0.3).double()).log_prob(z).sum(-1) for m in loc])
        log_q = each.logsumexp(0) - math.log(len(x))
        log_p = Normal(0.0, 1.0).log_prob(z).sum(-1)
        kl = (log_q.exp() * (log_q - log_p)).sum() * (line[1] - line[0]) ** 2
    draws = [health.prior(vae, x, TINY, seed=seed) for seed in range(40)]
    for name, expected in (("KL(q(z) || p(z))", kl), ("mutual information", average - kl)):
        values = torch.tensor([draw[name] for draw in draws], dtype=torch.float64)
        assert values.mean() == pytest.approx(float(expected), abs=4 * float(values.std()) / math.sqrt(len(draws)))
    assert found["ceiling of the mutual information"] == pytest.approx(math.log(12))


def test_a_collapsed_vae_is_bad(images: torch.Tensor) -> None:
    found = health.report(collapsed(), images, sizes=TINY)
    rows = {row["name"]: row["verdict"] for row in verdicts.verdicts(found)}
    assert found["active units"] == 0
    assert found["KL by dimension"] == pytest.approx([0.0] * 3, abs=1e-12)
    assert found["mutual information"] == pytest.approx(0, abs=1e-6)
    for name in ("active units", "KL(q(z|x) || p(z))", "mutual information", "ELBO"):
        assert rows[name] == "bad", name
    assert rows["KL(q(z) || p(z))"] == rows["moments of q(z)"] == "good"
    assert verdicts.overall(verdicts.verdicts(found)) == "bad"
    assert "Not healthy" in verdicts.headline(verdicts.verdicts(found))


@pytest.mark.parametrize(
    ("active", "size", "expected"),
    [(0, 40, "bad"), (1, 2, "look"), (2, 2, "good"), (2, 40, "look"), (15, 40, "good"), (4, 8, "look"), (5, 8, "good")],
)
def test_unused_units_are_normal_where_several_are_used(active: int, size: int, expected: str) -> None:
    found = verdicts.active_units({"active units": active, "latent dimensions": size})
    assert found["verdict"] == expected


@pytest.mark.parametrize("kl", [0.1, 16.0, 400.0])
def test_an_estimate_at_its_ceiling_is_never_silently_good(kl: float) -> None:
    """KL(q(z) || p(z)) is then what the number of images makes it: avg KL - log N, be it small or large."""
    known = {"latent dimensions": 40, "ceiling of the mutual information": 7.6, "KL(q(z) || p(z))": kl}
    assert verdicts.mismatch(known | {"mutual information": 7.59})["verdict"] == "unclear"
    assert verdicts.mismatch(known | {"mutual information": 3.0})["verdict"] != "unclear"
    rows = [verdicts.mismatch(known | {"mutual information": 7.59}), {"name": "other", "verdict": "good"}]
    assert verdicts.overall(rows) == "good"
    assert verdicts.headline(rows).endswith("not to be judged: KL(q(z) || p(z)).")


def test_a_code_that_says_much_is_not_collapsed(images: torch.Tensor) -> None:
    rows = {row["name"]: row["verdict"] for row in verdicts.verdicts(health.report(spread(3), images, sizes=TINY))}
    assert rows["active units"] == "good"
    assert rows["KL(q(z|x) || p(z))"] == "good"


def test_the_low_posterior_share_tells_a_prior_that_fits_from_one_that_does_not() -> None:
    x, sizes = torch.randn(400, 1, 4, 4, dtype=torch.float64), health.Sizes(codes=400, prior=1000)
    fitting, narrow = (
        vaecore.VAE(StandardNormal(2), Spread(2, slope), LinearDecoder(1.0)).double() for slope in (0.95, 0.05)
    )
    with torch.no_grad():
        assert health.prior(fitting, x, sizes, 0)["low posterior share"] < 0.05
        assert health.prior(narrow, x, sizes, 0)["low posterior share"] > 0.4


def test_the_same_seed_gives_the_same_report_and_leaves_torchs_numbers_alone(images: torch.Tensor) -> None:
    vae, state = spread(3), torch.get_rng_state()
    first, again, other = (json.dumps(health.report(vae, images, seed, TINY), allow_nan=False) for seed in (1, 1, 2))
    assert first == again != other
    assert torch.equal(state, torch.get_rng_state())


def test_the_worst_images_are_those_of_least_elbo(images: torch.Tensor) -> None:
    images[7] += 30
    found = health.report(spread(3), images, sizes=health.Sizes(30, 4, 24, 4, 50, 3))["worst images"]
    assert found[0]["image"] == 7
    assert [each["ELBO"] for each in found] == sorted(each["ELBO"] for each in found)


def test_the_gap_is_exact_and_its_parts_add_up(images: torch.Tensor) -> None:
    vae, x = spread(), images[:4]
    with torch.no_grad():
        found, q, p = health.gap(vae, x), vae.posterior(x), vae.decoder.posterior(x)
        diagonal = torch.distributions.MultivariateNormal(q.mean, torch.diag_embed(q.stddev.square()))
    assert found["gap"] == pytest.approx(float(kl_divergence(diagonal, p).mean()), rel=1e-3)
    assert found["approximation gap"] + found["amortization gap"] == pytest.approx(found["gap"])


def test_what_cannot_be_reported_is_a_sentence(images: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="at least 4"):
        health.report(spread(), images[:2])
    with pytest.raises(ValueError, match="no finite number"):
        health.report(vaecore.VAE(StandardNormal(3), Spread(3), LinearDecoder(1e-200, 3)).double(), images, sizes=TINY)
