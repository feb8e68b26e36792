"""What the posterior page adds for a visitor's own image, computed once and kept. Beside session.py, by its rules.

Where the encoder puts it, which the latent map shows before the exact results are there; the codes nearest to that.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from app import holes, own, session
from app.session import Checkpoint, Look, Pick

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

NEAREST = 8
QUICK = 5000  # training images: so few are encoded without asking


@dataclass(frozen=True, eq=False)
class Near:
    """The images of a split whose codes are nearest to q(z|x)'s mean: numbers, labels, distances in z [n]."""

    split: str  # "training" or "test"
    indices: list[int]
    labels: list[int] | None
    distances: list[float]
    images: np.ndarray | None  # [n, C, H, W]


@st.cache_resource(max_entries=32, show_spinner=False)
def convention(dataset: str, shape: tuple[int, ...], _checkpoint: Checkpoint) -> own.Convention:
    """How the checkpoint's data set shows things."""
    found = session.images(_checkpoint)[0]
    return own.convention(None if found is None else found[:500].numpy(), dataset)


@st.cache_resource(max_entries=256, show_spinner=False)
def encoded(digest: str, pick: Pick, _checkpoint: Checkpoint) -> dict[str, list[float]]:
    """Where q(z|x) lies, for the latent map: its mean and standard deviations."""
    vae, x = session.model(digest, _checkpoint.folder), session.image(_checkpoint, pick)
    with session.evaluating():
        q = vae.posterior(x)
        return {"here": q.mean[0].tolist(), "spread": q.stddev[0].tolist()}


# ---- neighbours


def training_codes(checkpoint: Checkpoint) -> "Tensor | None":
    """Means of q(z|x) of the training images, if they are at hand or few; see `encode_training`."""
    if holes.problem(checkpoint) or holes.images(checkpoint)[0] is None:
        return None
    entry = holes.entry(checkpoint)
    if len(holes.images(checkpoint)[0]) > QUICK and not holes.are_known(entry):
        return None
    return holes.codes(entry)[0]


def may_encode(checkpoint: Checkpoint) -> int:
    """How many training images could be encoded."""
    found = None if holes.problem(checkpoint) else holes.images(checkpoint)[0]
    return 0 if found is None else len(found)


def encode_training(checkpoint: Checkpoint, report: "Callable[[float], None]") -> None:
    holes.codes(holes.entry(checkpoint), report)


def nearest(checkpoint: Checkpoint, look: Look) -> Near | None:
    """Among the training images, else among the test images; None where there are codes of neither."""
    train = training_codes(checkpoint)
    return _nearest(checkpoint.digest, look.pick, train is not None, checkpoint, look, train)


@st.cache_resource(max_entries=256, show_spinner=False)
def _nearest(
    digest: str, pick: Pick, training: bool, _checkpoint: Checkpoint, _look: Look, _train: "Tensor | None"
) -> Near | None:
    places = session.codes(digest, _checkpoint)
    if not training and places.from_prior:
        return None
    itself = pick.index if not training and pick.kind == "image" else None
    order, apart = closest(_train.numpy() if training else places.loc, _look.q_loc, itself)
    if training:
        labels, images = holes.split(_checkpoint.dataset).labels, holes.images(_checkpoint)[0]
        labels = None if labels is None else labels.numpy()
    else:
        labels, images = places.labels, session.images(_checkpoint)[0]
    return Near(
        split="training" if training else "test",
        indices=order.tolist(),
        labels=None if labels is None else labels[order].tolist(),
        distances=apart.tolist(),
        images=None if images is None else images[order].numpy(),
    )


def closest(loc: np.ndarray, at: np.ndarray, itself: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The NEAREST codes of loc [N, D] to `at` [D] and their distances, the nearest first, of equal ones the first.

    By one product, |z|^2 - 2 z at, which ranks them; `itself` is left out.
    """
    places, place = loc.astype(np.float64), at.astype(np.float64)
    ranks = np.einsum("nd,nd->n", places, places) - 2 * (places @ place)
    if itself is not None:
        ranks[itself] = np.inf
    count = min(NEAREST, len(ranks) - (itself is not None))
    if count < 1:
        return np.empty(0, int), np.empty(0)
    # Rounding must not decide who is among them: all that may be are measured.
    last = np.partition(ranks, count - 1)[count - 1]
    among = np.flatnonzero(ranks <= last + 1e-9 * (1 + abs(last) + place @ place))
    apart = np.linalg.norm(places[among] - place, axis=1)
    order = np.argsort(apart, kind="stable")[:count]
    return among[order], apart[order]
