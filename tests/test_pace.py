"""What a training will take is measured in a process with bounds, and what is too large is refused by its name."""

import json
import subprocess
import sys

import pytest

import vaecore
from app import training, visits
from vaecore import pace

DIGITS = {"recipe": "vae", "dataset": "digits", "latent_dim": 2, "options": {"net": "small"}, "batch_size": 128}
ASKED = {**DIGITS, "epochs": 4}


def test_a_batch_that_the_memory_does_not_hold_is_refused_with_the_largest_that_it_does() -> None:
    train = vaecore.load_dataset("digits", "train")
    vae = vaecore.build("vae", (1, 8, 8), 2, net="small")
    pace.must_fit(vae, "vae", train, 128, 1 << 30)
    with pytest.raises(ValueError, match=r"batch size of 8,192 .* choose at most ([\d,]+), or") as caught:
        pace.must_fit(vae, "vae", train, 8192, 4 << 20)
    largest = int(str(caught.value).split("at most ")[1].split(", or")[0].replace(",", ""))
    assert 1 < largest < 8192
    pace.must_fit(vae, "vae", train, largest, 4 << 20)
    with pytest.raises(ValueError, match=r"latent dim 2.* choose smaller ones"):
        pace.must_fit(vae, "vae", train, 1, 1 << 10)


@pytest.mark.parametrize("recipe", ["vae", "laplace-vae", "gpvae", "rnvp-p"])
def test_what_a_step_keeps_grows_with_its_images(recipe: str) -> None:
    train = vaecore.load_dataset("digits", "train")
    vae = vaecore.build(recipe, (1, 8, 8), 2)
    stage = pace.find_recipe(recipe).stages(vae)[-1]
    few, many = (pace.kept_bytes(vae, stage, train.images[:count]) for count in (8, 64))
    assert 1.2 * few < many < 9 * few


def test_a_part_of_a_batch_that_takes_long_enough_stands_for_it() -> None:
    asked = []

    def step(count: int) -> float:
        asked.append(count)
        return 0.01 * count

    assert pace.step_seconds(step, 16, 8192) == pytest.approx(81.92)
    assert max(asked) <= 64


def measured(asked: dict, megabytes: int = training.MEGABYTES) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "vaecore.pace", str(megabytes)]
    return subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=False, timeout=300)


def test_the_process_says_seconds_or_one_sentence() -> None:
    assert json.loads(measured(ASKED).stdout)["seconds"] > 0
    absurd = measured({**ASKED, "options": {"net": "dense"}}, 1)
    assert absurd.returncode
    assert "take more than 1 MB in these networks" in absurd.stderr.splitlines()[-1]


def test_a_refusal_is_kept_and_not_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(training, "measure", lambda asked: calls.append(asked) or "A batch is too large.")
    asked = {**ASKED, "seed": 0, "batch_size": 77}
    for seed in (0, 1):
        with pytest.raises(ValueError, match="too large"):
            training.estimate({**asked, "seed": seed})
    assert len(calls) == 1


def test_who_leaves_has_the_process_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(BaseException):
        pass

    children, popen = [], subprocess.Popen

    def watched(*arguments: object, **more: object) -> subprocess.Popen:
        children.append(popen(*arguments, **more))
        return children[0]

    def gone() -> None:
        raise Gone

    monkeypatch.setattr(training.subprocess, "Popen", watched)
    monkeypatch.setattr(visits, "wanted", gone)
    with pytest.raises(Gone):
        training.measure(ASKED)
    assert children[0].poll() == -9


def test_the_turn_is_free_while_a_training_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "measure", lambda asked: float(visits.turn._owner == 0))
    assert training.estimate({**ASKED, "seed": 0, "batch_size": 78}) == 1.0


def test_a_run_that_is_too_large_is_not_begun(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("VAESCOPE_RUNS", str(tmp_path))
    monkeypatch.setattr(training, "measure", lambda asked: "A batch is too large.")
    with pytest.raises(ValueError, match="too large"):
        training.begin("mine", {**ASKED, "seed": 0, "batch_size": 79})
    assert not list(tmp_path.iterdir())
