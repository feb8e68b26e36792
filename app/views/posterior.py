"""How wrong is the encoder? The true posterior of one image beside q(z|x)."""

import streamlit as st

from app import (
    choices,
    computed,
    layers,
    own_choice,
    pad_widget,
    panels,
    pinned,
    posterior_page,
    session,
    widgets,
    wrong_rows,
)
from app.notes.posterior import NOTES

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

with panels.sentences():
    with st.spinner("Finding where the test images lie, once for this checkpoint"):
        codes = session.prepared(checkpoint)
    images, sentence = session.images(checkpoint)
    if images is None:
        panels.missing(checkpoint, sentence, codes.from_prior)
    choices.read_link(len(codes.loc))
    own_choice.read_link(checkpoint)
    choices.read_draw()
    pinned.read_link(checkpoint.digest)
    layers.read_link()
    wrong_rows.read_link(checkpoint, codes)
    posterior_page.explore(checkpoint, codes, images is not None, guests)
    widgets.send_codes(checkpoint.digest, codes)
    pad_widget.send(checkpoint)
computed.explain(NOTES)
