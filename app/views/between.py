"""What lies between? Ways from one image to another, and what the prior makes of them."""

import streamlit as st

from app import (
    between,
    between_choice,
    between_chosen,
    between_page,
    between_plane,
    choices,
    computed,
    holes,
    holes_chosen,
    panels,
    session,
    widgets,
)
from app.notes.between import NOTES

head, chooser = st.columns([2, 1], vertical_alignment="bottom")
head.header("What lies between?", anchor=False)
head.caption(
    "On the way from one image's code to another's the decoder draws what lies between. Where log p(z) falls, the "
    "prior says that no data live there: a learned prior can see such valleys, N(0, I) sees only the distance from 0."
)
with chooser:
    with st.spinner("Looking for checkpoints"):
        found = session.checkpoints()
    holes_chosen.preferred(found)
    checkpoint = choices.checkpoint(found)
    with panels.sentences():
        others = holes_chosen.others(found, checkpoint) if checkpoint else []
panels.problems(found)
if checkpoint is None:
    panels.nothing_to_show(None)
    st.stop()

with panels.sentences():
    with st.spinner("Finding where the test images lie, once for these checkpoints"):
        entries = [holes.entry(one) for one in (checkpoint, *others)]
        codes = [between.codes(entry.checkpoint) for entry in entries]
    images, sentence = session.images(checkpoint)
    if images is None:
        panels.missing(checkpoint, sentence, any(one.from_prior for one in codes))
    count = min(len(one.loc) for one in codes)
    between_choice.few(entries, count)
    between_chosen.read_link(count)
    alone = between_choice.alone(checkpoint, found)
    between_page.explore(entries, images is not None, count, alone)
    if checkpoint.latent == 2:
        widgets.send_codes(between_plane.cloud(checkpoint, codes[0]), codes[0])
computed.explain(NOTES)
