"""What the person chose on the page of codes, kept in its address: map, colour, clusters, selection, seeds.

A selection is what was enclosed in one map, or one class of a legend: the address carries the line's corners, so that a
link selects the same images.
"""

from typing import NamedTuple

import numpy as np
import streamlit as st

from app import choices, learned_clusters, learned_map, session
from app.choices import Company
from app.learned import SPLITS
from app.learned_clusters import Grouping
from app.learned_colours import COLOURS, Colour, painted
from app.learned_map import METHODS, POINTS, Shown, View
from app.learned_selection import SEEDS
from app.plain import quoted
from app.session import Checkpoint

BESIDE = Company("learned_with", 3, choices.alike, "")
CORNERS, REACH = 60, 2 * learned_map.EXTENT  # of a line: how many, and how far from 0
# The address's names, where they are kept, and what they are at first.
NUMBERS = {"seed": (0, SEEDS), "k": (10, learned_clusters.MOST + 1), "kseed": (0, SEEDS), "draw": (0, SEEDS)}
NUMBERS |= {"pick": (0, SEEDS), "samples": (0, SEEDS), "lseed": (0, SEEDS)}
WORDS = {
    "split": tuple(SPLITS),
    "map": tuple(METHODS),
    "colour": tuple(COLOURS),
    "labels": ("100", "1000", "10000", "all"),
}
WORDS |= {"points": tuple(map(str, POINTS))}


class Selection(NamedTuple):
    """What was selected in a panel: the corners of a line in the map `source`, or a class of the colour `source`."""

    panel: int
    source: str
    body: tuple[tuple[int, int], ...] | int

    def sent(self) -> dict:
        """As the browser said it."""
        if isinstance(self.body, int):
            return {"panel": self.panel, "category": self.body}
        return {"panel": self.panel, "polygon": [list(corner) for corner in self.body]}

    def __str__(self) -> str:
        body = self.body if isinstance(self.body, int) else "~".join(f"{x}.{y}" for x, y in self.body)
        return f"{self.panel}_{self.source}_{body}"


def preferred(found: dict[str, Checkpoint]) -> None:
    """Where nothing was chosen yet: a checkpoint of the paper's systems, else one of more than two dimensions."""
    if "checkpoint" in st.session_state or "checkpoint" in st.query_params:
        return
    usable = [
        one for one in found.values() if not one.problem and one.dataset and not session.can_download(one.dataset)
    ]
    usable.sort(key=lambda one: (one.recipe not in ("mae", "lossy-vae", "resnet-af"), one.latent == 2))
    if usable:
        st.session_state["checkpoint"] = usable[0].name


def read_link() -> None:
    """Take what a link asks for; say so if there is no such thing."""
    for name, options in WORDS.items():
        choices.word(name, f"learned_{name}", options, options[0])
    for name, (first, end) in NUMBERS.items():
        choices.number(name, f"learned_{name}", first, end, learned_clusters.FEWEST if name == "k" else 0)
    state = st.session_state
    if (asked := choices.all_news("select")) is not None:
        state["learned_select"] = parsed(asked[-1]) if asked else None
        if asked and state["learned_select"] is None:
            st.warning(f"The link asks for the selection {quoted(asked[-1], 40)}, which cannot be read.")
    if (asked := choices.all_news("probe")) is not None:
        state["learned_probe"] = bool(asked)


def parsed(text: str) -> Selection | None:
    """A selection as the address has it; None if it is none."""
    panel, _, rest = text.partition("_")
    source, _, body = rest.partition("_")
    try:
        if source in COLOURS:
            return made({"panel": int(panel), "category": int(body)}, source)
        polygon = [[int(part) for part in corner.split(".")] for corner in body.split("~")]
        return made({"panel": int(panel), "polygon": polygon}, source)
    except ValueError:
        return None


def made(said: object, source: str) -> Selection | None:
    """A selection from what a browser or a link says, which is not trusted; None if it is none."""
    if not isinstance(said, dict) or not whole(said.get("panel"), 0, BESIDE.most):
        return None
    if whole(said.get("category"), 0, 255):
        return Selection(said["panel"], source, said["category"])
    polygon = said.get("polygon")
    if source not in ("z", *METHODS) or not isinstance(polygon, list) or not 3 <= len(polygon) <= CORNERS:
        return None
    if not all(isinstance(p, list) and len(p) == 2 and all(whole(v, -REACH, REACH) for v in p) for p in polygon):
        return None
    return Selection(said["panel"], source, tuple(map(tuple, polygon)))


def whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def selected(
    chosen: Selection | None, checkpoints: list[Checkpoint], view: View, colour: Colour, these: Shown
) -> np.ndarray | None:
    """Which of these images are selected, bool [n]; None where nothing is, or what it was selected in is gone."""
    if chosen is None or chosen.panel >= len(checkpoints):
        return None
    checkpoint = checkpoints[chosen.panel]
    if isinstance(chosen.body, int):
        if chosen.source in ("cluster", "error") and not learned_clusters.clusters(checkpoint, colour.grouping).done:
            return None
        known = painted(checkpoint, colour._replace(kind=chosen.source), these)
        return known.values == chosen.body if "names" in known.legend else None
    if (chosen.source == "z") != (checkpoint.latent == 2):
        return None
    source = these if chosen.source == "z" else learned_map.shown([checkpoint], view._replace(method=chosen.source))
    found = learned_map.map_of(
        checkpoint, view._replace(method="pca" if chosen.source == "z" else chosen.source), source
    )
    if found is None:
        return None
    return np.isin(these.rows, source.rows[within(found.places, chosen.body)])


def within(places: np.ndarray, polygon: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Which places [n, 2] lie in the polygon, by the even-odd rule in whole numbers, as the browser counts them."""
    x, y = places.astype(np.int64).T
    odd = np.zeros(len(x), bool)
    for (xi, yi), (xj, yj) in zip(polygon, (polygon[-1], *polygon[:-1]), strict=True):
        crossed = (yi > y) != (yj > y)
        side = (x - xi) * (yj - yi) - (xj - xi) * (y - yi)
        odd ^= crossed & ((side < 0) if yj > yi else (side > 0))
    return odd


def view() -> View:
    state = st.session_state
    method, points = state["learned_map"], int(state["learned_points"])
    return View(state["learned_split"], method, points, state["learned_seed"])


def colour() -> Colour:
    state = st.session_state
    return Colour(state["learned_colour"], Grouping(state["learned_k"], state["learned_kseed"]))


def write_address(checkpoints: list[Checkpoint]) -> None:
    """Make the address a link to what is on the screen; what is as at first is left out."""
    state = st.session_state
    words = {
        name: state[f"learned_{name}"] for name, options in WORDS.items() if state[f"learned_{name}"] != options[0]
    }
    numbers = {
        name: str(state[f"learned_{name}"]) for name, (first, _) in NUMBERS.items() if state[f"learned_{name}"] != first
    }
    chosen = state.get("learned_select")
    choices.write_address(
        checkpoint=checkpoints[0].name,
        **{"with": [one.name for one in checkpoints[1:]]},
        **words,
        **numbers,
        select=str(chosen) if chosen else [],
        probe="1" if state.get("learned_probe") else [],
    )
