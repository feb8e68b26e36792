"""The part of the page of codes that a selection draws anew: the maps, and what is selected."""

import streamlit as st

from app import (
    learned_choice,
    learned_chosen,
    learned_clusters,
    learned_colours,
    learned_later,
    learned_selection,
    learned_widgets,
    learned_words,
    panels,
)
from app.learned_colours import COLOURS, Colour, Painted
from app.learned_map import Map, Shown, View
from app.session import Checkpoint


def maps(checkpoints: list[Checkpoint], names: list[str], view: View, colour: Colour, these: Shown) -> None:
    """The maps that are there, with what they need, and beside them what is selected."""
    found = learned_choice.embedded(checkpoints, view, these)
    shown = [one for one in checkpoints if one.name in found]
    if not shown:
        return
    if colour.kind in ("cluster", "error"):
        works = [learned_clusters.clusters(one, colour.grouping) for one in shown]
        if not all(work.done for work in works):
            learned_later.follow(works, "Clustering the codes, by which the map is coloured")
            return
    colours = {one.name: learned_colours.painted(one, colour, these) for one in shown}
    named = dict(zip((one.name for one in checkpoints), names, strict=True))
    explore(checkpoints, named, view, colour, these, found, colours)
    st.html(HIDDEN)
    with st.container(key="learned_parcels"):
        learned_widgets.send_all(these, list(found.values()), list(colours.values()))
        learned_widgets.courier(these.dataset)


# What only carries numbers takes no room.
HIDDEN = "<style>.st-key-learned_parcels { position: absolute; width: 1px; height: 1px; overflow: hidden; }</style>"


@st.fragment
def explore(
    checkpoints: list[Checkpoint],
    names: dict[str, str],
    view: View,
    colour: Colour,
    these: Shown,
    found: dict[str, Map],
    colours: dict[str, Painted],
) -> None:
    shown = [one for one in checkpoints if one.name in found]
    chosen = st.session_state.get("learned_select")
    mask = learned_chosen.selected(chosen, checkpoints, view, colour, these)
    what = COLOURS[colour.kind]
    entries = [learned_choice.panel(one, names[one.name], found[one.name], colours[one.name], what) for one in shown]
    picture, side = st.columns([1.75, 1], gap="medium")
    with picture:
        places = [checkpoints.index(one) for one in shown]
        sources = [found[one.name].source for one in shown]
        learned_widgets.scatter(
            these, entries, sent(chosen, places), mask, lambda said: select(said, places, sources, colour.kind)
        )
        way = view.method if any(one.latent > 2 for one in shown) else "z"
        st.caption(f"{len(these.rows):,} images. {learned_words.WAYS[way]}")
    with side:
        learned_selection.panel(these, mask)
    if mask is not None and mask.any():
        with panels.sentences():
            learned_selection.pictures(shown, [names[one.name] for one in shown], these.dataset, these.rows[mask])
    learned_chosen.write_address(checkpoints)


def sent(chosen: learned_chosen.Selection | None, places: list[int]) -> dict | None:
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
