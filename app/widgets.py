"""The two custom widgets: the latent map and the strip of thumbnails. Their scripts lie in app/components."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from app import figures
from app.session import Codes, Pick

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer


def declared(name: str, root: str, parts: tuple[str, ...] = ()) -> "ComponentRenderer":
    """A component of app/components; `parts` are further scripts, which the first one's functions call."""
    files = Path(__file__).parent / "components"
    js = "\n".join((files / f"{script}.js").read_text() for script in (name, *parts))
    css = (files / f"{name}.css").read_text()
    return st.components.v2.component(name, html=f'<div class="{root}"></div>', css=css, js=js)


_MAP, _STRIP = declared("latent_map", "map"), declared("thumbnails", "strip")


def send_codes(name: str, codes: Codes) -> None:
    """Hand the codes to the browser, where maps of that name find them: once, not at every click."""
    labels = "" if codes.labels is None else figures.packed(codes.labels, "u1")
    _MAP(key=f"codes-{name}", data={"cloud": name, "points": figures.packed(codes.loc, "f4"), "labels": labels})


def latent_map(
    name: str,
    pick: Pick,
    frame: figures.Frame | None,
    on_pick: Callable[[int], None],
    here: list[float] | None = None,
) -> None:
    """The map of the codes sent under `name`: the picked one, or `here`, ringed, the picture's frame drawn."""
    data = {"cloud": name, "chosen": pick.index, "frame": frame, "what": NAMES[pick.kind], "colours": figures.CLASSES}
    data["here"] = here
    _MAP(key="map", data=data, on_pick_change=lambda: on_pick(st.session_state["map"]["pick"]))


def strip(
    sprite: str,
    indices: list[int],
    labels: list[int | None],
    pick: Pick,
    on_pick: Callable[[int], None],
    key: str = "strip",
) -> None:
    """A row of small images, each a button."""
    data = {"sprite": sprite, "indices": indices, "labels": labels, "chosen": pick.index, "what": NAMES[pick.kind]}
    _STRIP(key=key, data=data, on_pick_change=lambda: on_pick(st.session_state[key]["pick"]))


def neighbours(
    sprite: str, indices: list[int], captions: list[str], what: str, on_pick: Callable[[int], None] | None
) -> None:
    """A row of small images with a caption each; they are buttons where there is an `on_pick`."""
    data = {"sprite": sprite, "indices": indices, "labels": [None] * len(indices), "chosen": -1, "what": what}
    data |= {"captions": captions, "inert": on_pick is None}
    _STRIP(key="nearest", data=data, on_pick_change=lambda: on_pick and on_pick(st.session_state["nearest"]["pick"]))


NAMES = {
    "image": "test image",
    "sample": "sample",
    "prior": "sample of the prior",
    "drawing": "your drawing",
    "upload": "your picture",
}
