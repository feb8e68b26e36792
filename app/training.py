"""Training runs as the page "Train one" needs them: begun, watched, ended, kept. Beside session.py, by its rules."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from app import jobs, owners, session, visits

if TYPE_CHECKING:
    from vaecore.options import Choice, Number
    from vaecore.standing import Standing

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
LIMITS = {"latent_dim": (1, 1024), "epochs": (1, 100_000), "batch_size": (1, 8192), "seed": (0, 2**32 - 1)}
FIRST = {"digits": 100, "dynamic_digits": 100}  # epochs to begin with; others are larger
EPOCHS = 10
SIZES = ("latent", "epochs", "seed")
MEGABYTES, PATIENCE = 2048, 60.0  # that the process may take which measures a few steps; and its seconds
NICE = 5  # of that process: what others look at comes first

_seats = threading.BoundedSemaphore(1)  # of those who measure: two would tell each other's pace


@dataclass(frozen=True)
class System:
    """A recipe as the form shows it."""

    name: str
    title: str
    paper: str
    summary: str
    begins: bool
    options: "tuple[Choice | Number, ...]"


# ---- what can be asked


@st.cache_resource(show_spinner=False)
def systems() -> dict[str, System]:
    from vaecore.recipes import RECIPES, Recipe

    def title(row: Recipe) -> str:
        return row.label.format(**{option.name: option.default for option in row.options})

    return {
        name: System(name, title(row), row.paper, row.summary, row.begins, row.options) for name, row in RECIPES.items()
    }


def datasets() -> list[str]:
    """Those whose files are there."""
    from vaecore.datasets import NAMES, is_available

    return [name for name in NAMES if is_available(name)]


@st.cache_resource(max_entries=2, show_spinner=False)
def train_split(dataset: str):  # noqa: ANN201
    from vaecore import load_dataset

    return load_dataset(dataset, "train")


def options(recipe: str) -> "dict[str, Choice | Number]":
    """A recipe's own, by name."""
    return {option.name: option for option in systems()[recipe].options}


def fields(recipe: str, dataset: str) -> "dict[str, Choice | Number]":
    """All that the form asks for: the sizes, the recipe's options, and what every recipe lets one choose."""
    from vaecore.options import Number

    first = {"latent_dim": 2, "epochs": FIRST.get(dataset, EPOCHS), "seed": 0, "batch_size": 128}
    said = {"latent_dim": "D; with 2 the posterior is exact"}
    named = zip((*SIZES, "batch"), first.items(), strict=True)
    asked = {name: Number(name, value, *LIMITS[limit], said.get(limit, "")) for name, (limit, value) in named}
    batch = {"batch": asked.pop("batch"), "rate": Number("rate", 1e-3, 1e-9, 10.0, "at first")}
    return asked | options(recipe) | batch


def default_net(dataset: str, choices: tuple[str, ...]) -> str:
    from vaecore.nets import default_net

    return default_net((1, 8, 8) if dataset.endswith("digits") else (1, 28, 28), choices)


def free_name(wanted: str) -> str:
    """`wanted`, or with a number behind it, as no run and no checkpoint is called yet."""
    from vaecore import shelf

    return shelf.free_name(session.runs_folder(), wanted)


def checked(asked: dict) -> dict:
    """What was asked, every value what it must be, or ValueError: nothing from a browser or a folder is trusted."""
    from vaecore.datasets import NAMES
    from vaecore.recipes import find_recipe, resolve_options

    recipe = find_recipe(asked.get("recipe"))
    if asked.get("dataset") not in NAMES:
        raise ValueError(f"There is no data set {str(asked.get('dataset'))[:60]!r}.")
    for name, (least, most) in LIMITS.items():
        if type(asked.get(name)) is not int or not least <= asked[name] <= most:
            raise ValueError(f"{name} must be a whole number from {least:,} to {most:,}.")
    rate = asked.get("learning_rate")
    if rate is not None and not (isinstance(rate, int | float) and 0 < rate < 1e6):
        raise ValueError("The learning rate must be a positive number.")
    if not isinstance(asked.get("options", {}), dict):
        raise ValueError("The options must be names with values.")
    resolve_options(recipe, (1, 28, 28), asked.get("options", {}))
    return asked


def arguments(folder: Path, asked: dict) -> list[str]:
    """`python -m vaecore`'s, for a run."""
    checked(asked)
    given = ["train", asked["recipe"], "--dataset", asked["dataset"], "--folder", str(folder)]
    for name in ("latent_dim", "epochs", "batch_size", "seed"):
        given += [f"--{name.replace('_', '-')}", str(asked[name])]
    given += ["--learning-rate", str(asked["learning_rate"])] if asked.get("learning_rate") else []
    given += [f"--from={asked['start']}"] if asked.get("start") else []
    return given + [f"--option={name}={value}" for name, value in asked.get("options", {}).items()]


def estimate(asked: dict) -> float:
    """Seconds that the run will take, by a few of its steps; ValueError for what is too large for this computer."""
    checked(asked)
    found = _measured({name: asked[name] for name in MEASURED})
    if isinstance(found, str):
        raise ValueError(found)
    return found


MEASURED = ("recipe", "dataset", "latent_dim", "options", "batch_size", "epochs")


@st.cache_data(max_entries=256, show_spinner=False)
def _measured(asked: dict) -> float | str:
    """What the process that measures says: seconds, or a sentence, which is kept as well."""
    begun = time.monotonic()
    while not _seats.acquire(timeout=0.2):
        visits.wanted()
        if time.monotonic() - begun > PATIENCE:
            raise ValueError("Others have their trainings measured: try again in a minute.")
    try:
        return measure(asked)
    finally:
        _seats.release()


def measure(asked: dict) -> float | str:
    """Try the training in a process with bounds, which is killed when its time is over or nobody waits for it."""
    command = ["nice", "-n", str(NICE), sys.executable, "-m", "vaecore.pace", str(MEGABYTES)]
    pipes = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")}
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(command, cwd=Path(__file__).resolve().parents[1], env=surroundings, text=True, **pipes)
    given, until = json.dumps(asked), time.monotonic() + PATIENCE
    try:
        while True:
            try:
                out, err = child.communicate(given, timeout=0.1)
                break
            except subprocess.TimeoutExpired:
                given = None
                visits.wanted()
            if time.monotonic() > until:
                return f"A few steps take longer than {PATIENCE:g} s: choose smaller networks or a smaller batch."
    finally:
        child.kill()
        child.communicate()
    if child.returncode:
        said = err.strip().splitlines()
        return said[-1][:500] if said else "The few steps could not be measured: they took more than they may."
    return float(json.loads(out)["seconds"])


# ---- what becomes of it


def begin(name: str, asked: dict) -> Path:
    """A new run of that name, begun as soon as it is its turn."""
    from vaecore import runs

    folder = place(name)
    given = arguments(folder.resolve(), asked)
    estimate(asked)  # what is too large for this computer is not begun
    runs.ask(folder, asked)
    try:
        owners.sign(runs.partial_of(folder))
        jobs.train(folder, given, owners.me())
    except ValueError:  # as many train as may
        shutil.rmtree(runs.partial_of(folder))
        raise
    return folder


def resume(folder: Path) -> None:
    from vaecore.standing import read

    owners.must_own(folder)
    jobs.train(folder, arguments(folder.resolve(), read(folder).asked), owners.me())


def end(folder: Path, keep: bool = False) -> None:
    """Pause the run, or with `keep` make a checkpoint of what there is."""
    from vaecore import runs

    owners.must_own(folder)
    runs.stop(folder, keep)
    job = jobs.training_of(folder)
    if job and job.active:
        jobs.stop(job)


def keep(folder: Path) -> None:
    """Make a checkpoint of a run that has ended early."""
    from vaecore.resuming import finish_early

    owners.must_own(folder)
    finish_early(folder)


def place(name: str) -> Path:
    if not NAME.fullmatch(name) or name.endswith(".partial"):
        raise ValueError(
            "A name has at most 60 letters, digits, dots, dashes and underscores, and begins with a letter or a digit."
        )
    return session.runs_folder() / name


def standings() -> "list[Standing]":
    """Everyone's runs, unfinished ones first, then the newest checkpoints that a run has made."""
    from vaecore import runs

    roots, _ = session.folders()
    unfinished = [folder for root in roots for folder in runs.find(root)]
    made = [file.parent for root in roots for file in root.glob(f"[!.]*/{runs.LOG}")]
    made = [folder for folder in made if not folder.name.endswith(runs.SUFFIX)]
    made.sort(key=lambda folder: (folder / runs.LOG).stat().st_mtime, reverse=True)
    return [standing(folder) for folder in dict.fromkeys([*unfinished, *made])]


def standing(folder: Path) -> "Standing":
    """The run as it stands; while its process waits or begins, its state says so."""
    from vaecore import checkpoints
    from vaecore.standing import read

    found = read(folder)
    if found.state == "done" and not found.asked:
        with suppress(ValueError, OSError):
            config = checkpoints.read_config(folder)
            found = replace(found, asked={key: config[key] for key in ("recipe", "dataset", "latent_dim", "options")})
    job = jobs.training_of(folder)
    if found.state == "done" or job is None or found.active:
        return found
    if job.active:
        return replace(found, state="stopping" if job.state == "stopping" else job.state, sentence="")
    if job.state == "failed" and found.state in ("interrupted", "new"):
        return replace(found, state="failed", sentence=job.sentence)
    return found


def may_change(folder: Path) -> bool:
    """Whether the app may rename or delete it: what it trained itself, and not what ships or others brought."""
    return folder.parent.resolve() == session.runs_folder().resolve()


def rename(folder: Path, name: str) -> Path:
    from vaecore import shelf

    place(name)
    must_rest(folder)
    return shelf.rename(folder, name)


def delete(folder: Path) -> None:
    """The run and the checkpoint that it has become."""
    from vaecore import runs, shelf

    must_rest(folder)
    if folder.is_dir() and not folder.is_symlink():
        shelf.remove(folder)
    if (partial := runs.partial_of(folder)).is_dir() and not partial.is_symlink():
        shutil.rmtree(partial)
    if job := jobs.training_of(folder):
        jobs.forget(job)


def must_rest(folder: Path) -> None:
    owners.must_own(folder)
    if not may_change(folder):
        raise ValueError(f"{folder.name} was not trained here, so it can be neither renamed nor deleted here.")
    if standing(folder).active or ((job := jobs.training_of(folder)) and job.active):
        raise ValueError(f"{folder.name} is being trained: stop it first.")


def zipped(folder: Path) -> bytes:
    """The checkpoint's folder, as a zip that can be brought back."""
    from vaecore import shelf

    return shelf.pack(folder)


# ---- what it shows


def shots(folder: Path) -> dict[int, Path]:
    """The epochs of which there are pictures."""
    from vaecore import runs, snapshots

    partial = runs.partial_of(folder)
    return snapshots.epochs_in(partial if partial.is_dir() else folder)


def shot(file: Path) -> dict[str, np.ndarray]:
    return read_shot(str(file), file.stat().st_mtime_ns)


@st.cache_resource(max_entries=256, show_spinner=False)
def read_shot(file: str, stamp: int) -> dict[str, np.ndarray]:  # noqa: ARG001  a resumed run writes an epoch anew
    from vaecore import snapshots

    return {name: tensor.numpy() for name, tensor in snapshots.read(Path(file)).items()}


def label(asked: dict) -> str:
    """The name of the system that was asked for; "" for one that there is not."""
    from vaecore.recipes import find_recipe, resolve_options

    with suppress(ValueError, KeyError, AttributeError, TypeError):
        recipe = find_recipe(asked.get("recipe"))
        return recipe.label.format(**resolve_options(recipe, (1, 28, 28), asked.get("options", {})))
    return ""
