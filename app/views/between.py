"""What lies between? Ways from one image to another, and what the prior makes of them."""

import streamlit as st

from app import (
    between,
    between_choice,
    between_chosen,
    between_plane,
    between_rows,
    between_samples,
    choices,
    holes,
    holes_chosen,
    panels,
    session,
    widgets,
)
from app.holes import Entry

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


@st.fragment
def explore(entries: list[Entry], images: bool, count: int) -> None:
    names = dict(zip((e.checkpoint.name for e in entries), panels.labels([e.checkpoint for e in entries]), strict=True))
    with panels.sentences():
        with st.spinner("Looking for the deepest valleys"):
            pairs = between_chosen.rows(entries, between.codes(checkpoint), count)
        judge = between_chosen.learned(entries)
        ways, rest = st.columns([1, 1], vertical_alignment="bottom")
        with ways:
            kind = between_chosen.path(entries)
        with rest:
            between_choice.controls(judge, pairs, kind, names, count)
        shared = between_rows.scene(entries, names, kind, pairs, images)
        seed = st.session_state.setdefault("between_seed", 0)
        between_choice.choice(shared, checkpoint, pairs, count)
        with between_choice.patience(entries):
            between_rows.show(shared, pairs)
        between_chosen.write_address([checkpoint, *others], kind, pairs, seed)
        if checkpoint.latent == 2:
            between_plane.planes(shared, checkpoint, pairs, count)
        between_samples.samples(shared, seed)


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
    explore(entries, images is not None, count)
    if checkpoint.latent == 2:
        widgets.send_codes(between_plane.cloud(checkpoint, codes[0]), codes[0])
between_samples.explanation()
