"""The canvas and the upload, and the images whose codes are nearest. The canvas' script lies in app/components."""

from collections.abc import Callable

import streamlit as st

from app import figures, own
from app.own import Material
from app.widgets import declared

_EASEL = declared("easel", "easel", ("circle",))


def easel(
    material: Material | None,
    shape: tuple[int, ...],
    background: float,
    place: dict | None,
    keep: Callable[[object], None],
) -> None:
    """A canvas that shows `material` where its own drawing is not the newest, and hands over each stroke.

    `place`, where the encoder puts it, is passed on to the latent map at once, before the picture is there.
    """
    turn, pixels = st.session_state.setdefault("own_turn", 0), ""
    if material is not None:
        ink = material.pixels.mean(-1)
        if material.ready and background > 0.5:
            ink = 1 - ink  # the canvas is dark: the first step turns it
        pixels = figures.data_uri(ink[None])
    data = {
        "turn": turn,
        "pixels": pixels,
        "place": place,
        "size": own.DRAWN,
        "brush": max(1.25, 2.4 * shape[2] / 28) / shape[2],  # as thick as MNIST's strokes, a share of the width
    }
    _EASEL(key="easel", data=data, on_drawn_change=lambda: keep(st.session_state["easel"]["drawn"]))


def upload(keep: Callable[[object], None]) -> None:
    """A picture from the visitor's disk; taking it away takes its picture away."""

    def changed() -> None:
        file = st.session_state["own_file"]
        keep(None if file is None else file.getvalue())

    # Any kind of file: what it is is found out from its content, and said in a sentence.
    st.file_uploader("Your picture", key="own_file", max_upload_size=own.MEGABYTES, on_change=changed)
