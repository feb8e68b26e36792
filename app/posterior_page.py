"""The part of the posterior page that each choice draws anew: one image, seen by a checkpoint and its guests."""

import streamlit as st

from app import choices, comparison, keep, layers, own_choice, own_page, pad_widget, panels, pinned, session, wrong_rows
from app.session import Checkpoint, Codes, Pick


@st.fragment
def explore(checkpoint: Checkpoint, codes: Codes, images: bool, guests: list[Checkpoint]) -> None:
    """Choose an image, and see it; `images` is whether the test images are there."""
    with panels.sentences():
        pick = own_choice.pick(checkpoint, codes, images)
        write_address(checkpoint, pick, guests)
        if pick.blank:
            return
        with st.spinner("Decoding the latent plane, once for this checkpoint"):
            session.decoded(checkpoint, pick)
        show(checkpoint, codes, pick, guests)
        wrong_rows.section(checkpoint, codes, pick, images)


def write_address(checkpoint: Checkpoint, pick: Pick, guests: list[Checkpoint]) -> None:
    choices.write_address(
        checkpoint=checkpoint.name,
        **pick.address,
        z=pinned.text(pinned.place(checkpoint.digest)),
        **{"with": [guest.name for guest in guests]},
        hide=layers.hidden(),
        draw=choices.drawn(),
        **wrong_rows.address(),
    )


def show(checkpoint: Checkpoint, codes: Codes, pick: Pick, guests: list[Checkpoint]) -> None:
    """The picture, the pad over the map, the numbers; beneath them the guests and the nearest codes."""
    picture, places, numbers = st.columns([1.45, 1, 1.05], gap="medium")
    look = session.look(checkpoint.digest, pick, checkpoint)
    own_choice.let_the_map_follow(pick)
    with picture:
        shared, apart = comparison.visitors(checkpoint, guests)
        entries = [(checkpoint, look), *((guest, session.guest(guest, pick, checkpoint)) for guest in shared)]
        path, hidden = session.path(checkpoint.digest, pick, checkpoint), layers.hidden()
        present = [entry for entry, _ in entries] + apart
        names = dict(zip((entry.name for entry in present), panels.labels(present), strict=True))
        panels.picture(entries, path, names if guests else None, hidden)
        layers.choose(look, path)
        keep.view(entries, apart, names, pinned.place(checkpoint.digest), hidden)
    with numbers:
        panels.numbers(look, panels.colour(checkpoint, guests))
    with places:
        pad_widget.show(entries, names if guests else None)
        wrong_rows.latent_map(checkpoint, codes, look)
        keep.latent_map(checkpoint)
    if path is not None:
        comparison.path(path)
    if guests:
        comparison.show(entries, apart, names, pick)
    own_page.nearest(checkpoint, look)
