"""What the page of codes computes once and keeps: maps of the codes, which it draws or which a job left behind."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import streamlit as st

from app import learned
from app.session import Checkpoint
from vaecore.text import counted

if TYPE_CHECKING:
    from vaecore.embedding import Settings

METHODS = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}
POINTS = (2000, 5000, 10_000)
EXTENT = 65536  # places are sent as whole numbers below it
MARGIN = 0.03  # of the extent, free on every side


class View(NamedTuple):
    """What is shown of the codes, and how. points and seed: of t-SNE and UMAP."""

    split: str = "test"
    method: str = "pca"
    points: int = 2000
    seed: int = 0

    @property
    def settings(self) -> "Settings":
        from vaecore.embedding import Settings

        return Settings(self.method, self.split, self.points, self.seed)


@dataclass(frozen=True, eq=False)
class Map:
    """Places of some images in the plane, as whole numbers for the screen [n, 2] uint16."""

    source: str  # z, pca, tsne or umap
    name: str  # tells it from all others
    places: np.ndarray
    note: str


@dataclass(frozen=True, eq=False)
class Shown:
    """The numbers of the images that all maps show, rising [n]; `name` tells them from all others."""

    dataset: str
    split: str
    name: str
    rows: np.ndarray

    @property
    def places(self) -> np.ndarray:
        """Where they stand within their split."""
        return self.rows - (learned.sizes(self.dataset)[0] if self.split == "train" else 0)


def shown(checkpoints: list[Checkpoint], view: View) -> Shown:
    """All images of the split or, where maps are embedded, the part that is."""
    dataset = checkpoints[0].dataset
    if view.method == "pca" or all(one.latent == 2 for one in checkpoints):
        return Shown(dataset, view.split, f"{dataset}-{view.split}", learned.rows_of(dataset, view.split))
    return _stratified(dataset, view.split, view.points, view.seed)


@st.cache_resource(max_entries=32, show_spinner=False)
def _stratified(dataset: str, split: str, points: int, seed: int) -> Shown:
    import torch

    from vaecore.embedding import stratified

    every = learned.rows_of(dataset, split)
    known = learned.labels(dataset, every)
    chosen = stratified(len(every), points, seed, None if known is None else torch.from_numpy(known)).numpy()
    return Shown(dataset, split, f"{dataset}-{split}-{points}-{seed}", every[chosen])


def map_of(checkpoint: Checkpoint, view: View, these: Shown) -> Map | None:
    """The map of these images; None where t-SNE or UMAP have not been computed."""
    if checkpoint.latent == 2 or view.method == "pca":
        whole = flat(checkpoint.digest, these.split, checkpoint)
        return replace(whole, name=f"{whole.name}-{these.name}", places=whole.places[these.places])
    return embedded(checkpoint.digest, view, stamp(checkpoint, view), checkpoint, these)


def must_have_map(checkpoint: Checkpoint, view: View, these: Shown) -> None:
    """ValueError, with the reason, where t-SNE or UMAP of these codes would fail."""
    import torch

    from vaecore.embedding import check

    check(torch.from_numpy(learned.coded(checkpoint, these.split)[0][these.places]), view.method, view.seed)


@st.cache_resource(max_entries=16, show_spinner=False)
def flat(digest: str, split: str, _checkpoint: Checkpoint) -> Map:
    """All codes of a split: z itself, or in the plane in which they vary most."""
    import torch

    from vaecore.embedding import pca

    loc, _ = learned.coded(_checkpoint, split)
    if _checkpoint.latent == 2:
        return finished("z", digest[:16], loc, "z itself")
    places, shares = pca(torch.from_numpy(loc))
    share = float(shares.sum())
    note = f"PCA, {100 * share:.0f} % of the variance" if share else "PCA of codes that are all the same"
    return finished("pca", f"{digest[:16]}-pca", places.numpy(), note)


@st.cache_resource(max_entries=32, show_spinner=False)
def embedded(
    digest: str,
    view: View,
    stamp: tuple[int, ...],  # noqa: ARG001  read anew when changed
    _checkpoint: Checkpoint,
    _these: Shown,
) -> Map | None:
    import torch

    from vaecore.embedding import kept

    places = kept(_checkpoint.folder, view.settings, torch.from_numpy(_these.places), digest=digest)
    if places is None:
        return None
    note = f"{METHODS[view.method]}, {counted(len(places), 'code')}, seed {view.seed}"
    return finished(view.method, "-".join(map(str, (digest[:16], *view))), places.numpy(), note)


def finished(source: str, name: str, places: np.ndarray, note: str) -> Map:
    low, high = places.min(0).astype(np.float64), places.max(0).astype(np.float64)
    reach = max(float((high - low).max()), 1e-12) / (1 - 2 * MARGIN)
    whole = np.round((places - (low + high) / 2) / reach * (EXTENT - 1) + (EXTENT - 1) / 2)
    return Map(source, name, whole.astype(np.uint16), note)


def stamp(checkpoint: Checkpoint, view: View) -> tuple[int, ...]:
    """What changes when this map is written."""
    from vaecore.checkpoints import cached
    from vaecore.embedding import name

    own = name(view.settings)
    files = (checkpoint.folder / f"{own}.safetensors", cached(checkpoint.digest, own))
    return tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in files)
