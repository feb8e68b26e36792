"""What the pages show, computed once and kept: checkpoints, data sets, decoded grids, posteriors.

The only file that caches, and the only one of the app that touches torch or vaecore, and that inside functions: the
first paint must not wait for them.
"""

import hashlib
import os
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import streamlit as st

from app import figures, own, visits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor
    from torch.distributions import Distribution

    from vaecore import VAE
    from vaecore.exact import Overview

ROOT = Path(__file__).resolve().parents[1]
ICON = str(ROOT / "app" / "icon.svg")
GRID = 28  # points a side of the picture's grid, crowded where the two Gaussians lie: decoded within 50 ms
OWN = ("drawing", "upload")  # kinds of images that the visitor brings
QUICK = 0.03  # nats: log p(x) of an image of the visitor's own, who waits for it; the error that is shown says so
DRAWS = 1024  # of q, or of each of its components: they say where it lies
LOOKED = 1.0  # seconds that a look at the checkpoints' folders holds
SCATTERED = 2000  # stand-in codes from the prior, where a checkpoint brings none and its data set is absent

# Who draws random numbers holds torch's one generator; what draws none waits for nobody: see `evaluating`.
_computing = visits.turn


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder as it was found; `problem` says why it cannot be used, if so."""

    name: str
    folder: Path
    digest: str = ""
    dataset: str = ""
    shape: tuple[int, ...] = ()
    latent: int = 0
    label: str = ""
    metrics: dict | None = None
    problem: str = ""
    recipe: str = ""


class Replaced(ValueError):
    """While a page was made of a checkpoint, another one took its folder: what is listed now is not what was then."""


class Pick(NamedTuple):
    """Which image: `image`, of the test split, or `sample`, drawn from the model at that test image's code.

    Or `prior`, drawn from the model by that seed; or `drawing` or `upload`, whose `pixels` are packed by `own`.
    """

    kind: str
    index: int
    pixels: str = ""

    @property
    def numbered(self) -> bool:
        """Whether its code is one of the latent map's."""
        return self.kind in ("image", "sample")

    @property
    def blank(self) -> bool:
        """Whether nothing was brought yet."""
        return self.kind in OWN and not self.pixels

    @property
    def address(self) -> dict[str, str]:
        text = self.pixels if self.kind in OWN else str(self.index)
        return {self.kind: text if 0 < len(text) <= own.LINK else own.NOTHING}

    def __str__(self) -> str:
        return f"{self.kind}-{self.index}"


@dataclass(frozen=True, eq=False)
class Codes:
    """The latent map: means of q(z|x) of the test images, or points of the prior. loc [N, 2]; labels uint8 [N]."""

    loc: np.ndarray
    labels: np.ndarray | None
    from_prior: bool = False


@dataclass(frozen=True, eq=False)
class Sketch:
    """What can be drawn of q(z|x): where its mass lies and, if it is not a diagonal Gaussian, its density."""

    family: str  # "" for a diagonal Gaussian
    z: np.ndarray  # draws [N, 2], with their weights [N]
    weight: np.ndarray
    peak: np.ndarray
    axes: tuple[np.ndarray, np.ndarray] | None = None
    log_density: np.ndarray | None = None
    reach: float = 0.0  # nats below the peak: there lies the line that holds as much as a Gaussian's 3 sigma


@dataclass(frozen=True, eq=False)
class Look:
    """Everything that the page shows of one image: pictures [C, H, W], places in the latent plane, nats."""

    pick: Pick
    label: int | None
    original: np.ndarray
    reconstruction: np.ndarray
    truth: np.ndarray | None  # the z that a sample came from
    q_loc: np.ndarray
    q_scale: np.ndarray
    q: Sketch
    best_loc: np.ndarray
    best_scale: np.ndarray
    axes: tuple[np.ndarray, np.ndarray]
    log_density: np.ndarray
    log_evidence: float
    elbo: float
    iwae: float
    approximation: float
    amortization: float
    error: float  # the estimate of log p(x)'s error
    gap_error: float
    modes: int
    bulk: figures.Frame  # where the true posterior is within 8 nats of its peak

    @property
    def gap(self) -> float:
        return self.approximation + self.amortization

    @property
    def frame(self) -> figures.Frame:
        return tuple(float(end) for axis in self.axes for end in (axis[0], axis[-1]))


@contextmanager
def evaluating() -> "Iterator[None]":
    """Without gradients, and without waiting: for what draws no numbers from torch's one random generator."""
    import torch

    # One thread: an image is small work, and threads that wait for each other on busy cores make it far slower.
    torch.set_num_threads(1)
    with torch.no_grad():
        yield


@contextmanager
def computing() -> "Iterator[None]":
    """Hold torch's one random generator, without gradients, and leave it as it was: only while numbers are drawn.

    What is cached is asked for before: another one may be computing it, and wait for the generator.
    """
    import torch

    with _computing, evaluating(), torch.random.fork_rng(devices=[]):
        yield


# ---- checkpoints


def folders() -> tuple[list[Path], dict[str, str]]:
    """Where checkpoints are looked for: what ships, was trained here, was brought, and what the environment names.

    Of a URL it is its copy; and why which URL cannot be read.
    """
    from vaecore.mirror import URL, places

    found, problems = [ROOT / "pretrained", ROOT / "brought"], {}
    try:
        found.insert(1, runs_folder())
    except ValueError as error:
        problems["VAESCOPE_RUNS"] = str(error)
    for place in places(os.environ.get("VAESCOPE_CHECKPOINTS", "")):
        if not URL.match(place):
            found.append(Path(place))
            continue
        copy = mirror(place)
        if problem := copy.refresh():
            problems[copy.shown] = problem
        found.append(copy.folder)
    return found, problems


@st.cache_resource(max_entries=16, show_spinner=False)
def mirror(url: str):  # noqa: ANN201
    from vaecore.mirror import Mirror

    return Mirror(url)


def runs_folder() -> Path:
    """Where the page "Train one" puts its runs: VAESCOPE_RUNS, which replicas of the app may share, or runs/ here.

    ValueError where that is a URL: a run locks its folder and writes into it at every epoch.
    """
    from vaecore.mirror import URL

    place = os.environ.get("VAESCOPE_RUNS") or str(ROOT / "runs")
    if found := URL.match(place):
        raise ValueError(
            f"VAESCOPE_RUNS is a URL ({found[0]}...), and runs need a folder on a disk that is mounted here: they lock "
            "it. VAESCOPE_CHECKPOINTS may name URLs of checkpoints."
        )
    return Path(place)


def checkpoints() -> dict[str, Checkpoint]:
    """All checkpoints by name, the broken ones among them; a name met twice carries its parent folder's before it.

    A folder that came or went is seen at once, other bytes in a folder after LOOKED seconds.
    """
    places, problems = folders()
    found = dict(listing.look(tuple(places)))
    for url, problem in problems.items():
        found[url] = Checkpoint(url, Path(url), problem=problem)
    return found


class Listing:
    """The checkpoints of some places as they were last looked at: by one visitor for all that come meanwhile."""

    def __init__(self) -> None:
        self._looking = threading.Lock()
        self._seen: tuple[tuple, float, dict[str, Checkpoint]] = ((), -np.inf, {})

    def look(self, places: tuple[Path, ...]) -> dict[str, Checkpoint]:
        """Not to be changed: it is everybody's."""
        with self._looking:
            key = places, tuple(map(changed, places))
            known, since, found = self._seen
            if known != key or time.monotonic() - since > LOOKED:
                found = listed(places)
                self._seen = key, time.monotonic(), found
            return found


listing = Listing()


def listed(places: tuple[Path, ...]) -> dict[str, Checkpoint]:
    """The checkpoints in these places, each read anew where a file of it has changed."""
    from vaecore import checkpoints as shelf

    found: dict[str, Checkpoint] = {}
    for folder in (folder for root in places for folder in shelf.find(root)):
        name = folder.name if folder.name not in found else f"{folder.parent.name}/{folder.name}"
        found[name] = replace(read_checkpoint(str(folder), folder_stamp(folder)), name=name)
    return found


def folder_stamp(folder: Path) -> tuple[int, ...]:
    """What changes with a folder's files, and with the folder itself: another one may have files of equal stamps."""
    with suppress(FileNotFoundError, NotADirectoryError):  # it was removed since it was listed
        files = sorted((entry.name, entry.stat()) for entry in os.scandir(folder) if entry.is_file())
        return (folder.stat().st_ino, *(n for _, file in files for n in (file.st_mtime_ns, file.st_ino)))
    return ()


def changed(place: Path) -> int:
    """When a folder came into this one or went; 0 where there is none."""
    try:
        return place.stat().st_mtime_ns
    except OSError:
        return 0


# As many as can be on a shelf: with fewer entries than checkpoints each look would read them all.
@st.cache_resource(max_entries=4096, show_spinner=False)
def read_checkpoint(folder: str, stamps: tuple[int, ...]) -> Checkpoint:  # noqa: ARG001  stamps: read anew when changed
    from vaecore import checkpoints as shelf
    from vaecore import recipes

    path = Path(folder)
    try:
        contents = shelf.read(path)
    except (ValueError, OSError) as error:
        return Checkpoint(path.name, path, problem=str(error))
    config = contents.config
    return Checkpoint(
        path.name,
        path,
        contents.digest,
        config["dataset"] or "",
        tuple(config["data_shape"]),
        config["latent_dim"],
        recipes.label(config),
        contents.metrics,
        recipe=config["recipe"],
    )


@st.cache_resource(max_entries=16, show_spinner=False)
def model(digest: str, _folder: Path) -> "VAE":
    from vaecore import checkpoints

    try:
        with computing():  # building draws the weights that are then read
            return visits.bounded(checkpoints.load(_folder, digest=digest))
    except checkpoints.Replaced as error:
        raise Replaced(str(error)) from None


def analysis(digest: str, folder: Path) -> "dict[str, Tensor]":
    """What is stored with the checkpoint as of now; nothing if that cannot be read."""
    return stored_analysis(digest, stamp(digest, folder), folder)


@st.cache_resource(max_entries=16, show_spinner=False)
def stored_analysis(digest: str, stamp: tuple[int, ...], _folder: Path) -> "dict[str, Tensor]":
    from vaecore.checkpoints import read_analysis

    return read_analysis(_folder, digest=digest)


def stamp(digest: str, folder: Path) -> tuple[int, ...]:
    """What changes when an analysis is written for these weights."""
    from vaecore.checkpoints import cached_analysis

    files = (folder / "analysis.safetensors", cached_analysis(digest))
    return tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in files)


# As many as can stand side by side, so that no click decodes a grid anew: up to 125 MB each for images of 28 x 28.
@st.cache_resource(max_entries=10, show_spinner=False)
def overview(digest: str, _checkpoint: Checkpoint) -> "Overview":
    import torch

    from vaecore.exact import Overview

    vae, places = model(digest, _checkpoint.folder), prepared(_checkpoint)
    with evaluating():
        return Overview(vae, torch.from_numpy(places.loc))


@st.cache_resource(max_entries=16, show_spinner=False)
def codes(digest: str, _checkpoint: Checkpoint) -> Codes:
    stored = analysis(digest, _checkpoint.folder)
    if "test.loc" in stored:
        labels = stored.get("test.labels")
        return Codes(stored["test.loc"].numpy(), None if labels is None else labels.numpy())
    if images(_checkpoint)[0] is None:
        import torch

        vae = model(digest, _checkpoint.folder)
        with computing():
            torch.manual_seed(0)
            drawn = vae.prior().sample((SCATTERED,))
        return Codes(drawn.numpy(), None, from_prior=True)
    loc, labels = encoded(digest, _checkpoint)[0], split(_checkpoint.dataset).labels
    return Codes(loc.numpy(), None if labels is None else labels.numpy().astype(np.uint8))


@st.cache_resource(max_entries=16, show_spinner=False)
def encoded(digest: str, _checkpoint: Checkpoint) -> "tuple[Tensor, Tensor]":
    """Means and standard deviations of the test images' q(z|x), each [N, D], where the images are at hand.

    A refinement would take minutes for a test set: these are what it starts from.
    """
    from vaecore import VAE
    from vaecore.evaluation import encode

    vae, found = model(digest, _checkpoint.folder), images(_checkpoint)[0]
    with evaluating():
        return encode(VAE(vae.prior, vae.encoder, vae.decoder), found)


def prepared(checkpoint: Checkpoint) -> Codes:
    """The checkpoint's codes: what every image needs."""
    places = codes(checkpoint.digest, checkpoint)
    if places.loc.ndim != 2 or places.loc.shape[1] != 2 or not np.isfinite(places.loc).all():
        raise ValueError(f"The analysis stored with {checkpoint.name} does not hold two finite numbers for each image.")
    return places


def decoded(checkpoint: Checkpoint, pick: Pick) -> None:
    """Decode the checkpoint's grid, once, where what is stored with it does not answer for the image."""
    if stored_gap(checkpoint.digest, pick, checkpoint) is None or refines(checkpoint):
        overview(checkpoint.digest, checkpoint)


def refines(checkpoint: Checkpoint) -> bool:
    """Whether q is refined step by step."""
    return hasattr(model(checkpoint.digest, checkpoint.folder).refine, "path")


# ---- data


@st.cache_resource(max_entries=4, show_spinner=False)
def split(dataset: str):  # noqa: ANN201
    """The test split; raises ValueError, not kept, where the files are absent."""
    from vaecore import load_dataset

    return load_dataset(dataset, "test")


def images(checkpoint: Checkpoint) -> "tuple[Tensor | None, str]":
    """The test images that the checkpoint's codes belong to, or None and a sentence that says why not."""
    if not checkpoint.dataset:
        return None, "This checkpoint does not say which data set it was trained on."
    try:
        found = split(checkpoint.dataset).images
    except ValueError as error:
        return None, str(error)
    if tuple(found.shape[1:]) != checkpoint.shape:
        return None, f"The images of {checkpoint.dataset} do not have the shape {checkpoint.shape} of this checkpoint."
    return found, ""


def absence(checkpoint: Checkpoint) -> str:
    """Why the test images of a checkpoint cannot be used, as the beginning of a sentence."""
    from vaecore.datasets import NAMES, is_available

    if not checkpoint.dataset:
        return "This checkpoint names no data set"
    if checkpoint.dataset in NAMES and is_available(checkpoint.dataset):
        return f"The images of {checkpoint.dataset} do not fit this checkpoint"
    return "The images are not on this computer"


def can_download(dataset: str) -> bool:
    from vaecore.datasets import NAMES, is_available

    return dataset in NAMES and not is_available(dataset)


def download(dataset: str) -> str:
    """Fetch a data set; a sentence if that failed."""
    from vaecore.datasets import download as fetch

    try:
        fetch(dataset)
    except (ValueError, OSError) as error:
        return str(error)
    codes.clear()  # those that the prior stood in for
    return ""


def image(checkpoint: Checkpoint, pick: Pick) -> "Tensor":
    """The picked image, [1, C, H, W]: the same for the same link."""
    import torch

    if pick.kind == "image":
        return images(checkpoint)[0][pick.index : pick.index + 1]
    if pick.kind in OWN:
        return torch.from_numpy(own.unpacked(pick.pixels, checkpoint.shape) / np.float32(255))[None]
    vae, z = model(checkpoint.digest, checkpoint.folder), torch.from_numpy(origin(checkpoint, pick))[None]
    with computing():
        torch.manual_seed(pick.index)
        return vae.likelihood(z).sample()


def origin(checkpoint: Checkpoint, pick: Pick) -> np.ndarray:
    """The z that a sample is drawn at [2]: a test image's code, or a draw of the prior."""
    import torch

    if pick.kind == "sample":
        return codes(checkpoint.digest, checkpoint).loc[pick.index]
    vae = model(checkpoint.digest, checkpoint.folder)
    with computing():
        torch.manual_seed(2**32 + pick.index)  # the pixels' noise has the seed itself
        return vae.prior().sample().numpy()


@st.cache_resource(max_entries=64, show_spinner=False)
def thumbnails(digest: str, kind: str, indices: tuple[int, ...], _checkpoint: Checkpoint) -> str:
    """The picked images side by side, as a data URI."""
    return figures.sprite(np.concatenate([image(_checkpoint, Pick(kind, index)).numpy() for index in indices]))


# ---- one image


@st.cache_resource(max_entries=512, show_spinner=False)
def look(digest: str, pick: Pick, _checkpoint: Checkpoint, host: str = "", _host: Checkpoint | None = None) -> Look:
    """What a checkpoint makes of an image: of its own, or as a guest of that of the checkpoint `host`."""
    import torch

    from vaecore.evaluation import log_evidence

    owner = _host or _checkpoint
    vae, x, places = model(digest, _checkpoint.folder), image(owner, pick), codes(owner.digest, owner)
    alike = owner if same_posterior(_checkpoint, owner) else _checkpoint
    found = stored_gap(digest, pick, _checkpoint) or computed_gap(digest, x, _checkpoint, alike, quick=pick.kind in OWN)
    frame = found.pop("frame")
    truth = origin(owner, pick) if pick.kind in ("sample", "prior") and not host else None
    with computing():
        torch.manual_seed(pick.index)
        iwae = float(log_evidence(vae, x, samples=100))
    with evaluating():
        q = vae.posterior(x)
        q_loc, q_scale, drawn = q.mean[0].numpy(), q.stddev[0].numpy(), sketch(q)
        axes = grid(frame, [box(drawn, q_loc, q_scale), figures.best(found["best_loc"], found["best_scale"]).box()])
        return Look(
            pick=pick,
            label=None if places.labels is None or not pick.numbered else int(places.labels[pick.index]),
            original=x[0].numpy(),
            reconstruction=vae.likelihood(torch.from_numpy(drawn.peak)[None]).mean[0].numpy(),
            truth=truth,
            q_loc=q_loc,
            q_scale=q_scale,
            q=drawn,
            axes=axes,
            log_density=log_joint(vae, x, axes) - found["log_evidence"],
            iwae=iwae,
            bulk=frame,
            **found,
        )


def sketch(q: "Distribution") -> Sketch:
    """Draws that stand for q(z|x), batch_shape [1], and, unless ellipses say it all, its density where they lie."""
    import torch

    from vaecore.distributions import draw, is_diagonal

    with computing():
        torch.manual_seed(0)
        z, weight = (t[:, 0] for t in draw(q, DRAWS))
    if is_diagonal(q):
        return Sketch("", z.numpy(), weight.numpy(), q.mean[0].numpy())
    log_q = q.log_prob(z[:, None])[:, 0]
    order = log_q.argsort(descending=True)
    held = weight[order].cumsum(0) >= 0.989  # of a Gaussian's mass lies within 3 sigma
    reach = float(log_q[order[0]] - log_q[order[int(held.float().argmax())]])
    parts = z.reshape(DRAWS, -1, 2)  # one row of draws after another, a component each
    near = (log_q >= log_q.max() - max(reach, 4.5) - 0.5).reshape(DRAWS, -1)
    boxes = [widened(parts[near[:, m], m].numpy()) for m in range(parts.shape[1]) if near[:, m].sum() > 1]
    whole = tuple(pick([box[side] for box in boxes]) for side, pick in enumerate((min, max, min, max)))
    count = min(48 + 16 * len(boxes), 120)
    axes = tuple(
        figures.axis_points(*whole[side], [box[side] for box in boxes], count).astype(np.float32)
        for side in (slice(0, 2), slice(2, 4))
    )
    nodes = torch.cartesian_prod(*map(torch.from_numpy, axes))
    log_density = q.log_prob(nodes[:, None])[:, 0].reshape(count, count)
    return Sketch(family(q), z.numpy(), weight.numpy(), z[order[0]].numpy(), axes, log_density.numpy(), reach)


def widened(z: np.ndarray, margin: float = 0.15) -> figures.Frame:
    """The box around points [N, 2], and somewhat more."""
    low, high = z.min(0), z.max(0)
    (left, bottom), (right, top) = low - margin * (high - low), high + margin * (high - low)
    return float(left), float(right), float(bottom), float(top)


def family(q: "Distribution") -> str:
    """What kind of density a q(z|x) is that is no diagonal Gaussian."""
    from torch.distributions import MixtureSameFamily, MultivariateNormal, TransformedDistribution

    if isinstance(q, MixtureSameFamily):
        return f"mixture of {q.mixture_distribution.logits.shape[-1]} Gaussians"
    if isinstance(q, MultivariateNormal):
        return "Gaussian of full covariance"
    return "flow" if isinstance(q, TransformedDistribution) else "density of its own kind"


def box(drawn: Sketch, loc: np.ndarray, scale: np.ndarray) -> figures.Frame:
    """Where q's outlines lie."""
    return figures.encoder(loc, scale).box() if drawn.axes is None else outline(drawn).box()


def outline(drawn: Sketch, name: str = "", colour: str = figures.ORANGE, dash: str = "solid") -> figures.Density:
    return figures.Density(name, drawn.axes, drawn.log_density, drawn.peak, drawn.reach, colour, dash)


def stored_gap(digest: str, pick: Pick, checkpoint: Checkpoint) -> dict | None:
    """The exact results of a test image that were stored with the checkpoint."""
    found = analysis(digest, checkpoint.folder)
    stored = {name: found[f"exact.{name}"] for name in (*STORED, "gap_error") if f"exact.{name}" in found}
    if pick.kind != "image" or not stored.keys() >= STORED or pick.index >= len(stored["frame"]):
        return None
    row = {name: t[pick.index].numpy() for name, t in stored.items()}
    elbo = row["log_evidence"] - row["approximation"] - row["amortization"]
    row = {"gap_error": row["error"], "elbo": elbo, **row}
    places = {name: row[name] for name in ("best_loc", "best_scale")}
    numbers = {name: float(row[name]) for name in NUMBERS}
    return {**numbers, **places, "modes": int(row["modes"]), "frame": tuple(row["frame"].tolist())}


STORED = {"log_evidence", "approximation", "amortization", "error", "best_loc", "best_scale", "modes", "frame"}


def computed_gap(
    digest: str, x: "Tensor", checkpoint: Checkpoint, owner: Checkpoint | None = None, quick: bool = False
) -> dict:
    """The exact results; `owner` is the checkpoint whose grid serves, itself or one of equal prior and decoder."""
    from vaecore.exact import split_gap
    from vaecore.exact.posterior import TOLERANCE

    owner = owner or checkpoint
    vae, grid = model(digest, checkpoint.folder), overview(owner.digest, owner)
    with evaluating():
        gap = split_gap(vae, x, grid, QUICK if quick else TOLERANCE)
    numbers = {name: float(getattr(gap, name)) for name in NUMBERS}
    return {
        **numbers,
        "best_loc": gap.best.mean[0].numpy(),
        "best_scale": gap.best.stddev[0].numpy(),
        "modes": int(gap.modes),
        "frame": tuple(map(float, gap.posterior.frame(0))),
    }


NUMBERS = ("log_evidence", "elbo", "approximation", "amortization", "error", "gap_error")


def grid(frame: figures.Frame, boxes: list[figures.Frame], reach: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    """The picture's grid: square, finest where the outlines lie."""
    square = figures.square_frame(frame, boxes, reach)
    return tuple(
        figures.axis_points(*square[side], [box[side] for box in boxes], GRID) for side in (slice(0, 2), slice(2, 4))
    )


def log_joint(vae: "VAE", x: "Tensor", axes: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """log p(x, z) at the nodes of a grid: [len(z1), len(z2)]."""
    import torch

    from vaecore.exact.joint import Joint

    z = torch.cartesian_prod(*(torch.from_numpy(axis) for axis in axes))
    return Joint(vae, x)(z[None, None], torch.ones(1, 1, dtype=bool)).numpy().reshape(len(axes[0]), len(axes[1]))


# ---- side by side


@st.cache_resource(max_entries=256, show_spinner=False)
def likelihood(digest: str, _checkpoint: Checkpoint) -> str:
    """A digest of p(x, z): checkpoints that agree in it have the same true posterior for every image."""
    import torch

    vae = model(digest, _checkpoint.folder)
    with evaluating():
        # The prior by its values, for it may lean on the encoder's weights.
        places = torch.linspace(-3, 3, 64).reshape(-1, 2)
        parts = [vae.prior().log_prob(places), *vae.decoder.state_dict().values()]
    found = hashlib.sha256(repr(vae.decoder).encode())
    for part in parts:
        found.update(part.contiguous().numpy().tobytes())
    return found.hexdigest()


def same_posterior(one: Checkpoint, other: Checkpoint) -> bool:
    return one.digest == other.digest or likelihood(one.digest, one) == likelihood(other.digest, other)


def guest(checkpoint: Checkpoint, pick: Pick, host: Checkpoint) -> Look:
    """What `checkpoint` makes of the image that the host shows."""
    if pick.kind == "image" and not same_posterior(checkpoint, host):
        return look(checkpoint.digest, pick, checkpoint)
    return look(checkpoint.digest, pick, checkpoint, host.digest, host)


@st.cache_resource(max_entries=64, show_spinner=False)
def ground(digests: tuple[str, ...], pick: Pick, _host: Checkpoint, _looks: list[Look]) -> tuple:  # noqa: ARG001
    """The picture's axes and log p(z|x) on them, for several q of one true posterior."""
    boxes = [box(look.q, look.q_loc, look.q_scale) for look in _looks]
    first = _looks[0]
    axes = grid(first.bulk, [*boxes, figures.best(first.best_loc, first.best_scale).box()], reach=2.5)
    x = image(_host, pick)
    with evaluating():
        return axes, log_joint(model(_host.digest, _host.folder), x, axes) - first.log_evidence


@st.cache_resource(max_entries=256, show_spinner=False)
def path(digest: str, pick: Pick, _checkpoint: Checkpoint) -> figures.Path | None:
    """What the checkpoint's refinement does to q, step by step; None if it has none."""
    from vaecore.exact import true_posterior

    if not refines(_checkpoint):
        return None
    vae, x, grid = model(digest, _checkpoint.folder), image(_checkpoint, pick), overview(digest, _checkpoint)
    with evaluating():
        posterior = true_posterior(vae, x, grid)
        stages = vae.refine.path(vae, x, vae.encoder(x))
        found = [posterior.divergence(q) for q in stages]
    return figures.Path(
        np.stack([q.mean[0].numpy() for q in stages]),
        np.array([float(gap) for gap, _ in found]),
        np.array([float(error) for _, error in found]),
    )


# ---- before anyone asks


@st.cache_resource(show_spinner=False)
def warm() -> threading.Thread:
    """Once for each server: load torch, the first checkpoint and its grid, while the visitor reads the first page."""
    thread = threading.Thread(target=prepare, daemon=True, name="warm")
    thread.start()
    return thread


def prepare() -> None:
    for checkpoint in checkpoints().values():
        if not checkpoint.problem and checkpoint.latent == 2:
            with suppress(ValueError, OSError):  # the page that is asked for it will say so
                prepared(checkpoint)
                look(checkpoint.digest, Pick("sample", 0), checkpoint)
                return
