"""What the page of rankings shows of a whole test set, computed once and kept. Beside session.py, by its rules.

Everything is keyed by the stamp of the checkpoint's analysis file too, so that a finished analysis is seen at once.
"""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from app import figures, session
from app.ranking import MEASURES, OWN, SCORES, Estimate, Outcome
from app.session import Checkpoint, Pick

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributions import Distribution

DOTS = 120  # samples of the base encoder in a small picture
COARSE, FINE = 32, 40  # points a side of a small picture's first grid, and of the one that is drawn
KEPT = {
    "f": "test.uncertainty_f",
    "h": "test.uncertainty_h",
    "norm": "test.feature_norm",
    "variance": "test.encoder_variance",
    "error": "test.reconstruction_error",
}


@dataclass(frozen=True, eq=False)
class Survey:
    """The test set's scores [N] and measures [n], as far as the analysis has come: n <= N."""

    scores: dict[str, np.ndarray]
    measures: dict[str, np.ndarray]
    labels: np.ndarray | None
    rows: np.ndarray  # the images that have finite numbers throughout: what is drawn and correlated
    exact: int  # n
    images: int  # N

    @property
    def order(self) -> dict[str, np.ndarray]:
        """The images of `rows`, by each score, from the least to the greatest."""
        return {key: self.rows[np.argsort(score[self.rows], kind="stable")] for key, score in self.scores.items()}


@dataclass(frozen=True, eq=False)
class Sketch:
    """One image of the row of pictures: its true posterior, and the encoder over it."""

    index: int
    label: int | None
    original: np.ndarray
    reconstruction: np.ndarray
    axes: tuple[np.ndarray, np.ndarray]
    log_density: np.ndarray
    q_loc: np.ndarray
    q_scale: np.ndarray
    dots: np.ndarray  # samples of the base encoder, or of q where there is none

    @property
    def outside(self) -> bool:
        """Whether the encoder lies too far away to be in the picture."""
        return bool(any(not axis[0] < at < axis[-1] for axis, at in zip(self.axes, self.q_loc, strict=True)))


def survey(checkpoint: Checkpoint) -> Survey | None:
    """What is stored of the test set; None if that is nothing or too old."""
    return _survey(checkpoint.digest, session.stamp(checkpoint.digest, checkpoint.folder), checkpoint)


@st.cache_resource(max_entries=8, show_spinner=False)
def _survey(digest: str, stamp: tuple[int, ...], _checkpoint: Checkpoint) -> Survey | None:
    stored = session.analysis(digest, _checkpoint.folder)
    scores = {key: numbers(stored[name]) for key, name in KEPT.items() if name in stored}
    if {"f", "h"} <= scores.keys():
        scores = {"sum": scores["f"] + scores["h"], **scores}
    needed = ("exact.approximation", "exact.amortization", "exact.non_gaussianity", "exact.valleys")
    if not {"variance", "error"} <= scores.keys() or not all(name in stored for name in needed):
        return None
    approximation, amortization, shape, valleys = (numbers(stored[name]) for name in needed)
    measures = {"gap": approximation + amortization, "shape": shape, "modes": valleys}
    exact, images = min(map(len, measures.values())), min(map(len, scores.values()))
    scores = {key: score[:images] for key, score in scores.items()}
    exact = min(exact, images)
    measures = {key: measure[:exact] for key, measure in measures.items()}
    finite = np.all([np.isfinite(column[:exact]) for column in (*scores.values(), *measures.values())], axis=0)
    labels = stored["test.labels"].numpy() if len(stored.get("test.labels", ())) >= images else None
    return Survey(scores, measures, labels, np.flatnonzero(finite), exact, images)


def numbers(tensor: "Tensor") -> np.ndarray:
    return tensor.double().numpy().reshape(len(tensor), -1)[:, 0]


def outcome(checkpoint: Checkpoint, measure: str) -> Outcome:
    """Rank correlations of all scores with one measure, alone and with the plain rivals held fixed."""
    return _outcome(checkpoint.digest, session.stamp(checkpoint.digest, checkpoint.folder), measure, checkpoint)


@st.cache_resource(max_entries=24, show_spinner=False)
def _outcome(digest: str, stamp: tuple[int, ...], measure: str, _checkpoint: Checkpoint) -> Outcome:
    from vaecore import ranks

    found = survey(_checkpoint)
    keys = list(found.scores)
    table = np.stack([*(found.scores[key][found.rows] for key in keys), found.measures[measure][found.rows]], 1)
    matrix, resampled, last = ranks.correlations(table), ranks.bootstrap(table), len(keys)
    rivals = [column for column, key in enumerate(keys) if key not in OWN]

    def partial(key: str) -> Estimate:
        pair = keys.index(key), last
        return Estimate(
            float(ranks.partial(matrix, *pair, rivals)), *ranks.interval(ranks.partial(resampled, *pair, rivals))
        )

    alone = {
        key: Estimate(float(matrix[v, last]), *ranks.interval(resampled[:, v, last])) for v, key in enumerate(keys)
    }
    return Outcome(measure, len(table), alone, {key: partial(key) for key in keys if key in OWN})


def share(found: Survey) -> float:
    """The uncertainty of f and h as a share of the base encoder's variance, in the median."""
    return float(np.median(found.scores["sum"] / np.maximum(found.scores["variance"], 1e-30)))


def six(found: Survey, key: str, draw: int) -> list[int]:
    """One image from each sixth of the ranking: the middle ones for draw 0, else drawn by that seed."""
    parts = np.array_split(found.order[key], 6)
    if draw == 0:
        return [int(part[len(part) // 2]) for part in parts if len(part)]
    rng = np.random.default_rng(draw)
    return [int(rng.choice(part)) for part in parts if len(part)]


@st.cache_resource(max_entries=256, show_spinner=False)
def sketch(digest: str, index: int, _checkpoint: Checkpoint) -> Sketch:
    vae, pick = session.model(digest, _checkpoint.folder), Pick("image", index)
    x, labels = session.image(_checkpoint, pick), session.codes(digest, _checkpoint).labels
    mass = bulk(digest, index, x, _checkpoint)
    with session.evaluating():
        q = vae.posterior(x)
        base = vae.encoder.base(x) if hasattr(vae.encoder, "base") else q
        dots = drawn(base, index)
        q_loc, q_scale = q.mean[0].numpy(), q.stddev[0].numpy()
        boxes = [box(dots), box_of(q_loc, q_scale)]
        square = figures.square_frame(mass, boxes, reach=6, margin=0.5)
        axes = tuple(np.linspace(*square[side], COARSE, dtype=np.float32) for side in (slice(0, 2), slice(2, 4)))
        axes = figures.focused(axes, session.log_joint(vae, x, axes), FINE)
        return Sketch(
            index=index,
            label=None if labels is None else int(labels[index]),
            original=x[0].numpy(),
            reconstruction=vae.likelihood(q.mean).mean[0].numpy(),
            axes=axes,
            log_density=session.log_joint(vae, x, axes),
            q_loc=q_loc,
            q_scale=q_scale,
            dots=dots,
        )


def drawn(q: "Distribution", seed: int) -> np.ndarray:
    """DOTS draws of a q(z|x) of one image, [DOTS, 2]."""
    import torch

    with session.computing():
        torch.manual_seed(seed)
        return q.sample((DOTS,))[:, 0].numpy()


def bulk(digest: str, index: int, x: "Tensor", checkpoint: Checkpoint) -> figures.Frame:
    """The box of the true posterior's mass: stored, or computed where the analysis has not come so far."""
    frames = session.analysis(digest, checkpoint.folder).get("exact.frame", ())
    if index < len(frames):
        return tuple(frames[index].tolist())
    return session.computed_gap(digest, x, checkpoint)["frame"]


def box(points: np.ndarray) -> figures.Frame:
    (left, bottom), (right, top) = points.min(0), points.max(0)
    return float(left), float(right), float(bottom), float(top)


def box_of(loc: np.ndarray, scale: np.ndarray) -> figures.Frame:
    return box(np.stack([loc - 2 * scale, loc + 2 * scale]))


@st.cache_resource(max_entries=32, show_spinner=False)
def pace(digest: str, _checkpoint: Checkpoint) -> float:
    """Seconds an image of the exact analysis, measured on a few."""
    from vaecore.exact import split_gap

    x, _ = session.images(_checkpoint)
    vae, grid = session.model(digest, _checkpoint.folder), session.overview(digest, _checkpoint)
    with session.evaluating():
        start = time.perf_counter()
        split_gap(vae, x[:12], grid)
        return (time.perf_counter() - start) / min(12, len(x))


def known(keys: dict[str, np.ndarray], among: dict) -> list[str]:
    """The keys of `among` that are there, in its order."""
    return [key for key in among if key in keys]


def choices_of(found: Survey) -> tuple[list[str], list[str]]:
    """The scores and the measures that can be chosen."""
    return known(found.scores, SCORES), known(found.measures, MEASURES)
