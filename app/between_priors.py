"""What the page of interpolations shows of the priors themselves, computed once and kept: planes and samples."""

import threading
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from app import figures_between, holes, session
from app.between import codes
from app.holes import Entry, Report
from app.session import Checkpoint

if TYPE_CHECKING:
    from torch import Tensor

ACROSS, DOWN = 5, 6  # samples of a prior; a further column holds the nearest training images
SIDE = 96  # nodes a side of the plane's map
DOTS = 800  # codes drawn on it: more would lie over the ways


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


# ---- the plane


@st.cache_resource(max_entries=16, show_spinner=False)
def plane(digest: str, _entry: Entry) -> Plane:
    import torch

    vae, loc = session.model(digest, _entry.checkpoint.folder), codes(_entry.checkpoint).loc
    with session.evaluating():
        low, high = holes.span(torch.from_numpy(loc))  # where a prior is far wider, only this part of it is of use
        axes = tuple(torch.linspace(float(a), float(b), SIDE) for a, b in zip(low, high, strict=True))
        log_p = vae.prior().log_prob(torch.cartesian_prod(*axes)).reshape(SIDE, SIDE)
    order = np.random.default_rng(0).permutation(len(loc))[:DOTS]
    return Plane(tuple(axis.numpy() for axis in axes), log_p.numpy(), loc[order])


# ---- samples


def samples(entry: Entry, seed: int, report: Report = lambda share: None) -> Samples:
    """Decoder means of z ~ p(z) and, for the last column, the nearest training images in pixel L2 (Figure 1).

    What draws pixel after pixel reports its share.
    """
    turn, kept = _kept(entry.checkpoint.digest, seed)
    with turn:  # two pages that wait for the same samples must not both draw them
        if not kept:
            kept.append(_drawn(entry, seed, report))
        return kept[0]


@st.cache_resource(max_entries=64, show_spinner=False)
def _kept(digest: str, seed: int) -> tuple[threading.Lock, list[Samples]]:  # noqa: ARG001
    """Where the samples are kept: what is cached itself may not draw a bar."""
    return threading.Lock(), []


def _drawn(entry: Entry, seed: int, report: Report) -> Samples:
    import torch

    from vaecore.aggregate import nearest_images
    from vaecore.pixelcnn import Pixels

    vae = session.model(entry.checkpoint.digest, entry.checkpoint.folder)
    train, missing = training(entry.checkpoint)
    with session.computing():
        torch.manual_seed(seed)
        z = vae.prior().sample((DOWN * ACROSS,))
    with session.evaluating():
        p = vae.likelihood(z)
        pixelwise = isinstance(p, Pixels)
        means = p.estimate(lambda event: report(event["step"] / event["steps"])) if pixelwise else p.mean
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
