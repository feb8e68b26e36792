"""What a person can carry away: figures as PNG and SVG, numbers as CSV, the whole view as one HTML file, the link."""

import re
from collections.abc import Collection

import streamlit as st

from app import offline, session, sheet, widgets
from app.pad import Entries
from app.session import Checkpoint

_KEEP = widgets.declared("keep", "keep")


def view(
    entries: Entries,
    apart: list[Checkpoint],
    names: dict[str, str],
    z: tuple[float, float] | None = None,
    hidden: Collection[str] = (),
) -> None:
    """A row of buttons that keep the view of one image. Files are made when they are asked for.

    The `entries` share the large picture; checkpoints `apart` have pictures of their own; z is what is pinned, and
    layers may be `hidden`.
    """
    checkpoint, look = entries[0]
    name = file_name(f"{checkpoint.name}-{look.pick}")

    def others() -> Entries:
        return [(guest, session.guest(guest, look.pick, checkpoint)) for guest in apart]

    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="keep_view"):
        st.caption("Keep this view", width="content")
        with st.container(width="content"):
            _KEEP(key="keep", data={"figure": "picture", "name": name})
        kept = {"on_click": "ignore", "width": "content"}
        numbers, page = (
            lambda: sheet.numbers(entries + others()),
            lambda: offline.page(entries, others(), names, z, hidden),
        )
        st.download_button("CSV", numbers, f"{name}.csv", "text/csv", help=CSV, key="keep_csv", **kept)
        st.download_button("HTML", page, f"{name}.html", "text/html", help=HTML, key="keep_html", **kept)


def latent_map(checkpoint: Checkpoint) -> None:
    """A row of buttons that keep the latent map, which is drawn in the browser."""
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="keep_the_map"):
        st.caption("Keep this map", width="content")
        with st.container(width="content"):
            _KEEP(key="keep_map", data={"own": "latent map", "name": file_name(f"{checkpoint.name}-map")})


def every_figure() -> None:
    """All figures of the page on the screen, each as PNG and SVG."""
    _KEEP(key="keep_every", data={"every": True})


def file_name(text: str) -> str:
    """`text`, which may name a stranger's checkpoint, as part of a file's name."""
    return re.sub(r"[^\w.-]+", "-", text, flags=re.ASCII).strip(".-")[:120] or "view"


CSV = "Keep the numbers of this image, for every checkpoint shown, with all their digits"
HTML = "Keep this view as one file that works without a net: picture, numbers, model card and the latent pad"
