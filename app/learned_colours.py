"""What the page of codes knows of each image beside its place, as colours: label, cluster, error, KL, uncertainty."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import streamlit as st

from app import figures, figures_learned, learned, learned_clusters, session
from app.holes import Report
from app.learned_clusters import Grouping
from app.learned_map import Shown
from app.session import Checkpoint

if TYPE_CHECKING:
    from torch import Tensor

COLOURS = {
    "label": "label",
    "cluster": "cluster",
    "error": "error of the cluster's label",
    "kl": "KL",
    "uncertainty": "uncertainty",
}
DRAWS = 16  # of q, for a KL without a closed form
FARTHEST = 0.005  # of the values on either side lie beyond the scale's ends


class Colour(NamedTuple):
    """By what the dots are coloured; clusters and seed: of the clusters."""

    kind: str
    grouping: Grouping


@dataclass(frozen=True, eq=False)
class Painted:
    """A number in 0..255 for each image [n], uint8, and what the numbers mean."""

    name: str
    values: np.ndarray
    legend: dict


def painted(checkpoint: Checkpoint, colour: Colour, these: Shown) -> Painted:
    name = f"{colour.kind}-{these.name}"
    if colour.kind != "label":
        name += f"-{checkpoint.digest[:16]}"
    if colour.kind in ("cluster", "error"):
        name += "-{}-{}".format(*colour.grouping)
    return _painted(name, checkpoint, colour, these)


@st.cache_resource(max_entries=48, show_spinner=False)
def _painted(name: str, _checkpoint: Checkpoint, _colour: Colour, _these: Shown) -> Painted:
    if _colour.kind == "label":
        return by_label(name, _these)
    if _colour.kind == "cluster":
        return by_cluster(name, _checkpoint, _colour.grouping, _these)
    if _colour.kind == "error":
        return by_error(name, _checkpoint, _colour.grouping, _these)
    values = measured(_checkpoint, _colour.kind, _these.split)[_these.places]
    return by_number(name, values, WHAT[_colour.kind](_checkpoint))


def by_label(name: str, these: Shown) -> Painted:
    known = learned.labels(these.dataset, these.rows)
    classes = int(known.max()) + 1
    colours = [figures.CLASSES[k % len(figures.CLASSES)] for k in range(classes)]
    legend = {"names": list(map(str, range(classes))), "colours": colours, "noun": "label", "note": "label"}
    return Painted(name, known.astype(np.uint8), legend)


def by_cluster(name: str, checkpoint: Checkpoint, grouping: Grouping, these: Shown) -> Painted:
    """Each cluster in the colour of its label, further ones of that label in lighter and darker shades."""
    found = learned_clusters.clusters(checkpoint, grouping).value
    label = found.labels["majority"]
    names = [f"{k} ({label[k]})" for k in range(len(label))]
    seen: dict[int, int] = {}
    colours = []
    for k in label.tolist():
        colours.append(figures_learned.shaded(figures.CLASSES[k % len(figures.CLASSES)], seen.get(k, 0)))
        seen[k] = seen.get(k, 0) + 1
    legend = {"names": names, "colours": colours, "noun": "cluster", "note": "cluster (its label, by majority)"}
    return Painted(name, found.of(these.split)[these.places].astype(np.uint8), legend)


def by_error(name: str, checkpoint: Checkpoint, grouping: Grouping, these: Shown) -> Painted:
    found = learned_clusters.clusters(checkpoint, grouping).value
    guess = found.labels["majority"][found.of(these.split)[these.places]]
    wrong = guess != learned.labels(these.dataset, these.rows)
    names = [f"right ({int((~wrong).sum()):,})", f"wrong ({int(wrong.sum()):,})"]
    note = "the cluster's label, by majority, is the image's own or not"
    legend = {"names": names, "colours": [figures.SKY, figures.VERMILION], "noun": "those", "note": note}
    return Painted(name, wrong.astype(np.uint8), legend)


def by_number(name: str, values: np.ndarray, what: str) -> Painted:
    low, high = np.quantile(values, [FARTHEST, 1 - FARTHEST])
    steps = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    ends = [f"{end:.3g}".replace("-", "\N{MINUS SIGN}") for end in (low, high)]
    legend = {"ramp": list(figures_learned.RAMP), "ends": ends, "note": what}
    return Painted(name, np.round(255 * steps).astype(np.uint8), legend)


# ---- numbers


def measured(checkpoint: Checkpoint, kind: str, split: str) -> np.ndarray:
    """KL or uncertainty of each image of a split [N]; they are prepared before."""
    if kind == "uncertainty" and not is_gpvae(checkpoint):
        return 2 * np.log(np.maximum(learned.coded(checkpoint, split)[1], 1e-30)).mean(1)
    return np.concatenate([np.concatenate(_numbers(checkpoint.digest, kind, part)) for part in learned.parts(split)])


def prepare(checkpoint: Checkpoint, kind: str, split: str, report: Report = lambda share: None) -> None:
    """Compute the numbers that are missing, portion by portion."""
    if kind == "kl" and refined(checkpoint):
        raise ValueError(f"{checkpoint.name} refines each q(z|x) step by step: its KL takes too long for a page.")
    if kind not in ("kl", "uncertainty") or (kind == "uncertainty" and not is_gpvae(checkpoint)):
        return
    vae = session.model(checkpoint.digest, checkpoint.folder)
    for part in learned.parts(split):
        found = _numbers(checkpoint.digest, kind, part)
        portions = learned.part(checkpoint.dataset, part).images.split(learned.PORTION)
        while len(found) < len(portions):
            report(len(found) / len(portions))
            with session.computing():
                found.extend(number(vae, kind, x) for x in portions[len(found) :][:1])


def number(vae: object, kind: str, x: "Tensor") -> np.ndarray:
    import torch

    from vaecore import evaluation

    torch.manual_seed(0)
    if kind == "kl":
        return evaluation.divergences(vae, x, DRAWS).numpy()
    return sum(vae.encoder.uncertainty(x)).numpy()


@st.cache_resource(max_entries=32, show_spinner=False)
def _numbers(digest: str, kind: str, part: str) -> list[np.ndarray]:  # noqa: ARG001
    return []


def refined(checkpoint: Checkpoint) -> bool:
    return session.model(checkpoint.digest, checkpoint.folder).refine is not None


def is_gpvae(checkpoint: Checkpoint) -> bool:
    return hasattr(session.model(checkpoint.digest, checkpoint.folder).encoder, "uncertainty")


WHAT = {
    "kl": lambda checkpoint: "KL(q(z|x) || p(z)), nats",
    "uncertainty": lambda checkpoint: (
        "Tr V(f) + Tr V(h)" if is_gpvae(checkpoint) else "mean log variance of q(z|x) over z's dimensions"
    ),
}
