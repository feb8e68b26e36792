"""What the page of interpolations computes once and keeps: ways between codes, log p(z) along them.

Checkpoints of one encoder and one decoder share their codes, so that the way between two images is the very same for
all of them, unless the prior itself chooses it. Beside session.py, by its rules.
"""

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from app import figures, figures_between, session
from app.holes import Entry
from app.session import Checkpoint, Codes
from vaecore.text import counted

if TYPE_CHECKING:
    from torch import Tensor

KINDS = {
    "linear": "straight line",
    "spherical": "great circle",
    "highest": "over the highest pass",
    "smoothest": "least change of pixels",
}
STEPS, FINE = 15, 8  # images on a way, and points between two of them where log p(z) is measured
FOUND = 3  # pairs that a search finds
FEW = 1000  # test images that are encoded where that takes long

Pair = tuple[int, int]


def codes(checkpoint: Checkpoint) -> Codes:
    """Means of q(z|x) of the test images [N, D]; where neither they nor the images are there, points of the prior."""
    digest = checkpoint.digest
    found = few_codes(digest, checkpoint) if slow(digest, checkpoint) else session.codes(digest, checkpoint)
    if found.loc.ndim != 2 or found.loc.shape[1] != checkpoint.latent or not np.isfinite(found.loc).all():
        raise ValueError(
            f"The analysis stored with {checkpoint.name} does not hold "
            f"{counted(checkpoint.latent, 'finite number')} an image."
        )
    return found


def slow(digest: str, checkpoint: Checkpoint) -> bool:
    """Whether the means take long: those of a flow are each estimated from 256 draws, and none are stored."""
    return "test.loc" not in session.analysis(digest, checkpoint.folder) and is_flow(digest, checkpoint)


@st.cache_resource(max_entries=256, show_spinner=False)
def is_flow(digest: str, _checkpoint: Checkpoint) -> bool:
    import torch

    with session.evaluating():
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
    with session.evaluating():
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
    return draws_pixels(entry.checkpoint)


def draws_pixels(checkpoint: Checkpoint) -> bool:
    from vaecore.pixelcnn import PixelDecoder

    return isinstance(session.model(checkpoint.digest, checkpoint.folder).decoder, PixelDecoder)


def unfollowed(entry: Entry) -> str:
    """Why the way of least change cannot be found for its decoder; nothing if it can."""
    if pixelwise(entry):
        return "draws pixel after pixel"
    vae = session.model(entry.checkpoint.digest, entry.checkpoint.folder)
    return "" if vae.differentiable else "is an ONNX pair, which gives no gradients"


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
    with session.evaluating():
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
    with session.evaluating():
        prior = session.model(digest, _entry.checkpoint.folder).prior()
        return prior.log_prob(paths.refined(way, FINE)).double().numpy()


def depth(log_p: np.ndarray) -> tuple[float, float]:
    """The valley of log p(z) along a way in nats, at most 0, and where its deepest place lies, in [0, 1]."""
    import torch

    from vaecore import paths

    below = log_p - np.linspace(log_p[0], log_p[-1], len(log_p))
    return float(paths.valley(torch.from_numpy(log_p))), float(below.argmin() / (len(log_p) - 1))


@st.cache_resource(max_entries=256, show_spinner=False)
def frames(source: str, pair: Pair, kind: str, _entry: Entry) -> tuple[str, str]:  # noqa: ARG001
    """The decoded images of a way in a row, as data URIs: all of them, and every second, for phones."""
    import torch

    way = torch.from_numpy(path(_entry, pair, kind))
    with session.evaluating():
        vae = session.model(_entry.checkpoint.digest, _entry.checkpoint.folder)
        means = vae.likelihood(way).mean.numpy()[None]
    return figures_between.mosaic(means), figures_between.mosaic(means[:, ::2])


@st.cache_resource(max_entries=512, show_spinner=False)
def original(dataset: str, index: int, _image: "Tensor") -> str:  # noqa: ARG001
    return figures.data_uri(_image.numpy())


@st.cache_resource(max_entries=64, show_spinner=False)
def search(digest: str, deepest: bool, seed: int, count: int, _entry: Entry) -> list[Pair]:
    """FOUND pairs of the first `count` test images with the deepest valleys, or the smoothest ways."""
    import torch

    from vaecore import paths

    places = torch.from_numpy(codes(_entry.checkpoint).loc[:count])
    with session.evaluating():
        prior = session.model(digest, _entry.checkpoint.folder).prior()
        found = paths.find_pairs(prior, places, FOUND, deepest=deepest, seed=seed)
    return [(i, j) for i, j in found.index.tolist()]
