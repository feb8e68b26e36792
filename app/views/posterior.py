"""How wrong is the encoder? The true posterior of one image beside q(z|x)."""

import streamlit as st

from app import (
    choices,
    comparison,
    computed,
    keep,
    own_choice,
    own_page,
    pad_widget,
    panels,
    session,
    widgets,
    wrong_rows,
)
from app.notes.posterior import NOTES
from app.session import Checkpoint, Codes

head, chooser = st.columns([2, 1], vertical_alignment="bottom")
head.header("How wrong is the encoder?", anchor=False)
head.caption(
    "Shown an image x, the encoder answers with a density q(z|x). Here it lies over the true posterior p(z|x), "
    "computed exactly. Choose an image, draw one, or bring your own."
)
with chooser:
    with st.spinner("Looking for checkpoints"):
        found = session.checkpoints()
    checkpoint = choices.checkpoint(found)
    guests = choices.guests(found, checkpoint) if checkpoint is not None and checkpoint.latent == 2 else []
panels.problems(found)
if checkpoint is None or checkpoint.latent != 2:
    panels.nothing_to_show(checkpoint)
    st.stop()


@st.fragment
def explore(checkpoint: Checkpoint, codes: Codes, images: bool, guests: list[Checkpoint]) -> None:
    with panels.sentences():
        pick = own_choice.pick(checkpoint, codes, images)
        place, guest_names = choices.place_text(choices.place(checkpoint.digest)), [guest.name for guest in guests]
        chosen = {"checkpoint": checkpoint.name, **pick.address, "z": place, "with": guest_names}
        choices.write_address(**chosen, draw=choices.drawn(), **wrong_rows.address())
        if pick.blank:
            return
        with st.spinner("Decoding the latent plane, once for this checkpoint"):
            session.decoded(checkpoint, pick)
        picture, places, numbers = st.columns([1.45, 1, 1.05], gap="medium")
        own_page.draft(checkpoint, pick, picture, numbers)
        host = checkpoint, session.look(checkpoint.digest, pick, checkpoint)
        with picture:
            shared, apart = comparison.visitors(checkpoint, guests)
            entries = [host, *((guest, session.guest(guest, pick, checkpoint)) for guest in shared)]
            path = session.path(checkpoint.digest, pick, checkpoint)
            present = [entry for entry, _ in entries] + apart
            names = dict(zip((entry.name for entry in present), panels.labels(present), strict=True))
            panels.picture(entries, path, names if guests else None)
            keep.view(entries, apart, names, choices.place(checkpoint.digest))
        with numbers:
            panels.numbers(host[1], panels.colour(checkpoint, guests))
        with places:
            pad_widget.show(entries, names if guests else None)
            wrong_rows.latent_map(checkpoint, codes, host[1])
            keep.latent_map(checkpoint)
        if path is not None:
            comparison.path(path)
        if guests:
            comparison.show(entries, apart, names, pick)
        own_page.nearest(checkpoint, host[1])
        wrong_rows.section(checkpoint, codes, pick, images)


with panels.sentences():
    with st.spinner("Finding where the test images lie, once for this checkpoint"):
        codes = session.prepared(checkpoint)
    images, sentence = session.images(checkpoint)
    if images is None:
        panels.missing(checkpoint, sentence, codes.from_prior)
    choices.read_link(len(codes.loc))
    own_choice.read_link(checkpoint)
    choices.read_draw()
    choices.read_place(checkpoint.digest)
    wrong_rows.read_link(checkpoint, codes)
    explore(checkpoint, codes, images is not None, guests)
    widgets.send_codes(checkpoint.digest, codes)
    pad_widget.send(checkpoint)
computed.explain(NOTES)
