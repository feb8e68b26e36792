"""The two custom widgets: the latent map and the strip of thumbnails. Their scripts lie in app/components."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from app import figures
from app.session import Codes, Pick
from vaecore.text import a

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer


def declared(name: str, root: str, parts: tuple[str, ...] = ()) -> "ComponentRenderer":
    """A component of app/components; `parts` are further scripts, which the first one's functions call."""
    files = Path(__file__).parent / "components"
    js = "\n".join((files / f"{script}.js").read_text() for script in (name, *parts))
    css = "\n".join((files / f"{sheet}.css").read_text() for sheet in ("common", name))
    return st.components.v2.component(name, html=f'<div class="root {root}"></div>', css=css, js=js)


_MAP = declared("latent_map", "map", ("latent_map_colours", "latent_map_file", "ramp", "svg_pen", "circle", "words"))
_STRIP = declared("thumbnails", "strip")


def send_codes(name: str, codes: Codes) -> None:
    """Hand the codes to the browser, where maps of that name find them: once, not at every click."""
    labels = "" if codes.labels is None else figures.packed(codes.labels, "u1")
    _MAP(key=f"codes-{name}", data={"cloud": name, "points": figures.packed(codes.loc, "f4"), "labels": labels})


def send_values(name: str, values: np.ndarray) -> None:
    """Hand a number for each code [N], NaN where there is none, to the browser, where a colour scale finds them."""
    _MAP(key=f"values-{name}", data={"colouring": name, "values": figures.packed(values, "f4")})


def latent_map(
    name: str, pick: Pick, frame: figures.Frame | None, on_pick: Callable[[int], None], besides: dict | None = None
) -> None:
    """The map of the codes sent under `name`: the picked one ringed, the picture's frame drawn.

    Its dots are coloured by label, or by the numbers sent under the name of a `scale` in `besides`. Of a pick below 0
    the place `here` there is ringed, and its `spread` drawn.
    """
    data = {"cloud": name, "chosen": pick.index, "frame": frame, "what": NAMES[pick.kind], "colours": figures.CLASSES}
    data |= besides or {}
    _MAP(key="map", data=data, on_pick_change=lambda: on_pick(st.session_state["map"]["pick"]))


def strip(
    sprite: str,
    indices: list[int],
    labels: list[int | None],
    pick: Pick,
    on_pick: Callable[[int], None],
    key: str = "strip",
    captions: list[str] | None = None,
) -> None:
    """A row of small images, each a button, with a line of text beneath if there are captions.

    Those of a pick that is none of the data set's are test images, none of which is chosen.
    """
    what, chosen = (pick.kind, pick.index) if pick.numbered else ("image", -1)
    said = [None if label is None else a(label) for label in labels]
    data = {"sprite": sprite, "indices": indices, "labels": said, "chosen": chosen, "what": NAMES[what]}
    data["captions"] = captions
    _STRIP(key=key, data=data, on_pick_change=lambda: on_pick(st.session_state[key]["pick"]))


def title(pick: Pick) -> str:
    """The picked image's name."""
    return NAMES[pick.kind] if pick.pixels else f"{NAMES[pick.kind]} {pick.index}"


NAMES = {
    "image": "test image",
    "sample": "sample",
    "prior": "sample of the prior",
    "drawing": "your drawing",
    "upload": "your picture",
}
