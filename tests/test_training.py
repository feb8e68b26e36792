"""fit: what it promises of stages, seeds, the best epoch, interruption and clear errors."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from models import BINARY, PIXELWISE, SHAPE
from models import fresh as small

import vaecore
from vaecore import checkpoints, training
from vaecore.__main__ import main
from vaecore.recipes import ELBO, RECIPES, Stage

DIGITS = {split: vaecore.load_dataset("digits", split) for split in ("train", "valid")}


def fresh(seed: int = 0, recipe: str = "vae", **options: str | float) -> vaecore.VAE:
    torch.manual_seed(seed)
    return vaecore.build(recipe, SHAPE, **{"net": "small", **options})


def same(a: vaecore.VAE, b: vaecore.VAE) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


# Those whose decoders draw pixel by pixel learn in test_pixelcnn and test_mae.
@pytest.mark.parametrize(
    ("name", "likelihood"),
    [
        (n, p)
        for n in RECIPES
        if n not in PIXELWISE
        for p in ("gaussian", "bernoulli")
        if n not in BINARY or p != "gaussian"
    ],
)
def test_training_raises_the_bound_and_the_exact_evidence(name: str, likelihood: str) -> None:
    torch.manual_seed(0)
    vae = small(name, "small", likelihood)
    x = DIGITS["valid"].images[:8]
    before = vaecore.exact.true_posterior(vae, x).log_evidence.mean()
    history = vaecore.fit(vae, name, DIGITS["train"], DIGITS["valid"], epochs=8, device="cpu")
    assert [event["epoch"] for event in history] == list(range(1, 9))
    assert history[-1]["train_elbo"] > history[0]["train_elbo"] + 1
    assert vaecore.exact.true_posterior(vae, x).log_evidence.mean() > before + 1


def test_stages_share_the_epochs_and_set_the_rate() -> None:
    stages = (Stage(0.5, 1e-3, ELBO), Stage(0.3, 1e-4, ELBO), Stage(0.2, 1e-5, ELBO))
    assert [n for _, n in training.split_epochs(stages, 10)] == [5, 3, 2]
    assert sum(n for _, n in training.split_epochs(stages, 7)) == 7
    history = vaecore.fit(fresh(), "vae", DIGITS["valid"], epochs=10, learning_rate=1e-3, device="cpu")
    rates = [event["learning_rate"] for event in history]
    assert rates == pytest.approx([1e-3] * 6 + [4e-4] * 2 + [1e-4] * 2)


def test_the_same_seed_gives_the_same_weights_and_another_does_not() -> None:
    runs = [fresh() for _ in range(3)]
    for vae, seed in zip(runs, (1, 1, 2), strict=True):
        vaecore.fit(vae, "vae", DIGITS["valid"], epochs=2, seed=seed, device="cpu")
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


def test_fit_leaves_the_callers_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    vae = fresh()
    torch.manual_seed(5)
    vaecore.fit(vae, "vae", DIGITS["valid"], epochs=1, device="cpu")
    assert torch.equal(torch.rand(1), expected)


def test_the_best_epoch_is_kept_and_the_last_one_too(tmp_path: Path) -> None:
    vae, folder = fresh(), tmp_path / "run"
    # At a rate this high the validation bound falls again.
    history = vaecore.fit(
        vae, "vae", DIGITS["train"], DIGITS["valid"], epochs=12, learning_rate=0.02, device="cpu", folder=folder
    )
    scores = [event["valid_elbo"] for event in history]
    metrics = checkpoints.read_metrics(folder)
    assert metrics["training"]["best_epoch"] == scores.index(max(scores)) + 1
    assert metrics["history"] == history
    assert same(vaecore.load(folder), vae)
    assert not list(tmp_path.glob("*.partial"))
    if metrics["training"]["best_epoch"] < 12:
        assert not same(vaecore.load(folder, which="last"), vae)


class Stopped(Exception):
    pass


@pytest.mark.parametrize("epoch", [1, 3])
def test_an_interrupted_run_goes_on_to_the_same_weights(tmp_path: Path, epoch: int) -> None:
    settings = {"epochs": 5, "seed": 3, "device": "cpu"}
    whole = fresh()
    history = vaecore.fit(whole, "vae", DIGITS["valid"], DIGITS["valid"], folder=tmp_path / "whole", **settings)

    def stop(event: dict) -> None:
        if event["event"] == "step" and event["epoch"] == epoch + 1:
            raise Stopped

    with pytest.raises(Stopped):
        vaecore.fit(
            fresh(), "vae", DIGITS["valid"], DIGITS["valid"], folder=tmp_path / "cut", on_event=stop, **settings
        )
    assert not (tmp_path / "cut").exists()
    resumed = fresh(seed=99)
    again = vaecore.fit(resumed, "vae", DIGITS["valid"], DIGITS["valid"], folder=tmp_path / "cut", **settings)
    assert same(resumed, whole)
    assert same(vaecore.load(tmp_path / "cut", which="last"), vaecore.load(tmp_path / "whole", which="last"))
    assert [e["valid_elbo"] for e in again] == [e["valid_elbo"] for e in history]


def test_resuming_with_other_settings_is_refused(tmp_path: Path) -> None:
    def stop(event: dict) -> None:
        if event["event"] == "epoch":
            raise Stopped

    with pytest.raises(Stopped):
        vaecore.fit(fresh(), "vae", DIGITS["valid"], epochs=3, folder=tmp_path / "a", on_event=stop, device="cpu")
    with pytest.raises(ValueError, match=r"other settings \(config .*'net': 'small'"):
        vaecore.fit(fresh(net="dense"), "vae", DIGITS["valid"], epochs=3, folder=tmp_path / "a", device="cpu")
    with pytest.raises(ValueError, match=r"holds a run with other settings \(epochs 3\)"):
        vaecore.fit(fresh(), "vae", DIGITS["valid"], epochs=4, folder=tmp_path / "a", device="cpu")
    (tmp_path / "a.partial" / "state.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ValueError, match="cannot be read"):
        vaecore.fit(fresh(), "vae", DIGITS["valid"], epochs=3, folder=tmp_path / "a", device="cpu")


def test_a_diverging_run_says_so_and_writes_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="diverged: .*a smaller learning rate than 1e\\+06 usually mends it"):
        vaecore.fit(fresh(), "vae", DIGITS["valid"], epochs=3, learning_rate=1e6, folder=tmp_path / "x", device="cpu")
    assert not (tmp_path / "x").exists()


def test_weights_that_diverge_in_the_very_last_step_are_noticed(tmp_path: Path) -> None:
    x = DIGITS["valid"].images
    for valid in (None, x):
        with pytest.raises(training.Diverged, match="diverged"):
            vaecore.fit(
                fresh(), "vae", x, valid, epochs=1, batch_size=len(x), learning_rate=1e30, folder=tmp_path / "a"
            )
    assert not (tmp_path / "a").exists()


def test_start_begins_with_the_trained_weights(tmp_path: Path) -> None:
    trained = fresh()
    vaecore.fit(trained, "vae", DIGITS["train"], epochs=3, device="cpu", folder=tmp_path / "trained")
    first = vaecore.fit(fresh(7), "vae", DIGITS["train"], epochs=1, device="cpu", start=tmp_path / "trained")
    cold = vaecore.fit(fresh(7), "vae", DIGITS["train"], epochs=1, device="cpu")
    assert first[0]["train_elbo"] > cold[0]["train_elbo"] + 1
    with pytest.raises(ValueError, match="other parts or sizes"):
        vaecore.fit(fresh(net="dense"), "vae", DIGITS["train"], epochs=1, device="cpu", start=tmp_path / "trained")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"learning_rate": -1.0}, "positive number"),
        ({"learning_rate": math.nan}, "positive number"),
        ({"epochs": 0}, "at least 1"),
        ({"batch_size": 0}, "at least 1"),
        ({"recipe": "rme2"}, "no recipe 'rme2'"),
    ],
)
def test_settings_that_cannot_be(settings: dict, sentence: str) -> None:
    recipe = settings.pop("recipe", "vae")
    with pytest.raises(ValueError, match=sentence):
        vaecore.fit(fresh(), recipe, DIGITS["valid"], device="cpu", **settings)


def test_images_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"built for images of shape \[1, 8, 8\], the data has \[1, 9, 9\]"):
        vaecore.fit(fresh(), "vae", torch.rand(4, 1, 9, 9), epochs=1, device="cpu")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "vae", "--device", "nonsense"], "There is no device 'nonsense' here"),
        (["train", "vae", "--device", "meta"], "There is no device 'meta' here"),
        (["train", "vae", "--option", "data_shape=3"], "has no option 'data_shape'"),
        (["train", "vae", "--option", "likelihood=poisson"], "Option likelihood is 'poisson'"),
        (["train", "vae", "--dataset", "nonsense"], "nonsense"),
        (["train", "vae", "--from", "nowhere"], "There is no checkpoint folder nowhere"),
        (["train", "vae", "--folder", "/dev/null/x"], "/dev/null"),
        (["evaluate", "nowhere"], "There is no checkpoint folder nowhere"),
    ],
)
def test_the_command_line_says_what_was_wrong(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture
) -> None:
    assert main([*arguments, *(["--epochs", "1"] if arguments[0] == "train" else [])]) == 1
    said = capsys.readouterr().err
    assert sentence in said
    assert said.strip().count("\n") == 0


@pytest.mark.parametrize(("name", "value"), [("--epochs", "0"), ("--seed", "-1"), ("--latent-dim", "x")])
def test_numbers_that_cannot_be_are_refused_by_the_command_line(name: str, value: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["train", "vae", name, value])


def test_the_command_line_trains_evaluates_and_keeps(tmp_path: Path) -> None:
    folder = tmp_path / "digits"

    def run(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "vaecore", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1], check=False)

    trained = run("train", "vae", "--dataset", "digits", "--epochs", "3", "--folder", str(folder), "--device", "cpu")
    assert trained.returncode == 0, trained.stderr
    assert "epoch=3/3" in trained.stderr
    assert json.loads(trained.stdout)["folder"] == str(folder)
    evaluated = run("evaluate", str(folder), "--images", "50", "--samples", "20", "--exact-images", "5", "--keep")
    results = json.loads(evaluated.stdout)
    parts = results["exact ELBO"] + results["approximation gap"] + results["amortization gap"]
    assert math.isclose(parts, results["exact log p(x)"], abs_tol=1e-6)
    assert results["ELBO"] <= results["IWAE(20)"]
    card = (folder / "README.md").read_text()
    assert f"{results['ELBO']:,.3f}" in card
    assert "--epochs 3" in card
    assert run("analyse", str(folder)).returncode == 0
    kept = checkpoints.read_analysis(folder)
    assert kept["test.loc"].shape == (355, 2)
    whole = kept["exact.log_evidence"] - kept["exact.approximation"] - kept["exact.amortization"]
    # The exact bound of the first images, averaged, is what evaluate estimated with one sample for each.
    assert abs(float(whole[:50].mean()) - results["ELBO"]) < 0.2 * abs(results["ELBO"])
    again = run("train", "vae", "--folder", str(folder))
    assert again.returncode == 1
    assert "exists already" in again.stderr
    assert "Traceback" not in again.stderr
    assert run("evaluate", str(tmp_path / "nothing")).returncode == 1


def test_a_gpvae_that_goes_on_counts_the_images_of_its_own_run() -> None:
    """N of equation 15, whose value came with the weights."""
    first, second = fresh(recipe="gpvae"), fresh(recipe="gpvae")
    vaecore.fit(first, "gpvae", DIGITS["train"].images[:100], epochs=1, device="cpu")
    assert float(first.encoder.train_size) == 100
    vaecore.fit(second, "gpvae", DIGITS["train"].images[:150], epochs=1, device="cpu", start=first)
    assert float(second.encoder.train_size) == 150


def test_a_run_that_diverges_names_the_first_thing_that_is_no_number() -> None:
    x = DIGITS["valid"].images

    def astray(where: str) -> str:
        vae = fresh()

        def poison(event: dict) -> None:
            if event["event"] == "step":
                broken(vae, where)

        with pytest.raises(training.Diverged) as found:
            vaecore.fit(vae, "vae", x, epochs=2, batch_size=64, device="cpu", on_event=poison)
        return str(found.value)

    assert astray("weight") == "In epoch 1 the training diverged: encoder.net.1.bias is not finite."
    gradient = "the objective is finite and the gradient of decoder.net.0.bias is not"
    assert astray("gradient") == f"In epoch 1 the training diverged: {gradient}."
    assert "diverged: E_q[log p(x|z)] is -inf; the standard deviations of q(z|x) are from" in astray("term")
    assert "encoder.net.1.bias had grown to 1e+06: a smaller learning rate than 0.0005 usually" in astray("grown")


@torch.no_grad()
def broken(vae: vaecore.VAE, where: str) -> None:
    if where == "weight":
        vae.encoder.net[1].bias[3] = math.nan
    elif where == "gradient":
        vae.decoder.net[0].bias.register_hook(lambda slope: slope * math.inf)
    elif where == "term":
        vae.decoder.log_scale.fill_(-60.0)
    else:
        vae.encoder.net[1].bias.fill_(1e6)
        vae.decoder.log_scale.fill_(-60.0)
