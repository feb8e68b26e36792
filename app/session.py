"""What the pages show, computed once and kept: checkpoints, data sets, decoded grids, posteriors.

The only file that caches, and the only one of the app that touches torch or vaecore, and that inside functions: the
first paint must not wait for them.
"""

import os
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import streamlit as st

from app import figures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from vaecore import VAE
    from vaecore.exact import Overview

ROOT = Path(__file__).resolve().parents[1]
ICON = str(ROOT / "app" / "icon.svg")
GRID = 28  # points a side of the picture's grid, crowded where the two Gaussians lie: decoded within 50 ms
SCATTERED = 2000  # stand-in codes from the prior, where a checkpoint brings none and its data set is absent

# One at a time: two would only share the same cores, and torch's one random generator.
_computing = threading.RLock()


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder as it was found; `problem` says why it cannot be used, if so."""

    name: str
    folder: Path
    digest: str = ""
    dataset: str = ""
    shape: tuple[int, ...] = ()
    latent: int = 0
    label: str = ""
    metrics: dict | None = None
    problem: str = ""


class Pick(NamedTuple):
    """Which image: `image`, of the test split, or `sample`, drawn from the model at that test image's code."""

    kind: str
    index: int

    def __str__(self) -> str:
        return f"{self.kind}-{self.index}"


@dataclass(frozen=True, eq=False)
class Codes:
    """The latent map: means of q(z|x) of the test images, or points of the prior. loc [N, 2]; labels uint8 [N]."""

    loc: np.ndarray
    labels: np.ndarray | None
    from_prior: bool = False


@dataclass(frozen=True, eq=False)
class Look:
    """Everything that the page shows of one image: pictures [C, H, W], places in the latent plane, nats."""

    pick: Pick
    label: int | None
    original: np.ndarray
    reconstruction: np.ndarray
    truth: np.ndarray | None  # the z that a sample came from
    q_loc: np.ndarray
    q_scale: np.ndarray
    best_loc: np.ndarray
    best_scale: np.ndarray
    axes: tuple[np.ndarray, np.ndarray]
    log_density: np.ndarray
    log_evidence: float
    elbo: float
    iwae: float
    approximation: float
    amortization: float
    error: float  # the estimate of log p(x)'s error
    gap_error: float
    modes: int

    @property
    def gap(self) -> float:
        return self.approximation + self.amortization

    @property
    def frame(self) -> figures.Frame:
        return tuple(float(end) for axis in self.axes for end in (axis[0], axis[-1]))


@contextmanager
def computing() -> "Iterator[None]":
    """Hold the cores, without gradients, and leave torch's random numbers as they were."""
    import torch

    # One thread: an image is small work, and threads that wait for each other on busy cores make it far slower.
    torch.set_num_threads(1)
    with _computing, torch.no_grad(), torch.random.fork_rng(devices=[]):
        yield


# ---- checkpoints


def folders() -> list[Path]:
    """Where checkpoints are looked for: what ships, what was trained here, what the environment names."""
    named = os.environ.get("VAESCOPE_CHECKPOINTS", "")
    return [ROOT / "pretrained", ROOT / "runs", *(Path(part) for part in named.split(os.pathsep) if part)]


def checkpoints() -> dict[str, Checkpoint]:
    """All checkpoints by name, the broken ones among them; a name met twice carries its parent folder's before it."""
    from vaecore import checkpoints as shelf

    found: dict[str, Checkpoint] = {}
    for folder in (folder for root in folders() for folder in shelf.find(root)):
        name = folder.name if folder.name not in found else f"{folder.parent.name}/{folder.name}"
        stamps = tuple(file.stat().st_mtime_ns for file in sorted(folder.iterdir()) if file.is_file())
        found[name] = replace(read_checkpoint(str(folder), stamps), name=name)
    return found


@st.cache_resource(max_entries=256, show_spinner=False)
def read_checkpoint(folder: str, stamps: tuple[int, ...]) -> Checkpoint:  # noqa: ARG001  stamps: read anew when changed
    from vaecore import RECIPES
    from vaecore import checkpoints as shelf

    path = Path(folder)
    try:
        config, metrics, digest = shelf.read_config(path), shelf.read_metrics(path), shelf.digest(path)
    except (ValueError, OSError) as error:
        return Checkpoint(path.name, path, problem=str(error))
    recipe = RECIPES.get(config["recipe"])
    return Checkpoint(
        path.name,
        path,
        digest,
        config["dataset"] or "",
        tuple(config["data_shape"]),
        config["latent_dim"],
        recipe.label if recipe else config["recipe"],
        metrics,
    )


@st.cache_resource(max_entries=8, show_spinner=False)
def model(digest: str, _folder: Path) -> "VAE":
    from vaecore import load

    return load(_folder)


def analysis(digest: str, folder: Path) -> "dict[str, Tensor]":
    """What is stored with the checkpoint as of now; nothing if that cannot be read."""
    return stored_analysis(digest, stamp(digest, folder), folder)


@st.cache_resource(max_entries=8, show_spinner=False)
def stored_analysis(digest: str, stamp: tuple[int, ...], _folder: Path) -> "dict[str, Tensor]":
    from vaecore.checkpoints import read_analysis

    return read_analysis(_folder)


def stamp(digest: str, folder: Path) -> tuple[int, ...]:
    """What changes when an analysis is written for these weights."""
    from vaecore.checkpoints import cached_analysis

    files = (folder / "analysis.safetensors", cached_analysis(digest))
    return tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in files)


@st.cache_resource(max_entries=4, show_spinner=False)
def overview(digest: str, _checkpoint: Checkpoint) -> "Overview":
    import torch

    from vaecore.exact import Overview

    vae, places = model(digest, _checkpoint.folder), codes(digest, _checkpoint)
    with computing():
        return Overview(vae, torch.from_numpy(places.loc))


@st.cache_resource(max_entries=8, show_spinner=False)
def codes(digest: str, _checkpoint: Checkpoint) -> Codes:
    stored = analysis(digest, _checkpoint.folder)
    if "test.loc" in stored:
        labels = stored.get("test.labels")
        return Codes(stored["test.loc"].numpy(), None if labels is None else labels.numpy())
    vae, (found, _) = model(digest, _checkpoint.folder), images(_checkpoint)
    with computing():
        if found is None:
            import torch

            torch.manual_seed(0)
            return Codes(vae.prior().sample((SCATTERED,)).numpy(), None, from_prior=True)
        from vaecore.evaluation import encode

        labels = split(_checkpoint.dataset).labels
        return Codes(encode(vae, found)[0].numpy(), None if labels is None else labels.numpy().astype(np.uint8))


def prepared(checkpoint: Checkpoint) -> Codes:
    """The checkpoint's codes, with its grid decoded: what every image needs."""
    places = codes(checkpoint.digest, checkpoint)
    if places.loc.ndim != 2 or places.loc.shape[1] != 2 or not np.isfinite(places.loc).all():
        raise ValueError(f"The analysis stored with {checkpoint.name} does not hold two finite numbers for each image.")
    overview(checkpoint.digest, checkpoint)
    return places


# ---- data


@st.cache_resource(max_entries=4, show_spinner=False)
def split(dataset: str):  # noqa: ANN201
    """The test split; raises ValueError, not kept, where the files are absent."""
    from vaecore import load_dataset

    return load_dataset(dataset, "test")


def images(checkpoint: Checkpoint) -> "tuple[Tensor | None, str]":
    """The test images that the checkpoint's codes belong to, or None and a sentence that says why not."""
    if not checkpoint.dataset:
        return None, "This checkpoint does not say which data set it was trained on."
    try:
        found = split(checkpoint.dataset).images
    except ValueError as error:
        return None, str(error)
    if tuple(found.shape[1:]) != checkpoint.shape:
        return None, f"The images of {checkpoint.dataset} do not have the shape {checkpoint.shape} of this checkpoint."
    return found, ""


def can_download(dataset: str) -> bool:
    from vaecore.datasets import NAMES, is_available

    return dataset in NAMES and not is_available(dataset)


def download(dataset: str) -> str:
    """Fetch a data set; a sentence if that failed."""
    from vaecore.datasets import download as fetch

    try:
        fetch(dataset)
    except (ValueError, OSError) as error:
        return str(error)
    codes.clear()  # those that the prior stood in for
    return ""


def image(checkpoint: Checkpoint, pick: Pick) -> "Tensor":
    """The picked image, [1, C, H, W]: the same for the same link."""
    import torch

    if pick.kind == "image":
        return images(checkpoint)[0][pick.index : pick.index + 1]
    z = torch.from_numpy(codes(checkpoint.digest, checkpoint).loc[pick.index : pick.index + 1])
    with computing():
        torch.manual_seed(pick.index)
        return model(checkpoint.digest, checkpoint.folder).likelihood(z).sample()


@st.cache_resource(max_entries=64, show_spinner=False)
def thumbnails(digest: str, kind: str, indices: tuple[int, ...], _checkpoint: Checkpoint) -> str:
    """The picked images side by side, as a data URI."""
    return figures.sprite(np.concatenate([image(_checkpoint, Pick(kind, index)).numpy() for index in indices]))


# ---- one image


@st.cache_resource(max_entries=512, show_spinner=False)
def look(digest: str, pick: Pick, _checkpoint: Checkpoint) -> Look:
    import torch

    from vaecore.evaluation import log_evidence

    vae, x, places = model(digest, _checkpoint.folder), image(_checkpoint, pick), codes(digest, _checkpoint)
    with computing():
        q = vae.posterior(x)
        found = stored_gap(digest, pick, _checkpoint) or computed_gap(digest, x, _checkpoint)
        frame = found.pop("frame")
        torch.manual_seed(pick.index)
        q_loc, q_scale = q.mean[0].numpy(), q.stddev[0].numpy()
        axes = grid(frame, q_loc, q_scale, found)
        return Look(
            pick=pick,
            label=None if places.labels is None else int(places.labels[pick.index]),
            original=x[0].numpy(),
            reconstruction=vae.likelihood(q.mean).mean[0].numpy(),
            truth=places.loc[pick.index] if pick.kind == "sample" else None,
            q_loc=q_loc,
            q_scale=q_scale,
            axes=axes,
            log_density=log_joint(vae, x, axes) - found["log_evidence"],
            iwae=float(log_evidence(vae, x, samples=100)),
            **found,
        )


def stored_gap(digest: str, pick: Pick, checkpoint: Checkpoint) -> dict | None:
    """The exact results of a test image that were stored with the checkpoint."""
    stored = {name[6:]: t for name, t in analysis(digest, checkpoint.folder).items() if name.startswith("exact.")}
    if pick.kind != "image" or pick.index >= min((len(t) for t in stored.values()), default=0):
        return None
    row = {name: t[pick.index].numpy() for name, t in stored.items()}
    elbo = row["log_evidence"] - row["approximation"] - row["amortization"]
    row = {"gap_error": row["error"], "elbo": elbo, **row}
    places = {name: row[name] for name in ("best_loc", "best_scale")}
    numbers = {name: float(row[name]) for name in NUMBERS}
    return {**numbers, **places, "modes": int(row["modes"]), "frame": tuple(row["frame"].tolist())}


def computed_gap(digest: str, x: "Tensor", checkpoint: Checkpoint) -> dict:
    from vaecore.exact import split_gap

    gap = split_gap(model(digest, checkpoint.folder), x, overview(digest, checkpoint))
    numbers = {name: float(getattr(gap, name)) for name in NUMBERS}
    return {
        **numbers,
        "best_loc": gap.best.mean[0].numpy(),
        "best_scale": gap.best.stddev[0].numpy(),
        "modes": int(gap.modes),
        "frame": tuple(map(float, gap.posterior.frame(0))),
    }


NUMBERS = ("log_evidence", "elbo", "approximation", "amortization", "error", "gap_error")


def grid(frame: figures.Frame, q_loc: np.ndarray, q_scale: np.ndarray, found: dict) -> tuple[np.ndarray, np.ndarray]:
    """The picture's grid: square, finest where the two Gaussians lie."""
    shapes = [figures.encoder(q_loc, q_scale), figures.best(found["best_loc"], found["best_scale"])]
    boxes = [shape.box() for shape in shapes]
    square = figures.square_frame(frame, boxes)
    return tuple(
        figures.axis_points(*square[side], [box[side] for box in boxes], GRID) for side in (slice(0, 2), slice(2, 4))
    )


def log_joint(vae: "VAE", x: "Tensor", axes: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """log p(x, z) at the nodes of a grid: [len(z1), len(z2)]."""
    import torch

    from vaecore.exact.joint import Joint

    z = torch.cartesian_prod(*(torch.from_numpy(axis) for axis in axes))
    return Joint(vae, x)(z[None, None], torch.ones(1, 1, dtype=bool)).numpy().reshape(len(axes[0]), len(axes[1]))


# ---- before anyone asks


@st.cache_resource(show_spinner=False)
def warm() -> threading.Thread:
    """Once for each server: load torch, the first checkpoint and its grid, while the visitor reads the first page."""
    thread = threading.Thread(target=prepare, daemon=True, name="warm")
    thread.start()
    return thread


def prepare() -> None:
    for checkpoint in checkpoints().values():
        if not checkpoint.problem and checkpoint.latent == 2:
            with suppress(ValueError, OSError):  # the page that is asked for it will say so
                prepared(checkpoint)
                look(checkpoint.digest, Pick("sample", 0), checkpoint)
                return
