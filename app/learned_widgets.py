"""The scatter of the page of codes: its numbers, sent once; its small images, fetched where the pointer rests."""

from collections.abc import Callable

import numpy as np
import streamlit as st

from app import figures, learned, widgets
from app.learned_colours import Painted
from app.learned_map import Map, Shown

FETCHED = 64  # images at once, at most

_SCATTER = widgets.declared("scatter", "scatter", ("scatter_paint", "scatter_hands", "ramp", "circle", "words"))


def send(name: str, kind: str, numbers: np.ndarray) -> None:
    """Hand numbers to the browser, where maps find them by their name: once, not at every change."""
    _SCATTER(key=f"parcel-{name}", data={"parcel": name, "kind": kind, "numbers": figures.packed(numbers, kind)})


def send_all(these: Shown, maps: list[Map], colours: list[Painted]) -> None:
    """What the maps of these images need, each thing once."""
    send(f"rows-{these.name}", "u4", these.rows)
    known = learned.labels(these.dataset, these.rows)
    if known is not None:
        send(f"labels-{these.name}", "u1", known)
    for name, places in {one.name: one.places for one in maps}.items():
        send(name, "u2", places)
    for name, values in {one.name: one.values for one in colours}.items():
        send(name, "u1", values)


def scatter(
    these: Shown, panels: list[dict], selection: dict | None, mask: np.ndarray | None, on_select: Callable
) -> None:
    """The maps side by side; `on_select` is called with what the browser says was selected."""
    data = {
        "rows": f"rows-{these.name}",
        "labels": f"labels-{these.name}",
        "set": these.dataset,
        "tests": learned.sizes(these.dataset)[0],
        "what": "training image",
        "panels": panels,
        "selection": selection if mask is not None else None,
        "mask": figures.packed(np.packbits(mask), "u1") if mask is not None else "",
        "count": int(mask.sum()) if mask is not None else 0,
    }
    _SCATTER(
        key="scatter",
        data=data,
        on_selection_change=lambda: on_select(st.session_state["scatter"]["selection"]),
    )


@st.fragment
def courier(dataset: str) -> None:
    """Brings the small images that a map asks for. A fragment of its own, so that nothing else is drawn anew."""
    rows = wanted(dataset)
    sprite = figures.sprite(learned.images(dataset, np.array(rows)).numpy()) if rows else ""
    _SCATTER(
        key="courier",
        data={"courier": True, "set": dataset, "rows": rows, "sprite": sprite},
        on_want_change=lambda: st.session_state.update(learned_want=st.session_state["courier"]["want"]),
    )


def wanted(dataset: str) -> list[int]:
    """The numbers of the images that the browser asks for, which is not trusted."""
    said, most = st.session_state.get("learned_want"), sum(learned.sizes(dataset))
    rows = said.get("rows") if isinstance(said, dict) and said.get("set") == dataset else None
    if not isinstance(rows, list):
        return []
    return [row for row in rows[:FETCHED] if isinstance(row, int) and not isinstance(row, bool) and 0 <= row < most]
