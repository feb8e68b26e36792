"""Every kind of file that a stranger may write, spoilt in many ways: read, and then shown; or refused with a sentence.

VAESCOPE_FUZZ_CASES says how many cases each kind has; `make test-slow` takes 10,000.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import spoilt_bytes, spoilt_json, spoilt_tensors

import vaecore
from app import (
    figures_training,
    jobs,
    offline,
    panels,
    session,
    shelf,
    survey,
    train_pictures,
    train_words,
    watching,
    wrong,
)
from vaecore import analysed, checkpoints, health, resuming, runs, snapshots, standing, verdicts
from vaecore.embedding import Settings
from vaecore.embedding.kept import kept
from vaecore.health.report import with_analysis
from vaecore.imports.keeping import metrics as claimed
from vaecore.imports.pythae import read_about
from vaecore.metrics import check_metrics
from vaecore.safefiles import BadFile, write_json, write_tensors

PRETRAINED = Path(__file__).parents[1] / "pretrained"
CASES = int(os.environ.get("VAESCOPE_FUZZ_CASES", "40"))
ALL = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
many = settings(derandomize=True, deadline=None, database=None, max_examples=CASES, suppress_health_check=ALL)
spoiling = given(st.builds(Random, st.integers(0, 2**64 - 1)))
RUN = {"recipe": "me", "dataset": "digits", "latent_dim": 2, "epochs": 9, "batch_size": 128, "seed": 0}
RUN |= {"learning_rate": None, "start": None, "options": {"components": 5, "net": "small"}}
TOLD = {"epochs": 9, "train_elbo": -30.0, "valid_elbo": -31.5, "reconstruction": -29.0, "kl": 2.5, "seconds": 1.0}


@pytest.fixture(scope="module", autouse=True)
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkpoint with an analysis, a report and a map of its codes; a cache of its own."""
    root = tmp_path_factory.mktemp("foreign")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        patch.setattr("os.fsync", lambda handle: None)
        patch.setattr(session, "ROOT", root)
        shutil.copytree(PRETRAINED / "digits-gpvae-2d", root / "one")
        yield root


@pytest.fixture(scope="module")
def one(place: Path) -> SimpleNamespace:
    folder = place / "one"
    return SimpleNamespace(folder=folder, digest=checkpoints.digest(folder), dataset="digits", latent=2)


def sentence(act: Callable[[], object]) -> object:
    """What it gives; None where it is refused with a sentence."""
    try:
        return act()
    except BadFile as error:
        assert 10 < len(str(error)) < 900  # noqa: PT017
        str(error).encode()
        return None


def entry_of(folder: Path) -> session.Checkpoint:
    return session.read_checkpoint.__wrapped__(str(folder), ())


def shown(entry: session.Checkpoint) -> None:
    """A row of the table, the card and the summaries."""
    if not entry.problem:
        shelf.table([entry])
        panels.summary(entry)
        offline.card(entry).encode()
        checkpoints.card(entry.folder).encode()
    entry.problem.encode()


@many
@spoiling
def test_metrics(place: Path, rng: Random) -> None:
    file = place / "one" / "metrics.json"
    real = json.loads((PRETRAINED / "dynamic-digits-mae-1-0.5-8d" / "metrics.json").read_text())
    real["history"] = real.get("history", [])[:5]
    before = file.read_bytes()
    try:
        file.write_bytes(spoilt_json(real, rng))
        shown(entry_of(place / "one"))
    finally:
        file.write_bytes(before)


@many
@spoiling
def test_configurations(place: Path, rng: Random) -> None:
    file = place / "one" / "config.json"
    before = file.read_bytes()
    try:
        file.write_bytes(spoilt_json(json.loads(before), rng))
        shown(entry_of(place / "one"))
        sentence(lambda: vaecore.load(place / "one"))
    finally:
        file.write_bytes(before)


@many
@spoiling
def test_claims(rng: Random) -> None:
    real = json.loads((PRETRAINED / "digits-me5-2d" / "metrics.json").read_text())
    found = sentence(lambda: claimed({"metrics.json": spoilt_json(real, rng)}))
    if found is not None:
        check_metrics(found | {"brought": True})
        checkpoints.model_card(checkpoints.read_config(PRETRAINED / "digits-me5-2d"), found, 3).encode()


def pictured(one: standing.Standing) -> None:
    """All that the page of training says and draws of a run."""
    one.problem.encode()
    train_words.line(one).encode()
    train_words.running(one, "")
    if one.epochs or one.objective:
        curves, total = train_pictures.curves_of(one), train_pictures.total_epochs(one)
        figures_training.loss_figure(curves, total).to_json()
        figures_training.parts_figure(curves, total).to_json()
        train_pictures.spoken(one), train_pictures.terms(one)


def a_run(place: Path) -> Path:
    folder = place / "runs" / "a"
    shutil.rmtree(folder.parent, ignore_errors=True)
    runs.ask(folder, RUN)
    return folder


@many
@spoiling
def test_logs_of_runs(place: Path, rng: Random) -> None:
    steps = [{"event": "step", "step": k, "steps": 90, "epoch": 1 + k // 10, "objective": -30.5} for k in (4, 12, 25)]
    epochs = [{"event": "epoch", "epoch": k, "step": 10 * k, "learning_rate": 0.001, **TOLD} for k in (1, 2)]
    lines = [{"event": "begin", "time": 1.0}, *(step | {"seconds": step["step"] / 2} for step in steps), *epochs]
    at = rng.randint(0, len(lines) - 1)
    texts = [json.dumps(line).encode() for line in lines]
    texts[at] = spoilt_json(lines[at], rng)
    text = b"\n".join(texts)
    folder = a_run(place)
    (runs.partial_of(folder) / runs.LOG).write_bytes(text if rng.random() < 0.8 else spoilt_bytes(text, rng))
    pictured(standing.read(folder))


@many
@spoiling
def test_what_was_asked_of_runs_and_how_they_ended(place: Path, rng: Random) -> None:
    folder = a_run(place)
    end = {"state": "failed", "sentence": "The disk is full."}
    name, real = rng.choice([(runs.ASKED, RUN), (runs.ASKED, RUN), (runs.END, end)])
    (runs.partial_of(folder) / name).write_bytes(spoilt_json(real, rng))
    if rng.random() < 0.3:
        (runs.partial_of(folder) / runs.STOP).write_bytes(spoilt_bytes(b"keep", rng))
    found = standing.read(folder)
    pictured(found)
    runs.is_to_be_kept(folder)


@many
@spoiling
def test_files_of_jobs(rng: Random) -> None:
    real = {
        "job.json": {"kind": "train", "target": "t", "pid": 4_000_000, "started": 1.0, "ticket": "ticket-1-2"},
        "progress.json": {"step": 3, "steps": 9, "seconds": 1.5},
        "first.json": {"step": 1, "seconds": 0.5},
        "stop.json": {"pid": 4_000_000, "asked": 2.0},
        "stdout": {"images": 3, "stopped": True},
    }
    home, spoilt = jobs.home("train", "t"), rng.choice(list(real))
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    for name, held in real.items():
        if name == spoilt or name == "job.json" or rng.random() < 0.5:
            (home / name).write_bytes(spoilt_json(held, rng) if name == spoilt else json.dumps(held).encode())
    if rng.random() < 0.3:
        (home / "stderr").write_bytes(spoilt_bytes(b"train: There is no such thing.\n" * 3, rng))
    job = jobs.find("train", "t")
    jobs.every()
    if job:
        assert job.pid != 1
        job.sentence.encode()
        assert 0 <= job.share <= 1
        jobs.ahead(job), watching.progress(job)


@many
@spoiling
def test_analyses(one: SimpleNamespace, rng: Random) -> None:
    file = one.folder / "analysis.safetensors"
    before = REAL.setdefault("analysis", file.read_bytes())
    file.write_bytes(spoilt_tensors(before, rng))
    for cached in (session.stored_analysis, survey._survey, wrong._values):
        cached.clear()
    found = sentence(lambda: checkpoints.read_analysis(one.folder, digest=one.digest))
    if found is not None:
        used_analysis(one)
    file.write_bytes(before)


REAL: dict[str, bytes] = {}


def used_analysis(one: SimpleNamespace) -> None:
    """What the pages take from an analysis, at images that it may not have."""
    stored = session.analysis(one.digest, one.folder)
    for index in (0, 300):
        session.stored_gap(one.digest, session.Pick("image", index), one)
    survey.survey(one)
    [wrong.exact(one, kind) for kind in ("gap", "approximation")]
    [survey.numbers(stored[name]) for name in analysed.FORM if name in stored]
    with_analysis({"q is a diagonal Gaussian": True}, stored)
    if "test.loc" in stored:
        session.codes.__wrapped__(one.digest, one)


@pytest.fixture(scope="module")
def measured(one: SimpleNamespace) -> Path:
    """A report on the checkpoint, of few images."""
    sizes = health.Sizes(images=20, samples=8, compared=20, draws=4, codes=24, exact=4, prior=50, worst=3)
    test, train = (vaecore.load_dataset("digits", split).images[:40] for split in ("test", "train"))
    vae = vaecore.load(PRETRAINED / "digits-vae-2d")
    found = health.report(vae, test, train=train, sizes=sizes, analysis=checkpoints.read_analysis(one.folder))
    file = one.folder.parent / "report.json"
    write_json(file, {"digest": one.digest, "split": "test", **found})
    return file


@many
@spoiling
def test_reports_of_health(one: SimpleNamespace, measured: Path, rng: Random) -> None:
    file = one.folder / health.kept.name()
    file.write_bytes(spoilt_json(json.loads(measured.read_text()), rng))
    found = sentence(lambda: health.read(one.folder, key=one.digest))
    if found:
        rows = verdicts.verdicts(found)
        said = verdicts.headline(rows), verdicts.overall(rows), health.protocol(found), json.dumps(rows)
        "".join(map(str, said)).encode()
    file.unlink()


@pytest.fixture(scope="module")
def small(place: Path) -> Path:
    vae = vaecore.build("vae", (1, 8, 8), 3, net="small")
    return vaecore.save(vae, place / "small", dataset="digits")


@many
@spoiling
def test_maps_of_codes(small: Path, rng: Random) -> None:
    chosen, rows, key = Settings(), torch.arange(30), checkpoints.digest(small)
    tensors = {"places": torch.rand(30, 2), "rows": rows.to(torch.int32)}
    file = checkpoints.write_kept(small, "embeddings/umap-test-2000-0", tensors, digest=key)
    file.write_bytes(spoilt_tensors(file.read_bytes(), rng))
    found = sentence(lambda: kept(small, chosen, rows, digest=key))
    assert found is None or found.shape == (30, 2)
    file.unlink()


@many
@spoiling
def test_weights(small: Path, rng: Random) -> None:
    file = small / "model.safetensors"
    before = REAL.setdefault("weights", file.read_bytes())
    file.write_bytes(spoilt_tensors(before, rng))
    sentence(lambda: vaecore.load(small))
    shown(entry_of(small))
    file.write_bytes(before)


@pytest.fixture(scope="module")
def shot(place: Path) -> Path:
    vae, few = vaecore.load(PRETRAINED / "digits-vae-2d"), vaecore.load_dataset("digits", "test").first(12)
    write_tensors(place / "shot.safetensors", snapshots.shot(vae, few))
    return place / "shot.safetensors"


@many
@spoiling
def test_snapshots(place: Path, shot: Path, rng: Random) -> None:
    folder = place / "shots" / runs.SNAPSHOTS
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "00001.safetensors").write_bytes(spoilt_tensors(shot.read_bytes(), rng))
    [file] = snapshots.epochs_in(folder.parent).values()
    found = sentence(lambda: snapshots.read(file))
    if found is not None:
        drawn({name: tensor.numpy() for name, tensor in found.items()})


def drawn(shot: dict[str, np.ndarray]) -> None:
    shot["samples"].reshape(3, -1, *shot["samples"].shape[1:])
    np.stack([shot["originals"], shot["reconstructions"]])
    if "codes" in shot:
        reach = figures_training.reach_of([shot["codes"]])
        figures_training.map_figure(shot["codes"], shot.get("labels"), reach).to_json()
        figures_training.posterior_figure(shot).to_json()


@pytest.fixture(scope="module")
def state(place: Path) -> Path:
    """What a run keeps of its last whole epoch."""
    folder, few = place / "halted", vaecore.load_dataset("digits", "train").first(200)
    vae = vaecore.build("vae", (1, 8, 8), 2, net="small")

    def halt(event: dict) -> None:
        if event["event"] == "epoch":
            raise runs.Stopped

    with pytest.raises(runs.Stopped):
        vaecore.fit(vae, "vae", few, epochs=3, folder=folder, on_event=halt)
    return runs.partial_of(folder) / resuming.STATE


@many
@spoiling
def test_states_of_runs(place: Path, state: Path, rng: Random) -> None:
    folder, real = a_run(place), state.read_bytes()
    length = int.from_bytes(real[:8], "little")
    header = json.loads(real[8 : 8 + length])
    if rng.random() < 0.6:
        header["__metadata__"]["run"] = spoilt_json(json.loads(header["__metadata__"]["run"]), rng).decode("latin1")
        text = json.dumps(header).encode()
        content = len(text).to_bytes(8, "little") + text + real[8 + length :]
    else:
        content = spoilt_tensors(real, rng)
    (runs.partial_of(folder) / resuming.STATE).write_bytes(content)
    try:
        resuming.finish_early(folder)
    except ValueError as error:
        str(error).encode()


@many
@spoiling
def test_foreign_configurations(rng: Random) -> None:
    real = {"name": "VAEConfig", "input_dim": [1, 28, 28], "latent_dim": 10, "reconstruction_loss": "bce", "beta": 2.0}
    real |= {"uses_default_encoder": True, "uses_default_decoder": True}
    files = {
        "model_config.json": spoilt_json(real, rng),
        "environment.json": spoilt_json({"python_version": "3.8"}, rng),
    }
    sentence(lambda: read_about(files))
