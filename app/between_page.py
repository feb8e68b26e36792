"""The part of the page of interpolations that each choice draws anew."""

import streamlit as st

from app import between, between_choice, between_chosen, between_plane, between_rows, between_samples, panels
from app.holes import Entry


@st.fragment
def explore(entries: list[Entry], images: bool, count: int, alone: str) -> None:
    """Controls, rows, planes and samples.

    Args:
        images: whether the test images are there.
        count: how many of them can be chosen.
        alone: what is said where no prior is learned.
    """
    shown = [entry.checkpoint for entry in entries]
    names = dict(zip((one.name for one in shown), panels.labels(shown), strict=True))
    with panels.sentences():
        with st.spinner("Looking for the deepest valleys"):
            pairs = between_chosen.rows(entries, between.codes(shown[0]), count)
        ways, rest = st.columns([1, 1], vertical_alignment="bottom")
        with ways:
            kind = between_chosen.path(entries)
        with rest:
            between_choice.controls(between_chosen.learned(entries), pairs, kind, names, count)
        shared = between_rows.scene(entries, names, kind, pairs, images)
        seed = st.session_state.setdefault("between_seed", 0)
        between_choice.choice(shared, shown[0], pairs, count, alone)
        with between_choice.patience(entries):
            between_rows.show(shared, pairs)
        between_chosen.write_address(shown, kind, pairs, seed)
        if shown[0].latent == 2:
            between_plane.planes(shared, shown[0], pairs, count)
        between_samples.samples(entries, names, seed, between_chosen.draw_others, "between_redraw")
