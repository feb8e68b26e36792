"""What the encoder loses on each test image: values against sums of the stored analysis, the worst, histograms."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from pages import set_apart

import vaecore
from app import figures_wrong, session, wrong
from app.numbers import measured
from app.session import Checkpoint
from vaecore.checkpoints import read_analysis, write_analysis

PRETRAINED = Path(session.__file__).parents[1] / "pretrained"
HALF = 120  # images of the partial analysis


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shipped VAE with its analysis, with a part of it, with none; and a mixture."""
    folder = tmp_path_factory.mktemp("shelf")
    shutil.copytree(PRETRAINED / "dynamic-digits-vae-2d", folder / "whole")
    # The weights' digest names the cache where an analysis may lie too: each has weights of its own.
    for name in ("partial", "bare"):
        vae = vaecore.load(folder / "whole")
        next(vae.parameters()).data.view(-1)[0] += {"partial": 1e-6, "bare": 2e-6}[name]
        vaecore.save(vae, folder / name, dataset="dynamic_digits")
    stored = read_analysis(folder / "whole")
    part = {name: rows[:HALF] if name.startswith("exact.") else rows for name, rows in stored.items()}
    write_analysis(folder / "partial", part)
    torch.manual_seed(0)
    mixture = vaecore.build("me", (1, 8, 8), 2, likelihood="bernoulli", net="small", components=3)
    vaecore.save(mixture, folder / "mixture", dataset="digits")
    vaecore.save(vaecore.build("vae", (1, 8, 8), 2, net="small"), folder / "homeless")
    return folder


@pytest.fixture(autouse=True)
def surroundings(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_apart(tmp_path, shelf, monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def checkpoint(name: str) -> Checkpoint:
    return session.checkpoints()[name]


def test_gaps_are_the_evidence_less_the_bound(shelf: Path) -> None:
    """log p(x) - ELBO is summed anew from the parts, and one image's against quadrature of its own."""
    stored, found = read_analysis(shelf / "whole"), wrong.values(checkpoint("whole"), "gap")
    for i in range(len(found)):
        assert found[i] == pytest.approx(
            float(stored["exact.approximation"][i]) + float(stored["exact.amortization"][i])
        )
    vae = vaecore.load(shelf / "whole")
    x = vaecore.load_dataset("dynamic_digits", "test").images[5:6]
    with torch.no_grad():
        axis = torch.linspace(-5, 5, 601, dtype=torch.float64)
        z = torch.cartesian_prod(axis, axis).float()
        logits = torch.cat([vae.likelihood(part).log_prob(x) for part in z.split(50_000)]).double()
        joint = logits + vae.prior().log_prob(z).double()
        log_q = vae.posterior(x).log_prob(z).double()
        area = float(axis[1] - axis[0]) ** 2
        log_p = joint - (joint.logsumexp(0) + np.log(area))
        divergence = float((log_q.exp() * (log_q - log_p)).sum() * area)
    assert found[5] == pytest.approx(divergence, abs=0.05)


def test_plain_measures_are_computed_where_none_are_stored(shelf: Path) -> None:
    assert wrong.values(checkpoint("bare"), "gap") is None
    found = {kind: wrong.values(checkpoint("bare"), kind) for kind in ("reconstruction", "variance")}
    vae, images = vaecore.load(shelf / "bare"), vaecore.load_dataset("dynamic_digits", "test").images
    with torch.no_grad():
        for i in (0, 17, 354):
            q = vae.posterior(images[i : i + 1])
            error = ((images[i] - vae.likelihood(q.mean).mean[0]) ** 2).sum()
            assert found["reconstruction"][i] == pytest.approx(float(error), rel=1e-4)
            assert found["variance"][i] == pytest.approx(float((q.stddev**2).sum()), rel=1e-4)


def test_what_is_not_known_has_no_value() -> None:
    found = wrong.values(checkpoint("partial"), "gap")
    assert len(found) == 355
    assert np.isfinite(found).sum() == HALF == wrong.known_exactly(checkpoint("partial"))
    assert np.isnan(found[HALF:]).all()
    labels = session.codes(checkpoint("partial").digest, checkpoint("partial")).labels
    assert wrong.among(found, labels, None).max() < HALF
    assert wrong.lines(checkpoint("partial"), "gap")[0].count == HALF
    assert np.isfinite(wrong.values(checkpoint("partial"), "variance")).all()


def test_the_worst_come_first() -> None:
    found, labels = np.array([1.0, np.nan, 5.0, 3.0, 5.0, 2.0]), np.array([0, 0, 1, 0, 0, 1])
    assert wrong.among(found, labels, None).tolist() == [2, 4, 3, 5, 0]
    assert wrong.among(found, labels, 0).tolist() == [4, 3, 0]
    assert wrong.among(found, labels, 7).tolist() == []


def test_a_surprise_is_another_of_the_worst() -> None:
    order = np.random.default_rng(1).permutation(1000)
    present, drawn = int(order[3]), set()
    for seed in range(300):
        index = wrong.surprise(order, present, seed)
        assert index != present
        assert index in order[:50]
        drawn.add(index)
    assert drawn == set(order[:50].tolist()) - {present}
    assert wrong.surprise(order, present, 7) == wrong.surprise(order, present, 7)
    assert wrong.surprise(order[:1], int(order[0]), 0) is None


def test_the_lines_are_those_of_loops_over_the_images(shelf: Path) -> None:
    stored = read_analysis(shelf / "whole")
    for line in wrong.lines(checkpoint("whole"), "gap"):
        rows = [i for i, y in enumerate(stored["test.labels"].tolist()) if line.label in (None, y)]
        amortized = sum(float(stored["exact.amortization"][i]) for i in rows)
        gaps = sorted(float(stored["exact.approximation"][i]) + float(stored["exact.amortization"][i]) for i in rows)
        middle = (gaps[(len(gaps) - 1) // 2] + gaps[len(gaps) // 2]) / 2
        assert (line.count, line.median) == (len(rows), pytest.approx(middle))
        assert line.amortized == pytest.approx(amortized / sum(gaps))
        assert gaps[0] <= line.median <= line.high <= gaps[-1]


def test_only_a_diagonal_gaussians_gap_has_parts() -> None:
    assert wrong.offered(checkpoint("whole")) == [wrong.LABEL, *wrong.MEASURED]
    assert wrong.offered(checkpoint("mixture")) == [wrong.LABEL, "gap", "reconstruction", "variance"]
    assert "mixture" in wrong.family(checkpoint("mixture").digest, checkpoint("mixture"))


def test_the_counts_of_the_histogram_add_up() -> None:
    rng = np.random.default_rng(0)
    values, labels = np.concatenate([[0.0], rng.lognormal(1, 2, 499)]), rng.integers(0, 7, 500)
    figure = figures_wrong.by_label(values, labels, "gap, nats", "nats")
    rows = [trace for trace in figure.data if trace.type == "bar"]
    assert [int(trace.name) for trace in rows] == list(range(7))
    for trace in rows:
        assert sum(count for _, count, _ in trace.customdata) == (labels == int(trace.name)).sum()
        assert {label for label, _, _ in trace.customdata} == {int(trace.name)}
        assert np.max(trace.y) <= 0.92 + 1e-6
    line = next(trace for trace in figure.data if trace.name == "median")
    told = {name: said for name, said in line.customdata}
    assert told == {k: f"median {measured(float(np.median(values[labels == k])), 'nats')}" for k in range(7)}
    assert 10 ** np.asarray(line.x)[::3] == pytest.approx([np.median(values[labels == k]) for k in range(7)])


def test_one_row_without_labels_and_with_equal_values() -> None:
    figure = figures_wrong.by_label(np.full(9, 2.0), None, "variance", "")
    assert [count for _, count, _ in figure.data[0].customdata] == [9]
    assert list(figure.layout.yaxis.ticktext) == ["all"]


def test_a_scale_is_logarithmic_where_values_span_decades_and_ends_at_the_quantiles() -> None:
    values = 10 ** np.linspace(-2, 3, 1001)
    scale = figures_wrong.scale(values)
    assert scale.log
    assert (scale.low, scale.high) == pytest.approx((10**-1.9, 10**2.9))
    assert [mark for mark, _ in scale.ticks] == pytest.approx([0.1, 1, 10, 100])
    even = figures_wrong.scale(np.linspace(10, 60, 501))
    assert not even.log
    assert [text for _, text in even.ticks] == ["20", "30", "40", "50"]
    below = figures_wrong.scale(np.linspace(-1, 1, 101))
    assert (below.log, below.low) == (False, pytest.approx(-0.96))
    same = figures_wrong.scale(np.zeros(5))
    assert same.low < same.high
