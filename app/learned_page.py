"""The part of the page of codes that a selection draws anew: the maps, and what is selected."""

from dataclasses import dataclass

import numpy as np
import streamlit as st

from app import (
    learned_choice,
    learned_chosen,
    learned_clusters,
    learned_colours,
    learned_later,
    learned_map,
    learned_selection,
    learned_widgets,
    learned_words,
    panels,
)
from app.learned_chosen import Selection
from app.learned_colours import COLOURS, Colour, Painted
from app.learned_later import Work
from app.learned_map import Map, Shown, View
from app.session import Checkpoint
from vaecore.text import counted


@dataclass(frozen=True, eq=False)
class Scene:
    """The maps that are shown: which images, of which checkpoints (all, by name), where and in what colour."""

    checkpoints: list[Checkpoint]
    names: dict[str, str]
    view: View
    colour: Colour
    these: Shown
    maps: dict[str, Map]
    colours: dict[str, Painted]

    @property
    def shown(self) -> list[Checkpoint]:
        return [one for one in self.checkpoints if one.name in self.maps]


def maps(checkpoints: list[Checkpoint], names: list[str], view: View, colour: Colour) -> None:
    """The maps that are there, with what they need, and beside them what is selected."""
    these = learned_map.shown(checkpoints, view)
    found = learned_choice.embedded(checkpoints, view, these)
    shown = [one for one in checkpoints if one.name in found]
    if not shown:
        return
    if colour.kind in ("cluster", "error"):
        shown, works = clustered(shown, colour)
        if not all(work.done for work in works):
            learned_later.follow(works, "Clustering the codes, by which the map is coloured")
            return
        found = {one.name: found[one.name] for one in shown}
        if not shown:
            return
    colours = {one.name: learned_colours.painted(one, colour, these) for one in shown}
    named = dict(zip((one.name for one in checkpoints), names, strict=True))
    explore(Scene(checkpoints, named, view, colour, these, found, colours))
    st.html(HIDDEN)
    with st.container(key="learned_parcels"):
        learned_widgets.send_all(these, list(found.values()), list(colours.values()))
        learned_widgets.courier(these.dataset)


def clustered(checkpoints: list[Checkpoint], colour: Colour) -> tuple[list[Checkpoint], list[Work]]:
    """Those whose codes have clusters, and their work; the others say why they have none."""
    works = {}
    for one in checkpoints:
        with panels.sentences():
            works[one.name] = learned_clusters.clusters(one, colour.grouping)
    return [one for one in checkpoints if one.name in works], list(works.values())


# What only carries numbers takes no room.
HIDDEN = "<style>.st-key-learned_parcels { position: absolute; width: 1px; height: 1px; overflow: hidden; }</style>"


@st.fragment
def explore(scene: Scene) -> None:
    chosen, these = st.session_state.get("learned_select"), scene.these
    mask = learned_chosen.selected(chosen, scene.checkpoints, scene.view, scene.colour, these)
    picture, side = st.columns([1.75, 1], gap="medium")
    with picture:
        draw(scene, chosen, mask)
    with side:
        learned_selection.panel(these, mask)
    if mask is not None and mask.any():
        with panels.sentences():
            names = [scene.names[one.name] for one in scene.shown]
            learned_selection.pictures(scene.shown, names, these.dataset, these.rows[mask])
    learned_chosen.write_address(scene.checkpoints)


def draw(scene: Scene, chosen: Selection | None, mask: np.ndarray | None) -> None:
    what, these = COLOURS[scene.colour.kind], scene.these
    entries = [
        learned_choice.panel(one, scene.names[one.name], scene.maps[one.name], scene.colours[one.name], what)
        for one in scene.shown
    ]
    places = [scene.checkpoints.index(one) for one in scene.shown]
    sources = [scene.maps[one.name].source for one in scene.shown]
    learned_widgets.scatter(
        these, entries, sent(chosen, places), mask, lambda said: select(said, places, sources, scene.colour.kind)
    )
    way = scene.view.method if any(one.latent > 2 for one in scene.shown) else "z"
    st.caption(f"{counted(len(these.rows), 'image')}. {learned_words.WAYS[way]}")


def sent(chosen: Selection | None, places: list[int]) -> dict | None:
    """A selection as the browser knows it: its panels are those that are there."""
    if chosen is None or chosen.panel not in places:
        return None
    return chosen._replace(panel=places.index(chosen.panel)).sent()


def select(said: object, places: list[int], sources: list[str], colour: str) -> None:
    """Keep what the browser says was selected; what comes from a browser is not trusted."""
    panel = said.get("panel") if isinstance(said, dict) else None
    if not learned_chosen.whole(panel, 0, len(places) - 1):
        st.session_state["learned_select"] = None
        return
    source = colour if "category" in said else sources[panel]
    st.session_state["learned_select"] = learned_chosen.made({**said, "panel": places[panel]}, source)
