"""The analysis of a checkpoint's test images: what it holds, how it goes on, and how it is stopped."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from models import SHAPE, brute_force, folded, gaussian, linear_gaussian, written
from torch.distributions import MultivariateNormal, Normal

import vaecore
from vaecore import analysis, checkpoints, exact
from vaecore.__main__ import main


def test_it_holds_every_measure_of_a_gpvae(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis, "PORTION", 4)
    test = vaecore.load_dataset("digits", "test")
    images, labels, events = test.images[:10], test.labels[:10], []
    vae = vaecore.build("gpvae", SHAPE).eval()
    found = analysis.analyse(vae, images, labels, 6, on_event=events.append)
    assert {name: len(rows) for name, rows in found.items()} == {
        name: 6 if name.startswith("exact.") else 10 for name in found
    }
    assert {name[6:] for name in found if name.startswith("exact.")} == analysis.ROWS
    assert events == [{"event": "step", "step": k, "steps": 2} for k in (1, 2)]
    with torch.no_grad():
        q, moments = vae.posterior(images), vae.encoder.moments(images)
        error = (vae.likelihood(q.mean).mean - images).square().sum((1, 2, 3))
        gap = exact.split_gap(vae, images[:6], exact.Overview(vae, q.mean))
    torch.testing.assert_close(found["test.reconstruction_error"], error, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found["test.uncertainty_f"], moments.var_f.sum(1), rtol=1e-3, atol=0)
    torch.testing.assert_close(found["test.uncertainty_h"], moments.var_h.sum(1), rtol=1e-3, atol=0)
    torch.testing.assert_close(found["test.encoder_variance"], vae.encoder.base(images).variance.sum(1))
    torch.testing.assert_close(found["test.feature_norm"], vae.encoder.trunks.nets[1](images).norm(dim=1))
    torch.testing.assert_close(found["exact.log_evidence"], gap.log_evidence.float(), atol=0.02, rtol=0)


def test_it_goes_on_from_what_is_known_and_stops_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis, "PORTION", 2)
    vae, images = vaecore.build("vae", SHAPE).eval(), torch.rand(9, *SHAPE)
    whole = analysis.analyse(vae, images)
    part = analysis.analyse(vae, images, stop=lambda: True)
    assert len(part["exact.frame"]) == 2
    part["exact.error"] += 1  # a mark: rows that are known are not computed again
    steps = []
    rest = analysis.analyse(vae, images, known=part, on_event=lambda event: steps.append(event["step"]))
    assert steps == [2, 3, 4, 5]
    torch.testing.assert_close(rest["exact.error"][:2], whole["exact.error"][:2] + 1)
    torch.testing.assert_close(rest["exact.log_evidence"], whole["exact.log_evidence"])
    del part["exact.valleys"]  # the result of an older version
    again = analysis.analyse(vae, images, known=part)
    torch.testing.assert_close(again["exact.error"], whole["exact.error"])


def test_the_command_can_be_stopped_and_goes_on(checkpoint: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vaecore", "analyse", str(checkpoint), "--exact-images", "150"]
    command += ["--progress", str(tmp_path / "p.json")]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (tmp_path / "p.json").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    running.send_signal(signal.SIGTERM)
    result = json.loads(running.communicate(timeout=120)[0])
    assert running.returncode == 0
    seen = json.loads((tmp_path / "p.json").read_text())
    assert seen["steps"] == 3
    assert seen["seconds"] > 0
    if result["stopped"]:
        assert 0 < result["exact"] <= 150
        assert len(checkpoints.read_analysis(checkpoint)["exact.modes"]) == result["exact"]
    assert main(["analyse", str(checkpoint), "--exact-images", "150"]) == 0
    assert len(checkpoints.read_analysis(checkpoint)["exact.modes"]) == 150


def test_non_gaussianity_is_the_divergence_from_the_matched_gaussian() -> None:
    vae = folded()
    x = torch.tensor([[1.0, 0.2], [0.05, 0.1], [-0.5, 0.0]]).double().reshape(3, 1, 1, 2)
    found = exact.true_posterior(vae, x).non_gaussianity
    for b in range(3):
        z, values, area = brute_force(vae, x[b : b + 1], reach=4, size=1201)
        weight = (values - values.logsumexp(0)).exp()
        mean = (weight[:, None] * z).sum(0)
        covariance = (weight[:, None] * (z - mean)).T @ (z - mean)
        density = values - values.logsumexp(0) - torch.tensor(area).log()
        truth = (weight * (density - MultivariateNormal(mean, covariance).log_prob(z))).sum()
        assert abs(found[b] - truth) < 2e-3 + 0.02 * truth
    plain = linear_gaussian(0.1)
    assert (exact.true_posterior(plain, torch.rand(4, 1, 4, 4).double()).non_gaussianity < 1e-3).all()


def test_valleys_part_modes_that_no_ridge_joins() -> None:
    def two(apart: float) -> vaecore.VAE:
        return written(
            lambda z: (
                torch.logaddexp(gaussian(z, (-apart, 0.0), 0.2), gaussian(z, (apart, 0.0), 0.2)) - 0.6931471805599453
            )
        )

    def bent(z: torch.Tensor) -> torch.Tensor:
        across = Normal(0.0, 0.1).log_prob(z[:, 1] - z[:, 0].square())
        # Two bumps on a ridge: between them it falls by much less than a nat, and the straight line by hundreds.
        return across + torch.log(
            0.5 * Normal(-0.9, 0.75).log_prob(z[:, 0]).exp() + 0.5 * Normal(0.9, 0.75).log_prob(z[:, 0]).exp()
        )

    x = torch.zeros(1, 1, 1, 1).double()
    # Halfway, the two Gaussians have fallen by (apart / 0.2)² / 2 - log 2 nats.
    assert exact.true_posterior(two(0.5), x).valleys().tolist() == [2]
    assert exact.true_posterior(two(0.5), x).valleys(depth=3.0).tolist() == [1]
    assert exact.true_posterior(two(0.3), x).valleys().tolist() == [1]
    assert exact.true_posterior(written(bent), x).valleys().tolist() == [1]


def test_the_timing_table_holds_every_system_and_its_paper(capsys: pytest.CaptureFixture) -> None:
    assert (
        main(["bench", "inference", "--dataset", "digits", "--images", "40", "--repeats", "1", "--device", "cpu"]) == 0
    )
    result = json.loads(capsys.readouterr().out)
    rows = {row["system"]: row for row in result["posterior"]}
    assert {"VAE", "SA(8)", "Laplace VAE(4)", "IAF(4)", "HF(4)", "ME(5)", "RME(5)", "GPVAE"} <= rows.keys()
    assert rows["VAE"]["ratio to VAE"] == 1
    assert rows["GPVAE"]["paper's ratio"] == pytest.approx(9.9 / 3.6)
    assert all(row["mean ms"] > 0 and row["median ms"] > 0 for row in rows.values())
    assert all(ratio > 0 for ratio in result["ratios"].values())
    assert "40 test images" in result["protocol"]
