"""The custom widgets of the page of priors: its map, and a hundred small images in a square."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from app import widgets

COMPONENTS = Path(__file__).parent / "components"

_MAP = widgets.declared("prior_map", "field", ("circle", "words"))
_TILES = st.components.v2.component(
    "tiles",
    html='<div class="strip"></div>',
    css=(COMPONENTS / "tiles.css").read_text(),
    js=(COMPONENTS / "thumbnails.js").read_text(),
)


def send_field(name: str, data: dict) -> None:
    """Hand a map's picture and numbers to the browser, where maps of that name find them: once, not at every click."""
    _MAP(key=f"field-{name}", data={"field": name, **data})


def prior_map(name: str, data: dict, on_pick: Callable[[object], None]) -> None:
    """The map whose picture was sent under `name`, with what changes: the chosen z."""
    _MAP(
        key="prior_map",
        data={"field": name, **data},
        on_pick_change=lambda: on_pick(st.session_state["prior_map"]["pick"]),
    )


def tiles(sprite: str, count: int, chosen: int, on_pick: Callable[[object], None], key: str) -> None:
    """`count` images of a sprite, ten in a row, each a button."""
    data = {
        "sprite": sprite,
        "indices": list(range(count)),
        "labels": [None] * count,
        "chosen": chosen,
        "what": "low posterior sample",
    }
    _TILES(key=key, data=data, on_pick_change=lambda: on_pick(st.session_state[key]["pick"]))
