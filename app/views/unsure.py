"""Where is it unsure? A GPVAE's uncertainty over a whole test set, against what is really wrong there."""

import streamlit as st

from app import choices, computed, panels, rows, session, survey
from app.notes.unsure import NOTES

head, chooser = st.columns([2, 1], vertical_alignment="bottom")
head.header("Where is it unsure?", anchor=False)
head.caption(
    "A GPVAE says of each image how unsure its encoder is. Here every test image's uncertainty stands against the "
    "exact answer: how wrong the encoder is, and how far the true posterior is from a Gaussian."
)
with chooser:
    with st.spinner("Looking for checkpoints"):
        found = session.checkpoints()
    checkpoint = choices.checkpoint(found)
panels.problems(found)
if checkpoint is None or checkpoint.latent != 2:
    panels.nothing_to_show(checkpoint)
    st.stop()
rows.open_what_was_clicked(checkpoint)

with panels.sentences():
    with st.spinner("Opening the checkpoint"):
        known = survey.survey(checkpoint)
        images, sentence = session.images(checkpoint)
    if checkpoint.label != rows.GPVAE:
        rows.no_ranking(checkpoint, found)
    if images is None:
        rows.no_images(checkpoint, sentence)
    done = known.exact if known else 0
    add_duration = rows.analysis(checkpoint, done, done if images is None else len(images))
    if known is not None and len(known.rows) >= rows.FEWEST:
        rows.everything(checkpoint, known, images is not None)
    if add_duration is not None:
        add_duration()
computed.explain(NOTES)
