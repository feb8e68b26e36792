"""What the page of interpolations computes once and keeps: ways between codes, log p(z) along them, samples of priors.

Checkpoints of one encoder and one decoder share their codes, so that the way between two images is the very same for
all of them, unless the prior itself chooses it. Beside session.py, by its rules.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from app import figures, figures_between, holes, session
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
DOTS = 800  # codes drawn on it: more would lie over the ways
FOUND = 3  # pairs that a search finds
FEW = 1000  # test images that are encoded where that takes long

Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Samples:
    """Draws of a prior, decoded [DOWN, ACROSS, C, H, W]; the training images nearest to the last column [DOWN, ...]."""

    means: np.ndarray
    nearest: np.ndarray | None
    indices: list[int]
    missing: str  # why there are no training images

    @cached_property
    def pictures(self) -> list[str]:
        """As data URIs: the samples, and the nearest images where they are there."""
        parts = [self.means] if self.nearest is None else [self.means, self.nearest[:, None]]
        return [figures_between.mosaic(part) for part in parts]


@dataclass(frozen=True, eq=False)
class Plane:
    """log p(z) [n1, n2] on an even grid over a latent plane, and some of the codes [n, 2]."""

    axes: tuple[np.ndarray, np.ndarray]
    log_p: np.ndarray
    dots: np.ndarray


def codes(checkpoint: Checkpoint) -> Codes:
    """Means of q(z|x) of the test images [N, D]; where neither they nor the images are there, points of the prior."""
    digest = checkpoint.digest
    found = few_codes(digest, checkpoint) if slow(digest, checkpoint) else session.codes(digest, checkpoint)
    if found.loc.ndim != 2 or found.loc.shape[1] != checkpoint.latent or not np.isfinite(found.loc).all():
        raise ValueError(
            f"The analysis stored with {checkpoint.name} does not hold {checkpoint.latent} finite numbers an image."
        )
    return found


def slow(digest: str, checkpoint: Checkpoint) -> bool:
    """Whether the means take long: those of a flow are each estimated from 256 draws, and none are stored."""
    return "test.loc" not in session.analysis(digest, checkpoint.folder) and is_flow(digest, checkpoint)


@st.cache_resource(max_entries=256, show_spinner=False)
def is_flow(digest: str, _checkpoint: Checkpoint) -> bool:
    import torch

    with session.computing():
        q = session.model(digest, _checkpoint.folder).encoder(torch.zeros(1, *_checkpoint.shape))
        return session.family(q) == "flow"


@st.cache_resource(max_entries=16, show_spinner=False)
def few_codes(digest: str, _checkpoint: Checkpoint) -> Codes:
    """Codes of the first FEW test images alone."""
    from vaecore.evaluation import encode

    found, _ = session.images(_checkpoint)
    if found is None:
        return session.codes(digest, _checkpoint)
    labels = session.split(_checkpoint.dataset).labels
    with session.computing():
        loc, _ = encode(session.model(digest, _checkpoint.folder), found[:FEW], chunk=100)
    return Codes(loc.numpy(), None if labels is None else labels[:FEW].numpy().astype(np.uint8))


def space(entry: Entry) -> str:
    """What its codes and decoded images depend on."""
    refines = session.model(entry.checkpoint.digest, entry.checkpoint.folder).refine is not None
    return entry.checkpoint.digest if refines else entry.body


def source(entry: Entry, kind: str) -> str:
    """What a way of that kind depends on."""
    return entry.checkpoint.digest if kind == "highest" else space(entry)


def pixelwise(entry: Entry) -> bool:
    """Whether its decoder draws pixel after pixel: slow, and without a mean that a gradient could follow."""
    from vaecore.pixelcnn import PixelDecoder

    return isinstance(session.model(entry.checkpoint.digest, entry.checkpoint.folder).decoder, PixelDecoder)


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
    """The decoded images of a way in a row, as a data URI."""
    import torch

    way = torch.from_numpy(path(_entry, pair, kind))
    with session.computing():
        vae = session.model(_entry.checkpoint.digest, _entry.checkpoint.folder)
        return figures_between.mosaic(vae.likelihood(way).mean.numpy()[None])


@st.cache_resource(max_entries=512, show_spinner=False)
def original(dataset: str, index: int, _image: "Tensor") -> str:  # noqa: ARG001
    return figures.data_uri(_image.numpy())


@st.cache_resource(max_entries=64, show_spinner=False)
def search(digest: str, deepest: bool, seed: int, count: int, _entry: Entry) -> list[Pair]:
    """FOUND pairs of the first `count` test images with the deepest valleys, or the smoothest ways."""
    import torch

    from vaecore import paths

    places = torch.from_numpy(codes(_entry.checkpoint).loc[:count])
    with session.computing():
        prior = session.model(digest, _entry.checkpoint.folder).prior()
        found = paths.find_pairs(prior, places, FOUND, deepest=deepest, seed=seed)
    return [(i, j) for i, j in found.index.tolist()]


# ---- the plane


@st.cache_resource(max_entries=16, show_spinner=False)
def plane(digest: str, _entry: Entry) -> Plane:
    import torch

    vae, loc = session.model(digest, _entry.checkpoint.folder), codes(_entry.checkpoint).loc
    with session.computing():
        low, high = holes.span(torch.from_numpy(loc))  # where a prior is far wider, only this part of it is of use
        axes = tuple(torch.linspace(float(a), float(b), SIDE) for a, b in zip(low, high, strict=True))
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
