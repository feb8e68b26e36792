"""The ways over a latent plane: the map of codes, to choose from, and each prior's log p(z)."""

from html import escape

import streamlit as st

from app import between, between_chosen, between_priors, between_words, figures_between, panels, widgets
from app.between import Pair
from app.between_rows import Scene
from app.figures_between import Way
from app.holes import Entry
from app.session import Checkpoint, Codes, Pick
from vaecore.text import counted

HEIGHTS = {2: 600, 3: 480}  # pixels, by how many maps stand side by side


def planes(shared: Scene, checkpoint: Checkpoint, pairs: list[Pair], count: int) -> None:
    """The map of codes, to choose from, and each prior's plane with the ways over it."""
    state = st.session_state
    start = state.get("between_from")
    st.subheader("The ways in the latent plane", anchor=False)
    maps = len(shared.entries) + 1
    across = 2 if maps in (2, 4) else 3
    columns = [column for _ in range(0, maps, across) for column in st.columns(across, gap="medium")]
    with columns[0]:
        st.html("<b style='font-size: .88rem'>The codes: click two</b>")
        clicked = state.get("between_clicked", 0) if start is None else start
        chosen = Pick("image" if shared.images else "sample", clicked)
        name = cloud(checkpoint, shared.codes)
        widgets.latent_map(name, chosen, None, lambda index: between_chosen.choose(index, count, pairs))
    for column, entry in zip(columns[1:], shared.entries, strict=False):
        with column:
            plane(shared, entry, pairs, HEIGHTS[across])
    straight = "" if shared.kind == "linear" else "; dotted: the straight lines"
    dots = counted(len(shared.codes.loc), "test code")
    if len(shared.codes.loc) > between_priors.DOTS:
        dots = f"{between_priors.DOTS:,} of {dots}"
    st.caption(
        f"Contours lie at drops of 1, 2, 4, 8, 16 and 32 nats from the peak of log p(z). Dots: {dots}{straight}."
    )


def plane(shared: Scene, entry: Entry, pairs: list[Pair], height: int) -> None:
    name, found = between_words.prior(entry, shared.names), between_priors.plane(entry.checkpoint.digest, entry)
    ways = [way(entry, number, pair, shared.kind) for number, pair in enumerate(pairs, 1)]
    st.html(f"<b style='font-size: .88rem'>log p(z), {escape(name)}</b>")
    figure = figures_between.plane_figure(found.axes, found.log_p, found.dots, ways, entry.kind != "standard")
    alt = f"Contours of log p(z), {name}, at drops of 1, 2, 4, 8, 16 and 32 nats. {spoken(shared, entry, pairs)}"
    key = f"plane-{entry.checkpoint.name}"
    st.plotly_chart(figure, key=key, height=height, config=panels.HIDE_BAR, alt=alt)


def spoken(shared: Scene, entry: Entry, pairs: list[Pair]) -> str:
    """The ways over a plane, each with its numbers."""
    strips = [between.log_prior(entry, pair, shared.kind) for pair in pairs]
    told = [", ".join(between_words.strip(log_p, between.depth(log_p)[0])) for log_p in strips]
    ways = [
        f"Way {number}, {shared.title(pair[0])} to {shared.title(pair[1])}: {said}."
        for number, (pair, said) in enumerate(zip(pairs, told, strict=True), 1)
    ]
    return " ".join(ways) or "No way over it."


def way(entry: Entry, number: int, pair: Pair, kind: str) -> Way:
    straight = None if kind == "linear" else between.path(entry, pair, "linear")
    return Way(number, between.path(entry, pair, kind), straight)


def cloud(checkpoint: Checkpoint, codes: Codes) -> str:
    """The name under which the browser keeps the codes: the map of another page may have more of them."""
    return f"{checkpoint.digest}-{len(codes.loc)}"
