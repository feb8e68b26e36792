"""A report of health against calculations of its own: torch's KL in float64, a mixture in plain loops, a collapse."""

import json
import math
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from models import FixedEncoder, LinearDecoder, perturbed
from torch.distributions import Independent, Normal, kl_divergence

import vaecore
from vaecore import health, verdicts
from vaecore.health import kept, measures, picture
from vaecore.priors import StandardNormal
from vaecore.verdicts import rows

TINY = health.Sizes(images=20, samples=8, compared=20, draws=4, codes=24, exact=4, prior=50, worst=3)


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
        found, reason = measures.kl_by_dimension(vae, x)
    assert found == pytest.approx(expected.tolist(), rel=1e-5)
    assert reason == ""


def test_kl_by_dimension_is_absent_where_it_does_not_add_up() -> None:
    with torch.no_grad():
        flow, learned = (perturbed(name, "small", "bernoulli") for name in ("iaf", "rnvp-p"))
        assert measures.kl_by_dimension(flow, torch.rand(3, 1, 8, 8))[0] is None
        found, reason = measures.kl_by_dimension(learned, torch.rand(3, 1, 8, 8))
    assert found is None
    assert "prior" in reason


def test_mutual_information_is_the_mean_kl_less_that_of_the_mixture(images: torch.Tensor) -> None:
    vae, x = spread(), images[:12]
    with torch.no_grad():
        found = measures.prior(vae, x, TINY, seed=0)
        loc = vae.posterior(x).mean
        average = kl_divergence(Normal(loc, torch.full_like(loc, 0.3)), Normal(0.0, 1.0)).sum(-1).mean()
        # KL[q(z) || p(z)] by a plain grid over the plane.
        line = torch.linspace(-4, 6, 401, dtype=torch.float64)
        z = torch.cartesian_prod(line, line)
        each = torch.stack([Normal(m, torch.tensor(0.3).double()).log_prob(z).sum(-1) for m in loc])
        log_q = each.logsumexp(0) - math.log(len(x))
        log_p = Normal(0.0, 1.0).log_prob(z).sum(-1)
        kl = (log_q.exp() * (log_q - log_p)).sum() * (line[1] - line[0]) ** 2
    draws = [measures.prior(vae, x, TINY, seed=seed) for seed in range(20)]
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
    found = verdicts.active_units({"active units": active, "latent dimensions": size, "images for the codes": 9})
    assert found["verdict"] == expected


@pytest.mark.parametrize("kl", [0.1, 16.0, 400.0])
def test_an_estimate_at_its_ceiling_is_never_silently_good(kl: float) -> None:
    """KL(q(z) || p(z)) is then what the number of images makes it: avg KL - log N, be it small or large."""
    known = {"latent dimensions": 40, "ceiling of the mutual information": 7.6, "KL(q(z) || p(z))": kl}
    known["images for the codes"] = 2000
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
        assert measures.prior(fitting, x, sizes, 0)["low posterior share"] < 0.05
        assert measures.prior(narrow, x, sizes, 0)["low posterior share"] > 0.4


def test_the_same_seed_gives_the_same_report_and_leaves_torchs_numbers_alone(images: torch.Tensor) -> None:
    vae, state = spread(3), torch.get_rng_state()
    first, again, other = (json.dumps(health.report(vae, images, seed, TINY), allow_nan=False) for seed in (1, 1, 2))
    assert first == again != other
    assert torch.equal(state, torch.get_rng_state())


def test_the_worst_images_are_those_of_least_elbo(images: torch.Tensor) -> None:
    images[7] += 14  # far from all others, and still what standardised pixels may be
    found = health.report(spread(3), images, sizes=health.Sizes(images=30, samples=4, codes=24, worst=3, prior=50))[
        "worst images"
    ]
    assert found[0]["image"] == 7
    assert [each["ELBO"] for each in found] == sorted(each["ELBO"] for each in found)


def test_the_gap_is_exact_and_its_parts_add_up(images: torch.Tensor) -> None:
    vae, x = spread(), images[:4]
    with torch.no_grad():
        *_, found = measures.gaps(vae, x)
        q, p = vae.posterior(x), vae.decoder.posterior(x)
        diagonal = torch.distributions.MultivariateNormal(q.mean, torch.diag_embed(q.stddev.square()))
    assert found["gap"] == pytest.approx(float(kl_divergence(diagonal, p).mean()), rel=1e-3)
    assert found["approximation gap"] + found["amortization gap"] == pytest.approx(found["gap"])


def test_what_cannot_be_reported_is_a_sentence(images: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="at least 4"):
        health.report(spread(), images[:2])
    with pytest.raises(ValueError, match="no finite number"):
        health.report(vaecore.VAE(StandardNormal(3), Spread(3), LinearDecoder(1e-200, 3)).double(), images, sizes=TINY)


# ---- limits relative to the spread of log p(x)


def gap_report(gap: float, spread: float, train: float | None = None) -> dict:
    """What the judges of the encoder need, with errors that leave no doubt."""
    exact = {"images": 100, "gap": gap, "gap error": 0.01, "median of the gap": gap, "spread of log p(x)": spread}
    compared = {"images": 100, "draws": 4, "training - test": 0.0, "training - test error": 1.0}
    known = None if train is None else {"exact": {**exact, "gap": train}, **compared}
    return {"exact": exact, "training": known, "spread of the ELBO": spread, "images measured": 100, "draws": 4}


@pytest.mark.parametrize(("ratio", "expected"), [(0.0, "good"), (0.19, "good"), (0.25, "look"), (0.9, "bad")])
def test_the_gaps_verdict_is_the_same_in_all_units_of_the_likelihood(ratio: float, expected: str) -> None:
    """A Gaussian likelihood of half the scale has four times the log density: the verdict may not change by that."""
    for spread in (3.0, 12.0, 240.0):
        assert verdicts.exact_gap(gap_report(ratio * spread, spread))["verdict"] == expected


def test_an_encoder_that_has_overfitted_is_called_so() -> None:
    assert "overfitted" in verdicts.exact_gap(gap_report(44.0, 178.0, train=22.0))["sentence"]
    assert "overfitted" not in verdicts.exact_gap(gap_report(44.0, 178.0, train=44.0))["sentence"]


@pytest.mark.parametrize(
    ("difference", "error", "expected"),
    [(0.0, 1.0, "good"), (15.0, 8.0, "unclear"), (5.0, 1.0, "good"), (20.0, 1.0, "look"), (80.0, 1.0, "bad")],
)
def test_overfitting_must_be_more_than_chance_and_more_than_little(
    difference: float, error: float, expected: str
) -> None:
    found = {"images": 100, "draws": 4, "training - test": difference, "training - test error": error}
    row = verdicts.training({"training": found, "spread of the ELBO": 100.0})
    assert row["verdict"] == expected
    assert ("chance" in row["sentence"]) == (expected == "unclear")


def test_a_bound_that_the_exact_gap_shows_to_say_little_is_not_called_good() -> None:
    spoken = {"IWAE - ELBO": 8.0, "IWAE - ELBO error": 1.0, "IWAE": 214.0, "spread of log p(x)": 230.0}
    assert verdicts.slack(gap_report(44.0, 178.0) | spoken)["verdict"] == "unclear"
    assert verdicts.slack(gap_report(9.0, 178.0) | spoken)["verdict"] == "good"


def test_training_images_are_held_against_as_many_others(images: torch.Tensor) -> None:
    """q and p are Gaussian: each image's ELBO has a closed form, and its mean over many draws must be near it."""
    vae, train = spread(3), torch.rand(50, 1, 4, 4, dtype=torch.float64) + 0.5
    sizes = replace(TINY, compared=30, draws=400)
    found = health.report(vae, images, sizes=sizes, train=train)["training"]
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))[:30]
    with torch.no_grad():
        for name, x in (("test", images), ("training", train[order])):
            q, decoder = vae.posterior(x), vae.decoder
            # E_q log N(x; W z + b, s²) = log N(x; W m + b, s²) - tr(W diag(v) W') / 2 s²
            p, v = decoder(q.mean), q.variance
            spill = (decoder.weight.square() @ v.T).sum(0) / (2 * p.base_dist.variance.flatten()[0])
            kl = kl_divergence(q.base_dist, Normal(0.0, 1.0)).sum(-1).mean()
            elbo = float((p.log_prob(x) - spill).mean() - kl)
            assert found[f"KL of {name} images"] == pytest.approx(float(kl), rel=0.02)
            assert found[f"ELBO of {name} images"] == pytest.approx(elbo, rel=0.02)
    assert found["images"] == 30
    difference = found["ELBO of training images"] - found["ELBO of test images"]
    assert found["training - test"] == pytest.approx(difference)


# ---- q(z) beside the prior


def test_the_level_of_low_samples_is_not_judged_from_a_handful_of_images() -> None:
    low = {"low posterior share": 0.01, "low posterior share error": 0.001}
    assert verdicts.low(low | {"images held out": 30})["verdict"] == "unclear"
    assert verdicts.low(low | {"images held out": 120})["verdict"] == "good"


@pytest.mark.parametrize("recipe", ["sa", "laplace-vae", "hf", "me"])
def test_every_kind_of_q_holds_out_enough_images(recipe: str) -> None:
    vae = perturbed(recipe, "small", "bernoulli")
    sizes = health.sizes_for(vae, torch.rand(2, 1, 8, 8))
    assert sizes.codes // 2 >= rows.HELD


def test_the_remembered_posteriors_are_the_encoders(images: torch.Tensor) -> None:
    vae = spread()
    with torch.no_grad():
        once, numbers = measures.encoded_once(vae, images)
        again = once.posterior(numbers[5:9])
        assert torch.equal(again.mean, vae.posterior(images[5:9]).mean)
        assert torch.equal(again.stddev, vae.posterior(images[5:9]).stddev)


def test_the_pictured_marginals_are_the_mixtures(images: torch.Tensor) -> None:
    vae = spread(3)
    with torch.no_grad():
        found = picture.picture(vae, images, [0.1, 3.0, 2.0])["dimensions"]
        loc = vae.posterior(images).mean
    assert [each["dimension"] for each in found] == [2, 3, 1]
    for each in found:
        axis = torch.tensor(each["axis"], dtype=torch.float64)
        mixture = Normal(loc[:, each["dimension"] - 1], 0.3).log_prob(axis[:, None]).exp().mean(1)
        assert torch.tensor(each["q"]) == pytest.approx(mixture.numpy(), abs=0.06)
        assert torch.tensor(each["p"]) == pytest.approx(Normal(0.0, 1.0).log_prob(axis).exp().numpy(), abs=1e-4)
        step = axis[1] - axis[0]
        both = torch.minimum(mixture, Normal(0.0, 1.0).log_prob(axis).exp()).sum() * step
        assert each["overlap"] == pytest.approx(float(both), abs=0.05)


def test_the_pictured_plane_holds_both_densities(images: torch.Tensor) -> None:
    with torch.no_grad():
        found = picture.picture(spread(), images, None)
    first, second = (torch.tensor(axis, dtype=torch.float64) for axis in found["axes"])
    cell = (first[1] - first[0]) * (second[1] - second[0])
    for name in ("log q", "log p"):
        assert float(torch.tensor(found[name]).double().exp().sum() * cell) == pytest.approx(1, abs=0.03)
    log_p = Normal(0.0, 1.0).log_prob(first)[:, None] + Normal(0.0, 1.0).log_prob(second)
    assert torch.tensor(found["log p"]) == pytest.approx(log_p.numpy(), abs=1e-3)


# ---- stage by stage, and kept


def test_a_report_that_was_stopped_goes_on_to_the_same_end(images: torch.Tensor) -> None:
    vae, train = spread(3), torch.rand(25, 1, 4, 4, dtype=torch.float64)
    whole = health.report(vae, images, sizes=TINY, train=train)
    asked = iter([False, False, False, True])
    part = health.report(vae, images, sizes=TINY, train=train, stop=lambda: next(asked))
    assert not part["complete"]
    assert part["stages"] == ["bounds", "codes"]
    events = []
    rest = health.report(vae, images, sizes=TINY, train=train, known=part, on_event=events.append)
    assert json.dumps(rest) == json.dumps(whole)
    assert rest["complete"]
    assert (events[0]["step"], events[-1]["step"]) == (3, events[-1]["steps"])
    other = health.report(vae, images, 1, TINY, train=train, known=part)
    assert other["ELBO"] != part["ELBO"]


def test_what_is_known_so_far_is_judged_and_kept(images: torch.Tensor) -> None:
    parts = []
    health.report(spread(3), images, sizes=TINY, keep=lambda found: parts.append(dict(found)))
    names = [len(verdicts.verdicts(part)) for part in parts]
    assert names == sorted(names)
    assert {row["name"] for row in verdicts.verdicts(parts[0])} >= {"ELBO", "IWAE - ELBO", "reconstruction"}
    assert verdicts.verdicts({}) == []
    assert verdicts.overall([]) == "unclear"


def test_an_analysis_gives_the_exact_gap_of_all_its_images(images: torch.Tensor) -> None:
    analysis = {f"exact.{name}": torch.rand(30) for name in ("log_evidence", "approximation", "amortization")}
    found = health.report(spread(), images, sizes=TINY, analysis=analysis)["exact"]
    total = (analysis["exact.approximation"] + analysis["exact.amortization"]).double()
    assert found["images"] == 30
    assert found["gap"] == pytest.approx(float(total.mean()))
    assert found["gap error"] == pytest.approx(float(total.std()) / math.sqrt(30))
    few = {"q is a diagonal Gaussian": True, "exact": {**found, "images": 4}}
    assert health.with_analysis(few, analysis)["exact"]["images"] == 30
    assert health.with_analysis(few, {})["exact"]["images"] == 4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    return vaecore.save(vaecore.build("vae", (1, 8, 8), 2, net="small"), tmp_path / "mine", dataset="digits")


@pytest.fixture(scope="module")
def found() -> dict:
    """A report of a VAE such as the folder's; what is in it does not matter here."""
    torch.manual_seed(0)
    vae = vaecore.build("vae", (1, 8, 8), 2, net="small").eval()
    return health.report(vae, torch.rand(30, 1, 8, 8), sizes=TINY, train=torch.rand(9, 1, 8, 8))


def test_a_report_is_kept_for_its_weights_alone(folder: Path, found: dict) -> None:
    vae = vaecore.load(folder)
    assert health.read(folder) is None
    file = health.keep(folder, found)
    assert file.parent == folder
    assert health.read(folder) == json.loads(json.dumps(found))
    assert health.read(folder, seed=1) is None
    assert health.read(folder, split="train") is None
    with torch.no_grad():
        next(vae.parameters()).add_(1)
    other = vaecore.save(vae, folder.parent / "other", dataset="digits")
    shutil.copy(file, other / file.name)
    assert health.read(other) is None


def test_a_read_only_folders_report_goes_to_the_users_cache(
    folder: Path, found: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept.os, "access", lambda *_: False)
    assert health.keep(folder, found).is_relative_to(os.environ["XDG_CACHE_HOME"])
    assert health.read(folder)["ELBO"] == found["ELBO"]


def spoilt_reports(found: dict) -> Iterator[tuple[str, dict]]:
    """The report with one thing wrong at a time."""
    for name in found:
        yield f"{name} as a text", {**found, name: "<script>"}
        yield f"without {name}", {key: value for key, value in found.items() if key != name}
    yield "a worst image beyond the last", {**found, "worst images": [{"image": 10**6, "ELBO": 0.0}]}
    yield "a list too short", {**found, "mean of q(z)": found["mean of q(z)"][:1]}
    yield "a ragged picture", {**found, "picture": {**found["picture"], "log q": [[0.0]]}}
    yield "a gap of text", {**found, "exact": {**found["exact"], "gap": "big"}}
    yield "another version", {**found, "version": 1}
    for part, name in (("exact", "spread of log p(x)"), ("exact", "gap error")):
        yield f"a huge {name}", {**found, part: {**(found.get(part) or {}), name: 1e308}}


def test_what_is_no_report_is_never_trusted(folder: Path, found: dict) -> None:
    """What comes back may lack what was spoilt, or be nothing; it never fails, nor carries a text as a number."""
    file = health.keep(folder, found)
    whole = json.loads(file.read_text())
    for what, spoilt in spoilt_reports(whole):
        file.write_text(json.dumps(spoilt))
        read = health.read(folder)
        assert read is None or all(isinstance(row["value"], int | float) for row in verdicts.verdicts(read)), what
        assert read is None or "<script>" not in json.dumps(verdicts.verdicts(read)), what
    for text in ("", "{", "[]", '{"ELBO": NaN}', "\x00" * 100):
        file.write_text(text)
        assert health.read(folder) is None


def test_the_command_keeps_a_report_and_shows_the_same(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    from vaecore.__main__ import main

    folder = vaecore.save(vaecore.build("vae", (1, 8, 8), 3, net="small"), tmp_path / "mine", dataset="digits")
    assert main(["health", str(folder), "--keep", "--progress", str(folder.parent / "step.json")]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["complete"]
    assert not said["stopped"]
    assert said["protocol"].startswith("digits, test split: images drawn by seed 0 from 355")
    assert health.read(folder)["ELBO"] == said["ELBO"]
    step = json.loads((folder.parent / "step.json").read_text())
    assert step["step"] == step["steps"]


def test_an_encoder_at_random_is_bad_and_a_trained_one_is_not() -> None:
    """Of the shipped VAE on digits, and of its decoder with the encoder of an untrained one."""
    trained = vaecore.load("pretrained/digits-vae-2d")
    torch.manual_seed(0)
    random = vaecore.VAE(trained.prior, vaecore.build("vae", (1, 8, 8), 2).encoder, trained.decoder).eval()
    images = vaecore.load_dataset("digits", "test").images
    sizes = health.Sizes(images=60, samples=10, compared=60, draws=4, codes=200, exact=6, prior=200)
    rows = [
        {row["name"]: row["verdict"] for row in verdicts.verdicts(health.report(vae, images, sizes=sizes))}
        for vae in (trained, random)
    ]
    assert rows[1]["exact gap"] == "bad"
    assert "bad" not in rows[0].values()
