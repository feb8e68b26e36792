"""A training run's folder: watched, stopped, killed at any moment, out of disk, diverging, on several processes."""

import errno
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from models import SHAPE, SMALL

import vaecore
from vaecore import checkpoints, resuming, runs, snapshots, standing, training
from vaecore.__main__ import main
from vaecore.recording import LOOK, recorded

ROOT = Path(__file__).parents[1]
DIGITS = {split: vaecore.load_dataset("digits", split) for split in ("train", "valid", "test")}
FEW = DIGITS["train"].first(200)


def fresh(seed: int = 0, recipe: str = "vae", **options: str | float) -> vaecore.VAE:
    torch.manual_seed(seed)
    return vaecore.build(recipe, SHAPE, **{"net": "small", **options})


def train(folder: Path, epochs: int = 3, hear: Callable[[dict], None] = lambda event: None, **settings: float) -> None:
    """As `python -m vaecore train` does it, with the events told to `hear` too."""
    vae = fresh()
    with (
        runs.told(folder),
        runs.opened(folder, {"recipe": "vae", "dataset": "digits", "epochs": epochs}) as partial,
        recorded(partial, vae, DIGITS["test"], epochs) as recorder,
    ):

        def both(event: dict) -> None:
            recorder(event)
            hear(event)

        settings = {"device": "cpu", "epochs": epochs, "folder": folder} | settings
        vaecore.fit(vae, "vae", FEW, DIGITS["valid"], on_event=both, **settings)


def at(epoch: int, do: Callable[[], None], kind: str = "step") -> Callable[[dict], None]:
    def hear(event: dict) -> None:
        if event["event"] == kind and event["epoch"] == epoch:
            do()

    return hear


def fail(error: BaseException) -> Callable[[], None]:
    def do() -> None:
        raise error

    return do


def test_a_run_can_be_watched_and_its_log_goes_with_the_checkpoint(tmp_path: Path) -> None:
    folder, seen = tmp_path / "run", []
    train(folder, 3, at(3, lambda: seen.append(standing.read(folder))))
    found = seen[0]
    assert (found.state, found.asked["recipe"]) == ("running", "vae")
    assert [line["epoch"] for line in found.epochs] == [1, 2]
    assert found.steps == 6
    assert 4 <= found.step <= 5
    done = standing.read(folder)
    assert (done.state, done.share) == ("done", 1.0)
    assert not runs.partial_of(folder).exists()
    history = checkpoints.read_metrics(folder)["history"]
    for line, event in zip(done.epochs, history, strict=True):
        assert line["valid_elbo"] == event["valid_elbo"]
        assert math.isclose(line["reconstruction"] - line["kl"], line["valid_elbo"], abs_tol=1e-4)
    assert {1, 3} <= set(snapshots.epochs_in(folder)) <= {1, 2, 3}


def test_a_snapshot_shows_what_the_model_says(tmp_path: Path) -> None:
    vae = fresh()
    vaecore.fit(vae, "vae", DIGITS["train"], epochs=3, device="cpu")
    state = torch.get_rng_state()
    shot = snapshots.shot(vae, DIGITS["test"])
    assert torch.equal(torch.get_rng_state(), state)
    assert shot["originals"].shape == (8, *SHAPE)
    assert shot["samples"].shape == (24, *SHAPE)
    q = vae.posterior(DIGITS["test"].images)
    torch.testing.assert_close(shot["codes"], q.mean[:300], atol=1e-5, rtol=1e-4)
    assert shot["labels"].tolist() == DIGITS["test"].labels[:300].tolist()
    mean = vae.likelihood(q.mean[:8]).mean
    assert (shot["reconstructions"] / 255 - mean.clamp(0, 1)).abs().max() < 0.003
    # The grid is the true posterior's: it differs from the exact log p(z|x) by one constant, and holds its mass.
    axes, found = shot["axes"].double(), shot["log_density"].double()
    x, nodes, cell = DIGITS["test"].images[:1], torch.cartesian_prod(*axes).float(), (axes[:, 1] - axes[:, 0]).prod()
    with torch.no_grad():
        other = vae.log_joint(x.expand(len(nodes), *SHAPE), nodes).reshape(found.shape).double()
    assert (other - found)[found > -8].std() < 0.001
    evidence = vaecore.evaluation.log_evidence(vae, x, samples=4000)
    assert float((other - evidence).exp().sum() * cell) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("recipe", ["me", "sa"])
def test_snapshots_of_other_systems_and_sizes(recipe: str) -> None:
    shot = snapshots.shot(fresh(recipe=recipe).eval(), DIGITS["test"].first(20))
    assert ("q_draws" in shot) == (recipe == "me")
    wide = vaecore.build("vae", SHAPE, 5, net="small")
    assert "codes" not in snapshots.shot(wide, DIGITS["test"].first(20))


def test_snapshots_are_few_and_cheap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "MOST", 5)
    monkeypatch.setattr(snapshots, "COSTLY", 1e9)
    shutter = snapshots.Shutter(tmp_path, DIGITS["test"].first(9), 17)
    for epoch in range(1, 18):
        shutter.take(fresh(), epoch)
    assert list(snapshots.epochs_in(tmp_path)) == [1, 4, 8, 12, 16, 17]
    monkeypatch.setattr(snapshots, "COSTLY", 0.0)
    costly = snapshots.Shutter(tmp_path / "..", DIGITS["test"].first(9), 3)
    for epoch in range(1, 4):
        costly.take(fresh(), epoch)
    assert list(snapshots.epochs_in(tmp_path / "..")) == [1, 3]


def test_asked_to_stop_it_ends_at_a_step_and_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train(whole, 4)

    def ask() -> None:
        runs.stop(cut)
        assert standing.read(cut).state in ("stopping", "running")
        time.sleep(1.1 * LOOK)  # it does not look at every step

    with pytest.raises(runs.Stopped):
        train(cut, 4, at(3, ask, "measured"))
    found = standing.read(cut)
    assert found.state == "stopped"
    assert not cut.exists()
    train(cut, 4)
    for which in ("model", "last"):
        one, other = (vaecore.load(folder, which=which).state_dict() for folder in (whole, cut))
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert [line["epoch"] for line in standing.read(cut).epochs] == [1, 2, 3, 4]


# Forks, so that torch is imported once; the first process never trains, so that its children may.
KILLED = """
import json, os, random, signal, sys, time
import torch
torch.set_num_threads(1)
import vaecore
from vaecore import runs, checkpoints, standing
from vaecore.recording import LOOK, recorded
import vaecore.training, pathlib

train, valid, test = (vaecore.load_dataset("digits", split) for split in ("train", "valid", "test"))
train = train.first(160)
# The first step of an optimiser imports much: once, here.
weight = torch.nn.Parameter(torch.zeros(1))
weight.grad = torch.zeros(1)
torch.optim.Adam([weight], fused=True).step()

place, recipe, options, begun, chance = pathlib.Path(sys.argv[1]), *json.loads(sys.argv[2]), random.Random(sys.argv[2])
settings = {"epochs": 6, "device": "cpu"} | ({"start": place / "start"} if begun else {})

def child(folder):
    torch.manual_seed(0)
    vae = vaecore.build(recipe, (1, 8, 8), **options)
    with runs.opened(folder, {}) as partial, recorded(partial, vae, test.first(20), 6) as recorder:
        vaecore.fit(vae, recipe, train, valid.first(50), folder=folder, on_event=recorder, **settings)

def run(folder, after=None):
    pid = os.fork()
    if pid == 0:
        try:
            child(folder)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    if after is not None:
        time.sleep(after)
        os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]

if begun:
    vaecore.save(vaecore.build("vae", (1, 8, 8), options["latent_dim"], net="small"), place / "start")
begun = time.monotonic()
assert run(place / "whole") == 0
took = time.monotonic() - begun
kills = 0
while not (place / "killed").exists() and kills < 16:
    # Three within an epoch's time, so that so many come even where the computer is four times faster by now.
    status = run(place / "killed", chance.uniform(0, (0.08 if kills < 3 else 0.25) * took))
    assert status in (0, signal.SIGKILL), status
    kills += status == signal.SIGKILL
    state = standing.read(place / "killed").state
    assert state in ("done", "interrupted", "new"), state
if not (place / "killed").exists():
    assert run(place / "killed") == 0
print(kills, checkpoints.digest(place / "whole"), checkpoints.digest(place / "killed"))
"""


# One of each thing that resuming has to carry: one stage, several, components by turns, a start's weights, parts that
# prior and encoder share, averages of weights that began by data.
WIDE = {"latent_dim": 3}  # the snapshots of a plane of such decoders would take minutes
MECHANISMS = [
    ("vae", {"net": "small"}, False),
    ("rnvp-p", {"net": "small", "depth": 2, "training": "iterative", "rounds": 2, "latent_dim": 2}, True),
    ("rme", {"net": "small", "components": 2, "latent_dim": 2}, True),
    ("vampprior", {"net": "small", "pseudo_inputs": 20}, False),
    ("mae", SMALL["mae"] | WIDE, False),
]


@pytest.mark.parametrize("mechanism", MECHANISMS, ids=lambda case: case[0] + "-begun" * case[2])
def test_killed_at_any_moment_it_ends_with_the_very_same_weights(tmp_path: Path, mechanism: tuple) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path), json.dumps(mechanism)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=300)
    assert ended.returncode == 0, ended.stderr
    kills, whole, killed = ended.stdout.split()
    assert int(kills) >= 3
    assert whole == killed
    last = [(tmp_path / name / "last.safetensors").read_bytes() for name in ("whole", "killed")]
    assert last[0] == last[1]
    histories = [checkpoints.read_metrics(tmp_path / name)["history"] for name in ("whole", "killed")]
    assert [e["valid_elbo"] for e in histories[0]] == [e["valid_elbo"] for e in histories[1]]
    assert [line["epoch"] for line in standing.read(tmp_path / "killed").epochs] == list(range(1, 7))


def test_a_full_disk_ends_the_run_with_a_sentence_and_its_last_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, write = tmp_path / "run", resuming.write_tensors
    whole = OSError(errno.ENOSPC, "No space left on device")
    runs.ask(folder, {"recipe": "vae"})

    def full(file: Path, *rest: object) -> None:
        if len(resuming.stored(file.parent)[0]["history"] if file.exists() else []) == 2:
            raise whole
        write(file, *rest)

    monkeypatch.setattr(resuming, "write_tensors", full)
    size = (runs.partial_of(folder) / runs.END).stat().st_size
    with pytest.raises(OSError, match="No space"):
        train(folder, 4)
    found = standing.read(folder)
    assert found.state == "failed"
    assert found.sentence.startswith("The disk is full: No space left on device. Make room and resume")
    assert (runs.partial_of(folder) / runs.END).stat().st_size == size  # it asked the disk for nothing
    monkeypatch.setattr(resuming, "write_tensors", write)
    train(folder, 4)
    assert standing.read(folder).state == "done"


def test_a_diverging_run_keeps_its_sentence_and_its_last_good_epoch(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(training.Diverged):
        train_until_nan(folder)
    found = standing.read(folder)
    assert found.state == "failed"
    assert "In epoch 3 the training diverged: decoder.log_scale is not finite." in found.sentence
    kept = resuming.finish_early(folder)
    assert kept == folder
    assert standing.read(folder).state == "done"
    history = checkpoints.read_metrics(folder)
    assert len(history["history"]) == 2
    assert "ended after 2 of 4 epochs" in (folder / "README.md").read_text()
    assert all(t.isfinite().all() for t in vaecore.load(folder).state_dict().values())


def train_until_nan(folder: Path) -> None:
    """Weights go astray in the third epoch."""
    vae = fresh()

    def poison(event: dict) -> None:
        if event["event"] == "step" and event["epoch"] == 3:
            with torch.no_grad():
                next(vae.decoder.parameters()).fill_(math.nan)

    with runs.told(folder), runs.opened(folder, {}) as partial, recorded(partial, vae, DIGITS["test"], 4) as recorder:

        def both(event: dict) -> None:
            recorder(event)
            poison(event)

        vaecore.fit(vae, "vae", FEW, DIGITS["valid"], epochs=4, device="cpu", folder=folder, on_event=both)


def test_a_missing_data_set_is_said_in_the_runs_folder(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    runs.ask(folder, {"recipe": "vae", "dataset": "mnist"})
    command = ["train", "vae", "--dataset", "mnist", "--data", str(tmp_path / "none"), "--folder", str(folder)]
    assert main(command) == 1
    found = standing.read(folder)
    assert found.state == "failed"
    assert "mnist" in found.sentence
    assert resuming.stored(runs.partial_of(folder)) is None
    with pytest.raises(ValueError, match="no whole epoch yet"):
        resuming.finish_early(folder)


def test_what_never_began_leaves_nothing(tmp_path: Path) -> None:
    assert main(["train", "vae", "--from", "nowhere", "--folder", str(tmp_path / "run")]) == 1
    assert list(tmp_path.iterdir()) == []


def test_two_cannot_train_in_one_folder(tmp_path: Path) -> None:
    folder, said = tmp_path / "run", []

    def second() -> None:
        if not said:
            with pytest.raises(ValueError, match="trained by another process") as caught:
                train(folder)
            said.append(caught)
            assert standing.read(folder).state == "running"

    train(folder, 2, at(2, second))
    assert said
    assert standing.read(folder).state == "done"
    with pytest.raises(ValueError, match="is taken"):
        runs.ask(folder, {})


def test_a_name_can_be_asked_for_once(tmp_path: Path) -> None:
    runs.ask(tmp_path / "a.b", {"recipe": "vae"})
    with pytest.raises(ValueError, match="taken by an unfinished run"):
        runs.ask(tmp_path / "a.b", {})
    assert runs.find(tmp_path) == [tmp_path / "a.b"]
    assert standing.read(tmp_path / "a.b").state == "new"


def test_half_lines_and_strange_ones_do_no_harm(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    runs.ask(folder, {})
    good = {"event": "step", "step": 3, "steps": 9, "epoch": 1, "objective": -1.0, "seconds": 1.0}
    text = json.dumps(good) + '\n[1]\n\x00\xff\n{"event": "step", "st'
    (runs.partial_of(folder) / runs.LOG).write_bytes(text.encode("latin1"))
    found = standing.read(folder)
    assert (found.step, found.steps, found.state) == (3, 9, "interrupted")
    log = runs.Log(runs.partial_of(folder))
    log.write(good | {"step": 4})
    log.close()
    assert standing.read(folder).step == 4
