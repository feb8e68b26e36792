"""How wrong is the encoder? The true posterior of one image beside q(z|x)."""

import streamlit as st

from app import choices, comparison, computed, keep, pad_widget, panels, session, widgets, wrong_rows
from app.notes.posterior import NOTES
from app.session import Checkpoint, Codes

head, chooser = st.columns([2, 1], vertical_alignment="bottom")
head.header("How wrong is the encoder?", anchor=False)
head.caption(
    "Shown an image x, the encoder answers with a density q(z|x). Here it lies over the true posterior p(z|x), "
    "computed exactly. Choose an image in the strip or on the map."
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
    pick = choices.pick(len(codes.loc), images)
    with panels.sentences():
        panels.strip(checkpoint, codes, pick)
        with st.spinner("Decoding the latent plane, once for this checkpoint"):
            session.decoded(checkpoint, pick)
        host = checkpoint, session.look(checkpoint.digest, pick, checkpoint)
        picture, places, numbers = st.columns([1.45, 1, 1.05], gap="medium")
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
            pad_widget.show(checkpoint, host[1], panels.colour(checkpoint, guests))
            wrong_rows.latent_map(checkpoint, codes, host[1])
        chosen = {"checkpoint": checkpoint.name, pick.kind: str(pick.index)}
        place, guest_names = choices.place_text(choices.place(checkpoint.digest)), [guest.name for guest in guests]
        choices.write_address(**chosen, z=place, **{"with": guest_names}, draw=choices.drawn(), **wrong_rows.address())
        if path is not None:
            comparison.path(path)
        if guests:
            comparison.show(entries, apart, names, pick)
        wrong_rows.section(checkpoint, codes, pick, images)


with panels.sentences():
    with st.spinner("Finding where the test images lie, once for this checkpoint"):
        codes = session.prepared(checkpoint)
    images, sentence = session.images(checkpoint)
    if images is None:
        panels.missing(checkpoint, sentence, codes.from_prior)
    choices.read_link(len(codes.loc))
    choices.read_draw()
    choices.read_place(checkpoint.digest)
    wrong_rows.read_link(checkpoint, codes)
    explore(checkpoint, codes, images is not None, guests)
    widgets.send_codes(checkpoint.digest, codes)
    pad_widget.send(checkpoint)
computed.explain(NOTES)
