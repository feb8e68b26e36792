"""Reconstructions side by side and samples of the priors, drawn at random by a seed that is shown."""

import numpy as np
import streamlit as st

from app import (
    between,
    between_priors,
    between_rows,
    between_samples,
    holes,
    learned,
    learned_chosen,
    learned_later,
    learned_selection,
)
from app.plain import plain
from app.session import Checkpoint
from vaecore.text import counted

GROUPS, FEW = 32, 12  # images, and where a decoder draws pixel after pixel


@st.fragment
def triplets(checkpoints: list[Checkpoint], names: list[str]) -> None:
    """Test images, each with what every checkpoint makes of it: the paper's Figure 2."""
    seed = st.session_state["learned_draw"]
    title, button = st.columns([5, 1], vertical_alignment="bottom")
    title.subheader("What does it keep of an image?", anchor=False)
    with button.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button("Draw others", key="learned_redraw", on_click=learned_selection.draw_others, args=("learned_draw",))
        st.caption(f"seed {seed}", width="content")
    learned_chosen.write_address(checkpoints)
    dataset = checkpoints[0].dataset
    tests, count = learned.sizes(dataset)[0], FEW if any(map(between.draws_pixels, checkpoints)) else GROUPS
    rows = np.sort(np.random.default_rng(seed).choice(tests, min(tests, count), replace=False))
    with st.spinner("Reconstructing"):
        strips = learned_selection.together(checkpoints, dataset, rows)
    images, order = counted(len(rows), "test image"), " | ".join(["original", *names])
    st.caption(f"{images}, drawn at random; from left to right: {plain(order)}.")
    alt = f"{images} by seed {seed}, each beside its reconstructions by {', '.join(names)}"
    st.html(learned_selection.groups(strips, alt))


@st.fragment
def samples(checkpoints: list[Checkpoint], names: list[str]) -> None:
    """Samples of each prior: the paper's Figures 3 and 6."""
    learned_chosen.write_address(checkpoints)
    entries, seed = [holes.entry(one) for one in checkpoints], st.session_state["learned_samples"]
    works = [
        learned_later.fetch(
            ("samples", one.checkpoint.digest, seed), lambda report, one=one: between_priors.samples(one, seed, report)
        )
        for one in entries
    ]
    if not all(work.done for work in works):
        learned_later.follow(works, "Drawing from the priors, and looking for the nearest training images")
        return
    named = dict(zip((one.name for one in checkpoints), names, strict=True))
    st.html(between_rows.STYLE)
    between_samples.samples(
        entries, named, seed, lambda: learned_selection.draw_others("learned_samples"), "learned_resample"
    )
