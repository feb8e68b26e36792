"""Where is the prior wrong? The prior against the codes of the training images."""

import streamlit as st

from app import (
    choices,
    computed,
    holes,
    holes_chosen,
    holes_lows,
    holes_plane,
    holes_rows,
    holes_shapes,
    panels,
    session,
)
from app.holes import Entry
from app.notes.prior import NOTES

head, chooser = st.columns([2, 1], vertical_alignment="bottom")
head.header("Where is the prior wrong?", anchor=False)
head.caption(
    "A VAE draws new images from its prior p(z). It learned to decode only where the codes of its training images lie, "
    "the density q(z). Here both stand against each other: where p(z) is high and q(z) is not, nobody has told the "
    "decoder what to draw."
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
def explore(entries: list[Entry], names: dict[str, str], seed: int) -> None:
    with panels.sentences():
        shown = holes_chosen.shown_map(entries, names) if checkpoint.latent == 2 else None
        if shown:
            with st.spinner("Summing the density of all codes over the plane, once for this checkpoint"):
                holes.field(shown)
        at = holes_chosen.place_now(shown)
        rank = at[1] if at[0] == "low" else -1
        if shown:
            holes_plane.plane(shown, entries, names, seed, at)
        holes_chosen.write_address([checkpoint, *others], shown, seed, at)
        title, button = st.columns([5, 1], vertical_alignment="bottom")
        title.subheader("Samples of the prior where no data lie", anchor=False)
        with button.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.button("Draw others", key="prior_redraw", on_click=holes_chosen.draw_others)
            st.caption(f"seed {seed}", width="content")
        holes_lows.low_samples(entries, names, seed, rank)
        if not shown:
            holes_lows.pairs(entries, names, seed, rank)


with panels.sentences():
    with st.spinner("Opening the checkpoints"):
        images, sentence = holes.images(checkpoint)
        entries = holes_rows.usable([checkpoint, *others])
    if images is None:
        holes_rows.no_images(checkpoint, sentence)
    elif entries:
        shown = [entry.checkpoint for entry in entries]
        names = dict(zip((entry.name for entry in shown), panels.labels(shown), strict=True))
        holes_chosen.read_place(checkpoint.latent)
        seed = holes_chosen.read_seed()
        holes_chosen.read_pairs()
        holes_rows.prepare(entries, seed)
        explore(entries, names, seed)
        holes_shapes.shapes(entries, names)
computed.explain(NOTES)
