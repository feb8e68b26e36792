"""What a person can carry away: figures as PNG and SVG, numbers as CSV, the whole view as one HTML file, the link."""

import re

import streamlit as st

from app import offline, sheet, widgets
from app.session import Checkpoint, Look

_KEEP = widgets.declared("keep", "keep")


def view(entries: list[tuple[Checkpoint, Look]], figure: str = "picture") -> None:
    """A row of buttons that keep the view of one image; `figure` is the key of its large picture.

    Files are made when they are asked for.
    """
    checkpoint, look = entries[0]
    name = file_name(f"{checkpoint.name}-{look.pick}")
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="keep_view"):
        st.caption("Keep this view", width="content")
        with st.container(width="content"):
            _KEEP(key="keep", data={"figure": figure, "name": name})
        kept = {"on_click": "ignore", "width": "content"}
        numbers, page = lambda: sheet.numbers(entries), lambda: offline.page(entries)
        st.download_button("CSV", numbers, f"{name}.csv", "text/csv", help=CSV, key="keep_csv", **kept)
        st.download_button("HTML", page, f"{name}.html", "text/html", help=HTML, key="keep_html", **kept)


def every_figure() -> None:
    """All figures of the page on the screen, each as PNG and SVG."""
    _KEEP(key="keep_every", data={"every": True})


def file_name(text: str) -> str:
    """`text`, which may name a stranger's checkpoint, as part of a file's name."""
    return re.sub(r"[^\w.-]+", "-", text, flags=re.ASCII).strip(".-")[:120] or "view"


CSV = "Keep the numbers of this image, for every checkpoint shown, with all their digits"
HTML = "Keep this view as one file that works without a net: picture, numbers, model card and the latent pad"
