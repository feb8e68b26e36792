"""By how much the encoder is wrong on each test image, and which images are the worst. Beside session.py, by its rules.

Everything that depends on a stored analysis is keyed by its stamp, so that a finished job is seen at once.
"""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from app import figures_wrong, session, survey
from app.ranking import MEASURES, SCORES
from app.session import Checkpoint

WORST = 10  # thumbnails
SURPRISES = 0.05  # "surprise me" picks among this share of the images, the worst, and at least among WORST


@dataclass(frozen=True)
class Measure:
    """A number for each test image that a map can be coloured by; the greater the worse."""

    name: str
    axis: str
    unit: str = ""


MEASURED = {
    "gap": Measure(MEASURES["gap"].name, MEASURES["gap"].axis, "nats"),
    "amortization": Measure("amortization gap", "KL(q||p) - KL(q*||p), nats".replace("-", "\N{MINUS SIGN}"), "nats"),
    "approximation": Measure("approximation gap", "KL(q*||p), nats", "nats"),
    "reconstruction": Measure(SCORES["error"].name, f"{SCORES['error'].name}, {SCORES['error'].formula}"),
    "variance": Measure(SCORES["variance"].name, f"{SCORES['variance'].name}, {SCORES['variance'].formula}"),
}
LABEL = "label"  # a map coloured by label; its images are ranked by the gap
PARTS = ("amortization", "approximation")
EXACT = ("gap", *PARTS)
STORED = {"reconstruction": survey.KEPT["error"], "variance": survey.KEPT["variance"]}


@st.cache_resource(max_entries=64, show_spinner=False)
def family(digest: str, _checkpoint: Checkpoint) -> str:
    """What kind of density q(z|x) is; "" for a diagonal Gaussian, whose gap alone has two parts."""
    import torch

    from vaecore.distributions import is_diagonal

    vae = session.model(digest, _checkpoint.folder)
    with session.evaluating():
        q = vae.posterior(torch.zeros(1, *_checkpoint.shape))
    return "" if is_diagonal(q) else session.family(q)


def offered(checkpoint: Checkpoint) -> list[str]:
    """What the map can be coloured by: the parts of the gap only where q is a diagonal Gaussian."""
    whole = family(checkpoint.digest, checkpoint)
    return [LABEL, *(kind for kind in MEASURED if not (whole and kind in PARTS))]


def values(checkpoint: Checkpoint, kind: str) -> np.ndarray | None:
    """The measure of each test image [N], NaN where it is not known; None where that is so of all."""
    return _values(checkpoint.digest, session.stamp(checkpoint.digest, checkpoint.folder), kind, checkpoint)


@st.cache_resource(max_entries=48, show_spinner=False)
def _values(digest: str, stamp: tuple[int, ...], kind: str, _checkpoint: Checkpoint) -> np.ndarray | None:
    codes = session.codes(digest, _checkpoint)
    if codes.from_prior:
        return None
    found = exact(_checkpoint, kind) if kind in EXACT else plain(_checkpoint, kind)
    if found is None or not np.isfinite(found[: len(codes.loc)]).any():
        return None
    known = np.full(len(codes.loc), np.nan)
    known[: len(found)] = found[: len(known)]
    return np.where(np.isfinite(known), known, np.nan).astype(np.float32)  # as the map has them


def exact(checkpoint: Checkpoint, kind: str) -> np.ndarray | None:
    """The gap or a part of it in nats, of as many images as the analysis has come to."""
    stored = session.analysis(checkpoint.digest, checkpoint.folder)
    if not all(f"exact.{part}" in stored for part in PARTS):
        return None
    parts = {part: survey.numbers(stored[f"exact.{part}"]) for part in PARTS}
    return parts[PARTS[0]] + parts[PARTS[1]] if kind == "gap" else parts[kind]


def plain(checkpoint: Checkpoint, kind: str) -> np.ndarray | None:
    """What needs no exact posterior: stored, or computed where that takes seconds."""
    stored = session.analysis(checkpoint.digest, checkpoint.folder)
    if STORED[kind] in stored:
        return survey.numbers(stored[STORED[kind]])
    if session.images(checkpoint)[0] is None or session.refines(checkpoint):
        return None
    return survey.numbers(_plain(checkpoint.digest, checkpoint)[STORED[kind]])


@st.cache_resource(max_entries=16, show_spinner=False)
def _plain(digest: str, _checkpoint: Checkpoint) -> dict:
    from vaecore.analysis import measures

    with session.evaluating():
        return measures(session.model(digest, _checkpoint.folder), session.images(_checkpoint)[0])


def known_exactly(checkpoint: Checkpoint) -> int:
    """Of how many test images the exact posterior is stored."""
    found = exact(checkpoint, "gap")
    return 0 if found is None else min(len(found), len(session.codes(checkpoint.digest, checkpoint).loc))


# ---- which are the worst


def among(found: np.ndarray, labels: np.ndarray | None, label: int | None) -> np.ndarray:
    """The images that have a value, of one label or of all: from the greatest value to the least."""
    rows = np.flatnonzero(np.isfinite(found))
    if label is not None and labels is not None:
        rows = rows[labels[rows] == label]
    return rows[np.argsort(-found[rows], kind="stable")]


def surprise(order: np.ndarray, present: int, seed: int) -> int | None:
    """One of the worst of `order`, drawn by a seed and never the present one; None where there is no other."""
    worst = order[: max(WORST, round(SURPRISES * len(order)))]
    others = worst[worst != present]
    return int(np.random.default_rng(seed).choice(others)) if len(others) else None


# ---- by label


@dataclass(frozen=True)
class Line:
    """What the images of one label lose: how many have a value, median, 90 % quantile, share of amortization."""

    label: int | None  # None: all of them
    count: int
    median: float
    high: float
    amortized: float | None


def lines(checkpoint: Checkpoint, kind: str) -> list[Line]:
    """All images together, then each label; the share of amortization is that of the labels' summed gaps."""
    return _lines(checkpoint.digest, session.stamp(checkpoint.digest, checkpoint.folder), kind, checkpoint)


@st.cache_resource(max_entries=48, show_spinner=False)
def _lines(digest: str, stamp: tuple[int, ...], kind: str, _checkpoint: Checkpoint) -> list[Line]:
    found, labels = values(_checkpoint, kind), session.codes(digest, _checkpoint).labels
    split = kind in EXACT and PARTS[0] in offered(_checkpoint)
    parts = [values(_checkpoint, part) for part in PARTS] if split else None
    groups = [None] if labels is None else [None, *np.unique(labels[np.isfinite(found)]).tolist()]

    def line(label: int | None) -> Line:
        rows = among(found, labels, label)
        median, high = np.quantile(found[rows], [0.5, 0.9]).tolist()
        sums = [float(part[rows].sum()) for part in parts] if parts else []
        return Line(label, len(rows), median, high, sums[0] / sum(sums) if parts and sum(sums) > 0 else None)

    return [line(label) for label in groups]


def histogram(checkpoint: Checkpoint, kind: str) -> go.Figure:
    return _histogram(checkpoint.digest, session.stamp(checkpoint.digest, checkpoint.folder), kind, checkpoint)


@st.cache_resource(max_entries=24, show_spinner=False)
def _histogram(digest: str, stamp: tuple[int, ...], kind: str, _checkpoint: Checkpoint) -> go.Figure:
    found, labels = values(_checkpoint, kind), session.codes(digest, _checkpoint).labels
    rows = np.flatnonzero(np.isfinite(found))
    return figures_wrong.by_label(
        found[rows], None if labels is None else labels[rows], MEASURED[kind].axis, MEASURED[kind].unit
    )


def scale(checkpoint: Checkpoint, kind: str) -> figures_wrong.Scale:
    """How the map's colours go with the values."""
    found = values(checkpoint, kind)
    return figures_wrong.scale(found[np.isfinite(found)])
