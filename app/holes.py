"""What the page of priors computes once and keeps: training codes, low posterior samples, maps. Beside session.py.

Checkpoints of one encoder and one decoder, as a standard VAE and the same with a post-hoc prior, are one `body`: their
codes, their low posterior samples, the images drawn there and their pictures are the very same.
"""

import hashlib
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from app import figures, figures_holes, session
from app.session import Checkpoint

if TYPE_CHECKING:
    from torch import Tensor

    from vaecore.datasets import Dataset

COUNT, KEEP = 10_000, 100  # samples of the prior, and how many of the lowest are shown: the paper's (B.9)
PORTION = 1000  # images encoded, or samples ranked, between two looks at the progress bar
SIDE = 140  # nodes along the longer side of the map
DOTS = 1500  # codes drawn on it
NEAREST = 5
FEW = 4000  # codes by which the time for all is measured
LIKED = 1.0  # nats below the prior's typical height: there lie the 2 sd of a 2-D Gaussian
AVERAGED = 16  # draws of q(z|x) for each ELBO

Report = Callable[[float], None]


# Portions one after another: two pages that wait for the same codes must not both encode them.
working = threading.RLock()


@dataclass(frozen=True)
class Entry:
    """A checkpoint of the page, and how its prior was made: standard, post-hoc, joint, iterative or learned."""

    checkpoint: Checkpoint
    kind: str
    body: str  # digest of encoder, decoder and data set

    @property
    def own(self) -> bool:
        """Whether its samples are those of its own prior; a post-hoc prior is held against its VAE's N(0, I)."""
        return self.kind not in ("standard", "post-hoc")

    @property
    def source(self) -> str:
        """What its samples depend on."""
        return self.checkpoint.digest if self.own else self.body


@dataclass(eq=False)
class Coded:
    """q(z|x_i) of the training images, portion by portion: means and standard deviations, [n, D] each, then all."""

    parts: "list[tuple[Tensor, Tensor]]"
    whole: "tuple[Tensor, Tensor] | None" = None


@dataclass(eq=False)
class Ranking:
    """Samples of a prior, ranked portion by portion, so that a page that is left half-way goes on where it was."""

    z: np.ndarray  # [COUNT, D]
    log_q: list[np.ndarray]

    @property
    def share(self) -> float:
        return sum(map(len, self.log_q)) / len(self.z)

    @property
    def all_log_q(self) -> np.ndarray:
        return np.concatenate(self.log_q)

    @property
    def lowest(self) -> np.ndarray:
        """Places of the KEEP lowest in z, the lowest first."""
        return np.argsort(self.all_log_q, kind="stable")[:KEEP]


@dataclass(frozen=True, eq=False)
class Judged:
    """What a checkpoint says of the lowest samples and an image drawn at each: nats [KEEP], means [KEEP, C, H, W]."""

    log_p: np.ndarray
    elbo: np.ndarray
    means: np.ndarray


@dataclass(frozen=True, eq=False)
class Field:
    """log q(z) and log p(z) [n1, n2] at the nodes of an even grid over the latent plane."""

    axes: tuple[np.ndarray, np.ndarray]
    log_q: np.ndarray
    log_p: np.ndarray
    dots: np.ndarray
    width: float  # the median standard deviation of q(z|x)

    @property
    def difference(self) -> np.ndarray:
        return self.log_q - self.log_p

    @property
    def frame(self) -> tuple[float, float, float, float]:
        return tuple(float(end) for axis in self.axes for end in (axis[0], axis[-1]))


@dataclass(frozen=True, eq=False)
class Place:
    """One z: log q(z), the decoder's mean there, and the mean that equation 7 asks for."""

    z: np.ndarray
    log_q: float
    decoded: np.ndarray
    wanted: np.ndarray
    effective: float  # how many training images the weighted mean is made of
    nearest: list[tuple[int, float]]  # those that weigh most, with their weights
    pictures: np.ndarray  # of the nearest [NEAREST, C, H, W]


@dataclass(frozen=True, eq=False)
class Shape:
    """How wide the posteriors are and how far apart (Figure 3): [N D], [N], [N]; moments of q(z) [D]."""

    scale: np.ndarray
    distance: np.ndarray
    normalised: np.ndarray
    mean: np.ndarray
    variance: np.ndarray


# ---- checkpoints


def entry(checkpoint: Checkpoint) -> Entry:
    return Entry(checkpoint, kind(checkpoint.digest, checkpoint), body(checkpoint.digest, checkpoint))


@st.cache_resource(max_entries=256, show_spinner=False)
def kind(digest: str, _checkpoint: Checkpoint) -> str:
    """How the prior was made."""
    from vaecore.priors import StandardNormal

    vae = session.model(digest, _checkpoint.folder)
    if type(vae.prior) is StandardNormal:
        return "standard"
    return (vae.config or {}).get("options", {}).get("training", "learned")


@st.cache_resource(max_entries=256, show_spinner=False)
def body(digest: str, _checkpoint: Checkpoint) -> str:
    vae = session.model(digest, _checkpoint.folder)
    found = hashlib.sha256(repr((_checkpoint.dataset, vae.encoder, vae.decoder)).encode())
    for part in (vae.encoder, vae.decoder):
        for tensor in part.state_dict().values():
            found.update(tensor.contiguous().numpy().tobytes())
    return found.hexdigest()


def problem(checkpoint: Checkpoint) -> str:
    """Why the exact sum over all codes cannot be had for this checkpoint; nothing if it can."""
    return _problem(checkpoint.digest, checkpoint)


@st.cache_resource(max_entries=256, show_spinner=False)
def _problem(digest: str, _checkpoint: Checkpoint) -> str:
    import torch

    from vaecore.distributions import is_diagonal

    vae = session.model(digest, _checkpoint.folder)
    if vae.refine is not None:
        return "its posterior is refined image by image, which takes far too long for a whole training set"
    with session.evaluating():
        return "" if is_diagonal(vae.posterior(torch.zeros(1, *_checkpoint.shape))) else NOT_GAUSSIAN


NOT_GAUSSIAN = "its q(z|x) is no diagonal Gaussian, whose exact sum over the training set takes too long for a page"


# ---- training images and their codes


# With fewer, visitors of different data sets would have each other's read anew: MNIST's 60,000 are 190 MB.
@st.cache_resource(max_entries=3, show_spinner=False)
def split(dataset: str) -> "Dataset":
    """The training split; raises ValueError, not kept, where the files are absent."""
    from vaecore import load_dataset

    return load_dataset(dataset, "train")


def images(checkpoint: Checkpoint) -> "tuple[Tensor | None, str]":
    """The training images, of a dynamic set one fixed binarisation, or None and a sentence that says why not."""
    if not checkpoint.dataset:
        return None, "This checkpoint does not say which data set it was trained on."
    try:
        found = split(checkpoint.dataset).images
    except ValueError as error:
        return None, str(error)
    if tuple(found.shape[1:]) != checkpoint.shape:
        return None, f"The images of {checkpoint.dataset} do not have the shape {checkpoint.shape} of this checkpoint."
    return found, ""


def codes(entry: Entry, report: Report = lambda share: None) -> "tuple[Tensor, Tensor]":
    """Means and standard deviations of q(z|x_i) of the training images, [N, D] each; what is missing is encoded."""
    found = _coded(entry.body)
    if found.whole is None:
        encode(entry.checkpoint, found, report)
        put_together(entry.body, found)
    return found.whole


def put_together(name: str, found: Coded) -> None:
    """Make the portions whole, and keep them under that name: once, whoever comes first."""
    import torch

    with working:
        if found.whole is None:
            loc, scale = (torch.cat(parts) for parts in zip(*found.parts, strict=True))
            keep(name, loc, scale)
            found.whole = loc, scale


def are_known(entry: Entry) -> bool:
    """Whether `codes` has nothing to encode."""
    return _coded(entry.body).whole is not None


@st.cache_resource(max_entries=8, show_spinner=False)
def _coded(body: str) -> Coded:
    return kept(body)


def kept(body: str) -> Coded:
    """What of the codes is there: nothing, or all that an earlier server left in the user's cache."""
    from vaecore.safefiles import BadFile, read_tensors
    from vaecore.tensor_forms import held_to

    form = {"loc": "float N D", "scale": "float N D"}
    with suppress(BadFile):  # the user's own cache: what is damaged there is encoded anew
        kept = held_to(form, read_tensors(cache(body)), cache(body), form)
        return Coded([], (kept["loc"], kept["scale"]))
    return Coded([])


def encode(checkpoint: Checkpoint, found: Coded, report: Report) -> None:
    from vaecore import evaluation

    vae, (x, sentence) = session.model(checkpoint.digest, checkpoint.folder), images(checkpoint)
    if x is None:
        raise ValueError(sentence)
    portions = x.split(PORTION)
    while len(found.parts) < len(portions):
        report(len(found.parts) / len(portions))  # outside the locks: here a page that is left ends
        with working, session.evaluating():
            found.parts.extend(evaluation.encode(vae, part) for part in portions[len(found.parts) :][:1])


def keep(body: str, loc: "Tensor", scale: "Tensor") -> None:
    """Leave the codes to later servers; where nothing can be written they encode anew."""
    from vaecore.safefiles import write_tensors

    with suppress(OSError):
        cache(body).parent.mkdir(parents=True, exist_ok=True)
        write_tensors(cache(body), {"loc": loc, "scale": scale})


def cache(body: str) -> Path:
    from vaecore.checkpoints import cached_analysis

    return cached_analysis(body).parents[1] / "codes" / f"{body}.safetensors"


# ---- low posterior samples


def ranking(entry: Entry, seed: int, report: Report) -> Ranking:
    """COUNT samples of the prior with log q(z) of each; what is missing is computed, and its share reported."""
    from torch import from_numpy

    from vaecore.aggregate import log_aggregate

    found = _begun(entry.source, seed, entry)
    while found.share < 1:
        report(found.share)  # outside the locks: here a page that is left ends
        with working, session.evaluating():
            done = sum(map(len, found.log_q))
            if part := len(found.z[done : done + PORTION]):
                z = from_numpy(found.z[done : done + part])
                found.log_q.append(log_aggregate(z, *codes(entry)).numpy())
    return found


@st.cache_resource(max_entries=32, show_spinner=False)
def _begun(source: str, seed: int, _entry: Entry) -> Ranking:  # noqa: ARG001
    import torch

    from vaecore.priors import StandardNormal

    vae = session.model(_entry.checkpoint.digest, _entry.checkpoint.folder)
    prior = vae.prior if _entry.own else StandardNormal(_entry.checkpoint.latent)
    with session.computing():
        torch.manual_seed(seed)
        return Ranking(prior().sample((COUNT,)).numpy(), [])


def known(entry: Entry, seed: int) -> bool:
    """Whether the samples are ranked already."""
    return _begun(entry.source, seed, entry).share == 1


def prior_of(entry: Entry) -> str:
    """What its samples are drawn from, in words."""
    return f"{entry.checkpoint.name}'s own prior" if entry.own else "N(0, I)"


def lows(entry: Entry, seed: int) -> np.ndarray:
    """The lowest samples [KEEP, D] of a ranking that is complete."""
    found = _begun(entry.source, seed, entry)
    return found.z[found.lowest]


def judged(entry: Entry, seed: int) -> Judged:
    return _judged(entry.checkpoint.digest, entry.source, seed, entry)


@st.cache_resource(max_entries=64, show_spinner=False)
def _judged(digest: str, source: str, seed: int, _entry: Entry) -> Judged:  # noqa: ARG001
    import torch

    from vaecore.aggregate import judge

    vae, z = session.model(digest, _entry.checkpoint.folder), torch.from_numpy(lows(_entry, seed))
    with session.computing():
        # One seed for all: checkpoints of one decoder draw the same x and the same draws of q(z|x).
        found = judge(vae, z, samples=AVERAGED, seed=seed)
    return Judged(found.log_prior.numpy(), found.elbo.numpy(), found.means.numpy())


@st.cache_resource(max_entries=64, show_spinner=False)
def tiles(source: str, seed: int, _judged: Judged) -> str:  # noqa: ARG001
    """The means at the lowest samples, side by side, as a data URI."""
    return figures.sprite(_judged.means)


# ---- the map


def field(entry: Entry) -> Field:
    return _field(entry.checkpoint.digest, entry)


@st.cache_resource(max_entries=12, show_spinner=False)
def _field(digest: str, _entry: Entry) -> Field:
    import torch

    from vaecore.aggregate import log_aggregate

    vae, (loc, scale) = session.model(digest, _entry.checkpoint.folder), codes(_entry)
    with session.computing():
        torch.manual_seed(0)
        drawn = vae.prior().sample((4000,))
    with session.evaluating():
        ends = [span(points) for points in (drawn, loc)]
        low, high = torch.stack([e[0] for e in ends]).amin(0), torch.stack([e[1] for e in ends]).amax(0)
        step = float((high - low).max()) / (SIDE - 1)
        axes = [torch.arange(float(a), float(b) + step, step) for a, b in zip(low, high, strict=True)]
        z = torch.cartesian_prod(*axes)
        shape = len(axes[0]), len(axes[1])
        log_q = log_aggregate(z, loc, scale).reshape(shape).numpy()
        log_p = vae.prior().log_prob(z).reshape(shape).numpy().astype(np.float64)
    order = np.random.default_rng(0).permutation(len(loc))[:DOTS]
    return Field(tuple(axis.numpy() for axis in axes), log_q, log_p, loc.numpy()[order], float(scale.median()))


def deepest(entry: Entry) -> tuple[float, float]:
    """Where log q(z) - log p(z) is least among the places that the prior likes: of N(0, I) within 2 sd."""
    found = field(entry)
    liked = found.log_p > figures_holes.typical(found.log_p) - LIKED
    lowest = np.where(liked, found.difference, np.inf).argmin()
    first, second = np.unravel_index(lowest, liked.shape)
    return round(float(found.axes[0][first]), 3), round(float(found.axes[1][second]), 3)


def span(points: "Tensor", share: float = 0.002) -> "tuple[Tensor, Tensor]":
    """The box of nearly all points [N, 2], and somewhat more: of a Gaussian 3.8 sd."""
    low, high = points.quantile(share, 0), points.quantile(1 - share, 0)
    pad = 0.16 * (high - low)
    return low - pad, high + pad


@st.cache_resource(max_entries=12, show_spinner=False)
def picture(digest: str, _field: Field) -> tuple[str, float, dict[str, float]]:  # noqa: ARG001
    """The map as a data URI, the ends of its scale in nats, and what lies beyond them."""
    shown, difference = figures_holes.visible(_field.log_q, _field.log_p), _field.difference
    end = figures_holes.limit(difference, shown)
    clipped = (shown > 0) & (np.abs(difference) > end)
    beyond = {
        "share": float(clipped.sum() / max((shown > 0).sum(), 1)),
        "least": float(difference[shown > 0].min()),
        "most": float(difference[shown > 0].max()),
    }
    return figures.data_uri(figures_holes.shade(difference, shown, end)), end, beyond


# ---- one z


def place(entry: Entry, z: tuple[float, ...]) -> Place:
    return _place(entry.body, z, entry)


@st.cache_resource(max_entries=256, show_spinner=False)
def _place(body: str, z: tuple[float, ...], _entry: Entry) -> Place:  # noqa: ARG001
    import math

    import torch

    from vaecore.aggregate import log_densities, optimal_images

    vae = session.model(_entry.checkpoint.digest, _entry.checkpoint.folder)
    found, (loc, scale) = images(_entry.checkpoint)[0], codes(_entry)
    at = torch.tensor([z])
    with session.evaluating():
        log_pairs = log_densities(at, loc, scale)[0]
        top = log_pairs.softmax(0).topk(min(NEAREST, len(loc)))
        best = optimal_images(log_pairs[None], found)
        return Place(
            z=at[0].numpy(),
            log_q=float(log_pairs.logsumexp(0)) - math.log(len(loc)),
            decoded=vae.likelihood(at).mean[0].numpy(),
            wanted=best.means[0].numpy(),
            effective=float(best.effective[0]),
            nearest=list(zip(top.indices.tolist(), top.values.tolist(), strict=True)),
            pictures=found[top.indices].numpy(),
        )


def log_prior(entry: Entry, z: tuple[float, ...]) -> float:
    return _log_prior(entry.checkpoint.digest, z, entry)


@st.cache_resource(max_entries=1024, show_spinner=False)
def _log_prior(digest: str, z: tuple[float, ...], _entry: Entry) -> float:
    import torch

    with session.evaluating():
        return float(session.model(digest, _entry.checkpoint.folder).prior().log_prob(torch.tensor([z]))[0])


# ---- the posteriors' shapes


def shape(entry: Entry) -> Shape:
    return _shape(entry.body, entry)


@st.cache_resource(max_entries=16, show_spinner=False)
def _shape(body: str, _entry: Entry) -> Shape:
    from vaecore.aggregate import closest_pairs, moments

    loc, scale = codes(_entry)
    pairs, (mean, variance) = closest_pairs(loc, scale), moments(loc, scale)
    _found_pairs().add(body)
    parts = scale.flatten(), pairs.distance, pairs.normalised, mean, variance
    return Shape(*(part.numpy() for part in parts))


@st.cache_resource(show_spinner=False)
def _found_pairs() -> set[str]:
    return set()


@st.cache_resource(max_entries=16, show_spinner=False)
def pace(body: str, _entry: Entry) -> float:  # noqa: ARG001
    """Seconds that the closest pairs will take, measured on a few codes."""
    from vaecore.aggregate import closest_pairs

    loc, scale = codes(_entry)
    few, start = min(len(loc), FEW), time.perf_counter()
    closest_pairs(loc[:few], scale[:few])
    return (time.perf_counter() - start) * (len(loc) / few) ** 2


def pairs_known(entry: Entry) -> bool:
    """Whether the closest pairs were found already."""
    return entry.body in _found_pairs()
