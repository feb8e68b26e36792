"""Samples of the priors beside their nearest training images, and how the page's numbers are computed."""

from collections.abc import Callable
from html import escape

import streamlit as st

from app import between, between_words
from app.between_priors import ACROSS, DOWN, Samples
from app.between_priors import samples as drawn
from app.holes import Entry
from app.plain import plain
from vaecore.text import counted


def samples(entries: list[Entry], names: dict[str, str], seed: int, draw_others: Callable, key: str) -> None:
    """Draws of each prior, and the training images nearest to the last column."""
    title, button = st.columns([5, 1], vertical_alignment="bottom")
    title.subheader("Samples of the priors", anchor=False)
    with button.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button("Draw others", key=key, on_click=draw_others)
        st.caption(f"seed {seed}", width="content")
    with st.spinner("Drawing from the priors, and looking for the nearest training images"):
        found = [progress(entry, seed, names) for entry in entries]
    near = found[0].nearest is not None
    said = "Drawn from p(z) and decoded; nothing is picked by hand."
    if near:
        said += " Right of the gap: the training image nearest to the last sample of its row, pixel by pixel."
    else:
        said += f" The training images, to set the nearest beside them, are not on this computer: {found[0].missing}"
    st.caption(said)
    for start in range(0, len(found), 3):
        group = list(zip(entries, found, strict=True))[start : start + 3]
        for column, (entry, one) in zip(st.columns(3, gap="medium"), group, strict=False):
            column.html(sample_grid(between_words.prior(entry, names), one))


def progress(entry: Entry, seed: int, names: dict[str, str]) -> Samples:
    """The samples of one prior, with a bar while a decoder draws them pixel after pixel."""
    if not between.pixelwise(entry):
        return drawn(entry, seed)
    place = st.empty()
    text = f"Drawing samples of {plain(between_words.prior(entry, names))}, pixel after pixel"
    found = drawn(entry, seed, lambda share: place.progress(share, text=text))
    place.empty()
    return found


def sample_grid(name: str, found: Samples) -> str:
    texts = (
        f"{counted(DOWN * ACROSS, 'sample')} of {name}",
        f"Nearest training images: {found.indices}",
    )
    images = "".join(
        f"<img style='flex: {columns}' src='{uri}' alt='{escape(text)}'>"
        for uri, text, columns in zip(found.pictures, texts, (ACROSS, 1), strict=False)
    )
    return f"<figure class='dreams'><figcaption>{escape(name)}</figcaption><div>{images}</div></figure>"
