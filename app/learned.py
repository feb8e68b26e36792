"""What the page of codes computes once and keeps: the codes of all images of a data set.

Images are numbered through the whole data set: first the test images, then the training images and those held out of
them. Of a dynamically binarised set they are the grey ones thresholded. Beside session.py, by its rules.
"""

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from app import between, holes, session
from app.holes import Coded, Report
from app.session import Checkpoint

if TYPE_CHECKING:
    from torch import Tensor

    from vaecore.datasets import Dataset

SPLITS = {"test": "test", "train": "training", "all": "all"}
PORTION = 500  # images encoded between two looks at the progress bar


# ---- images


@st.cache_resource(max_entries=6, show_spinner=False)
def part(dataset: str, split: str) -> "Dataset":
    """The test images, or all that are not; raises ValueError, not kept, where the files are absent."""
    from vaecore.embedding import gather

    return gather(dataset, split)


def problem(checkpoint: Checkpoint) -> str:
    """Why the data set's images cannot be encoded; nothing if they can."""
    if not checkpoint.dataset:
        return "This checkpoint does not say which data set it was trained on."
    try:
        shape = tuple(part(checkpoint.dataset, "test").images.shape[1:])
    except ValueError as error:
        return str(error)
    if shape != checkpoint.shape:
        return f"The images of {checkpoint.dataset} do not have the shape {checkpoint.shape} of this checkpoint."
    return ""


def sizes(dataset: str) -> tuple[int, int]:
    """How many images are test images, and how many are not."""
    return len(part(dataset, "test")), len(part(dataset, "train"))


def images(dataset: str, rows: np.ndarray) -> "Tensor":
    """The images of these numbers [n, C, H, W]."""
    import torch

    tests = len(part(dataset, "test"))
    own, found = torch.from_numpy(np.asarray(rows, np.int64)), []
    if (own < tests).any():
        found.append((own < tests, part(dataset, "test").images, 0))
    if (own >= tests).any():
        found.append((own >= tests, part(dataset, "train").images, tests))
    together = torch.empty(len(own), *found[0][1].shape[1:]) if found else part(dataset, "test").images[:0]
    for mine, source, before in found:
        together[mine] = source[own[mine] - before]
    return together


def labels(dataset: str, rows: np.ndarray) -> np.ndarray | None:
    """The labels of these numbers [n], int64; None where the data set has none."""
    tests = part(dataset, "test").labels
    if tests is None:
        return None
    known = tests.numpy()
    if len(rows) and rows.max() >= len(known):
        known = np.concatenate([known, part(dataset, "train").labels.numpy()])
    return known[rows]


def rows_of(dataset: str, split: str) -> np.ndarray:
    """The numbers of a split's images, rising."""
    tests = len(part(dataset, "test"))
    if split == "test":
        return np.arange(tests)
    return np.arange(tests if split == "train" else 0, sum(sizes(dataset)))


# ---- codes


def slow(checkpoint: Checkpoint) -> bool:
    """Whether only stored codes can be shown: a refinement, and a flow's mean, take long for each image."""
    refines = session.model(checkpoint.digest, checkpoint.folder).refine is not None
    return refines or between.is_flow(checkpoint.digest, checkpoint)


def prepare(checkpoint: Checkpoint, split: str, report: Report = lambda share: None) -> None:
    """Encode what is missing, portion by portion, with a report of the share that is done."""
    if slow(checkpoint):
        return
    for name in parts(split):
        found = _coded(holes.body(checkpoint.digest, checkpoint), checkpoint.dataset, name)
        if found.whole is None:
            encode(checkpoint, name, found, report)


def parts(split: str) -> tuple[str, ...]:
    return ("test", "train") if split == "all" else (split,)


def encode(checkpoint: Checkpoint, name: str, found: Coded, report: Report) -> None:
    from vaecore import evaluation

    vae = session.model(checkpoint.digest, checkpoint.folder)
    portions = part(checkpoint.dataset, name).images.split(PORTION)
    while len(found.parts) < len(portions):
        report(len(found.parts) / len(portions))  # outside the lock: here a page that is left ends
        with holes.working, session.evaluating():
            found.parts.extend(evaluation.encode(vae, x) for x in portions[len(found.parts) :][:1])
    holes.put_together(f"{holes.body(checkpoint.digest, checkpoint)}-{name}", found)


@st.cache_resource(max_entries=16, show_spinner=False)
def _coded(body: str, dataset: str, name: str) -> Coded:  # noqa: ARG001
    """What of the codes is there: nothing, or all that an earlier server left in the user's cache."""
    return holes.kept(f"{body}-{name}")


def coded(checkpoint: Checkpoint, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard deviations of q(z|x) of a split's images, [N, D] each, once they are prepared."""
    if slow(checkpoint):
        return stored(checkpoint, split)
    body = holes.body(checkpoint.digest, checkpoint)
    found = [_coded(body, checkpoint.dataset, name).whole for name in parts(split)]
    if None in found:
        raise ValueError(f"The codes of {checkpoint.name} went out of memory meanwhile: load the page anew.")
    loc, scale = (np.concatenate([each[kind].numpy() for each in found]) for kind in (0, 1))
    if not np.isfinite(loc).all():
        raise ValueError(f"Some codes of {checkpoint.name} are not finite numbers.")
    return loc, scale


def stored(checkpoint: Checkpoint, split: str) -> tuple[np.ndarray, np.ndarray]:
    """The test codes that an analysis left with the checkpoint."""
    found = session.analysis(checkpoint.digest, checkpoint.folder)
    loc, scale, tests = found.get("test.loc"), found.get("test.scale"), len(part(checkpoint.dataset, "test"))
    if split != "test":
        raise ValueError(
            f"{checkpoint.name} ({checkpoint.label}) can be shown with test images alone: {WHY_SLOW}, so there are no "
            "codes of its training images."
        )
    if loc is None or scale is None or loc.shape != (tests, checkpoint.latent):
        raise ValueError(
            f"No codes are stored with {checkpoint.name} ({checkpoint.label}), and {WHY_SLOW}. "
            "`python -m vaecore analyse FOLDER` stores them once."
        )
    return loc.numpy(), scale.numpy()


WHY_SLOW = "its q(z|x) is a flow or is refined step by step, which takes long for each image"
