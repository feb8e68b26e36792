"""What the page of interpolations computes once and keeps: ways between codes, log p(z) along them, samples of priors.

Checkpoints of one encoder and one decoder share their codes, so that the way between two images is the very same for
all of them, unless the prior itself chooses it. Beside session.py, by its rules.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from app import figures, holes, session
from app.holes import Entry
from app.session import Checkpoint, Codes

if TYPE_CHECKING:
    from torch import Tensor

KINDS = {
    "linear": "straight line",
    "spherical": "great circle",
    "highest": "over the highest pass",
    "smoothest": "least change of pixels",
}
STEPS, FINE = 15, 8  # images on a way, and points between two of them where log p(z) is measured
ACROSS, DOWN = 5, 6  # samples of a prior; a further column holds the nearest training images
SIDE = 96  # nodes a side of the plane's map
DOTS = 2000  # codes drawn on it

Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Samples:
    """Draws of a prior, decoded [DOWN, ACROSS, C, H, W]; the training images nearest to the last column [DOWN, ...]."""

    means: np.ndarray
    nearest: np.ndarray | None
    indices: list[int]
    missing: str  # why there are no training images


@dataclass(frozen=True, eq=False)
class Plane:
    """log p(z) [n1, n2] on an even grid over a latent plane, and some of the codes [n, 2]."""

    axes: tuple[np.ndarray, np.ndarray]
    log_p: np.ndarray
    dots: np.ndarray


def codes(checkpoint: Checkpoint) -> Codes:
    """Means of q(z|x) of the test images [N, D]; where neither they nor the images are there, points of the prior."""
    found = session.codes(checkpoint.digest, checkpoint)
    if found.loc.ndim != 2 or found.loc.shape[1] != checkpoint.latent or not np.isfinite(found.loc).all():
        raise ValueError(
            f"The analysis stored with {checkpoint.name} does not hold {checkpoint.latent} finite numbers an image."
        )
    return found


def space(entry: Entry) -> str:
    """What its codes and decoded images depend on."""
    refines = session.model(entry.checkpoint.digest, entry.checkpoint.folder).refine is not None
    return entry.checkpoint.digest if refines else entry.body


def source(entry: Entry, kind: str) -> str:
    """What a way of that kind depends on."""
    return entry.checkpoint.digest if kind == "highest" else space(entry)


# ---- ways


def path(entry: Entry, pair: Pair, kind: str) -> np.ndarray:
    """Places on the way [STEPS, D]."""
    return _path(source(entry, kind), pair, kind, entry)


@st.cache_resource(max_entries=512, show_spinner=False)
def _path(source: str, pair: Pair, kind: str, _entry: Entry) -> np.ndarray:  # noqa: ARG001
    import torch

    from vaecore import paths

    vae = session.model(_entry.checkpoint.digest, _entry.checkpoint.folder)
    start, end = torch.from_numpy(codes(_entry.checkpoint).loc[list(pair)])
    with session.computing():
        if kind == "highest":
            found = paths.highest_valley(vae.prior(), start, end, STEPS)
        elif kind == "smoothest":
            found = paths.smoothest(lambda z: vae.likelihood(z).mean, start, end, STEPS)
        else:
            found = {"linear": paths.linear, "spherical": paths.spherical}[kind](start, end, STEPS)
    return found.numpy()


def log_prior(entry: Entry, pair: Pair, kind: str) -> np.ndarray:
    """log p(z) along the way, at its places and between them: [(STEPS - 1) FINE + 1] nats."""
    return _log_prior(entry.checkpoint.digest, pair, kind, entry)


@st.cache_resource(max_entries=1024, show_spinner=False)
def _log_prior(digest: str, pair: Pair, kind: str, _entry: Entry) -> np.ndarray:
    import torch

    from vaecore import paths

    way = torch.from_numpy(path(_entry, pair, kind))
    with session.computing():
        prior = session.model(digest, _entry.checkpoint.folder).prior()
        return prior.log_prob(paths.refined(way, FINE)).double().numpy()


def depth(log_p: np.ndarray) -> tuple[float, float]:
    """The valley of log p(z) along a way in nats, at most 0, and where its deepest place lies, in [0, 1]."""
    import torch

    from vaecore import paths

    below = log_p - np.linspace(log_p[0], log_p[-1], len(log_p))
    return float(paths.valley(torch.from_numpy(log_p))), float(below.argmin() / (len(log_p) - 1))


@st.cache_resource(max_entries=256, show_spinner=False)
def frames(source: str, pair: Pair, kind: str, _entry: Entry) -> str:  # noqa: ARG001
    """The decoded images of a way side by side, as a data URI."""
    import torch

    way = torch.from_numpy(path(_entry, pair, kind))
    with session.computing():
        vae = session.model(_entry.checkpoint.digest, _entry.checkpoint.folder)
        return figures.sprite(vae.likelihood(way).mean.numpy())


@st.cache_resource(max_entries=512, show_spinner=False)
def original(dataset: str, index: int, _image: "Tensor") -> str:  # noqa: ARG001
    return figures.data_uri(_image.numpy())


@st.cache_resource(max_entries=64, show_spinner=False)
def search(digest: str, deepest: bool, seed: int, count: int, _entry: Entry) -> list[Pair]:
    """Pairs of test images with the deepest valleys, or the smoothest ways, among random pairs."""
    import torch

    from vaecore import paths

    places = torch.from_numpy(codes(_entry.checkpoint).loc)
    with session.computing():
        prior = session.model(digest, _entry.checkpoint.folder).prior()
        found = paths.find_pairs(prior, places, count, deepest=deepest, seed=seed)
    return [(i, j) for i, j in found.index.tolist()]


# ---- the plane


@st.cache_resource(max_entries=16, show_spinner=False)
def plane(digest: str, _entry: Entry) -> Plane:
    import torch

    vae, loc = session.model(digest, _entry.checkpoint.folder), codes(_entry.checkpoint).loc
    with session.computing():
        torch.manual_seed(0)
        drawn = vae.prior().sample((4000,))
        ends = torch.stack([torch.cat(holes.span(points)) for points in (drawn, torch.from_numpy(loc))])
        low, high = ends[:, :2].amin(0).tolist(), ends[:, 2:].amax(0).tolist()
        axes = tuple(torch.linspace(*sides, SIDE) for sides in zip(low, high, strict=True))
        log_p = vae.prior().log_prob(torch.cartesian_prod(*axes)).reshape(SIDE, SIDE)
    order = np.random.default_rng(0).permutation(len(loc))[:DOTS]
    return Plane(tuple(axis.numpy() for axis in axes), log_p.numpy(), loc[order])


# ---- samples


@st.cache_resource(max_entries=64, show_spinner=False)
def samples(digest: str, seed: int, _entry: Entry) -> Samples:
    """Decoder means of z ~ p(z) and, for the last column, the nearest training images in pixel L2 (Figure 1)."""
    import torch

    from vaecore.aggregate import nearest_images

    vae = session.model(digest, _entry.checkpoint.folder)
    train, missing = training(_entry.checkpoint)
    with session.computing():
        torch.manual_seed(seed)
        means = vae.likelihood(vae.prior().sample((DOWN * ACROSS,))).mean
        means = means.reshape(DOWN, ACROSS, *means.shape[1:])
        if train is None:
            return Samples(means.numpy(), None, [], missing)
        indices, _ = nearest_images(means[:, -1], train)
        return Samples(means.numpy(), train[indices].numpy(), indices.tolist(), "")


def training(checkpoint: Checkpoint) -> "tuple[Tensor | None, str]":
    """The training images, of a dynamically binarised set the grey ones, or None and a sentence that says why not."""
    found, missing = holes.images(checkpoint)
    if found is None:
        return None, missing
    grey = holes.split(checkpoint.dataset).grey
    return (found if grey is None else grey), ""
