"""The parts of the page of interpolations by which images and pairs are chosen."""

from contextlib import AbstractContextManager, nullcontext

import streamlit as st

from app import between, between_chosen, between_words, holes_chosen, panels, session, widgets
from app.between import Pair
from app.between_rows import Scene
from app.holes import Entry
from app.plain import plain
from app.session import Checkpoint, Codes, Pick
from vaecore.text import counted

LEARNED = ("rnvp-p", "rnvp-both", "vampprior")  # recipes


def few(entries: list[Entry], count: int) -> None:
    """Say so where not all test images can be chosen."""
    slow = [entry.checkpoint.name for entry in entries if between.slow(entry.checkpoint.digest, entry.checkpoint)]
    if slow and count == between.FEW:
        st.info(
            f"Only the first {counted(count, 'test image')} can be chosen: the posteriors of {plain(', '.join(slow))} "
            "are flows, whose means take long. `python -m vaecore analyse` stores them once."
        )


def controls(judge: Entry | None, pairs: list[Pair], kind: str, names: dict[str, str], count: int) -> None:
    """Search, sort, and images by their numbers."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        searches(judge, pairs, count)
        st.button(
            "Sort by valley",
            key="between_sort",
            icon=":material/sort:",
            disabled=judge is None or len(pairs) < 2,
            help=f"By the valley under {plain(between_words.prior(judge, names))}" if judge else None,
            on_click=between_chosen.order,
            args=(pairs, judge, kind),
        )
        st.text_input(
            "Images by number",
            key="between_text",
            placeholder="12, 45, 7",
            width=190,
            on_change=between_chosen.typed,
            args=(count, pairs),
        )
    if problem := st.session_state.pop("between_problem", ""):
        st.warning(plain(problem))


def searches(judge: Entry | None, pairs: list[Pair], count: int) -> None:
    for deepest, text, name in ((True, "Deepest valleys", "valley"), (False, "Smoothest ways", "smooth")):
        what = "with the deepest valleys" if deepest else "far apart and yet with the smoothest ways between"
        needs = "N(0, I) has no valley on any straight line: this needs a learned prior."
        st.button(
            text,
            key=f"between_find_{name}",
            icon=":material/search:",
            disabled=judge is None,
            help=f"Add {counted(between.FOUND, 'pair')} {what}, of 2,000 at random" if judge else needs,
            on_click=between_chosen.find,
            args=(deepest, judge, count, pairs),
        )


def alone(checkpoint: Checkpoint, found: dict[str, Checkpoint]) -> str:
    """What to do where no prior on the page is learned."""
    if any(entry.recipe in LEARNED and holes_chosen.fits(entry, checkpoint) for entry in found.values()):
        return 'Searching and sorting need a learned prior: choose one at "Compare with".'
    return (
        f"Searching and sorting need a learned prior (recipe {', '.join(LEARNED)}), and there is no such checkpoint "
        f"of this data set with D = {checkpoint.latent}."
    )


def choice(shared: Scene, checkpoint: Checkpoint, pairs: list[Pair], count: int, alone: str) -> None:
    """The strip of thumbnails, and what the next click does."""
    judge = between_chosen.learned(shared.entries)
    judged = f"Searched and sorted by {plain(between_words.prior(judge, shared.names))}." if judge else alone
    start, state = st.session_state.get("between_from"), st.session_state
    clicked = start if start is not None else state.get("between_clicked", -1)
    pick = Pick("image" if shared.images else "sample", clicked)
    few = Codes(shared.codes.loc[:count], None if shared.codes.labels is None else shared.codes.labels[:count])
    seed = state.setdefault("draw", 0)
    row, side = st.columns([10, 1.6], vertical_alignment="center")
    indices = panels.drawn(few, seed)
    labels = [None if few.labels is None else int(few.labels[index]) for index in indices]
    with row:
        sprite = session.thumbnails(checkpoint.digest, pick.kind, tuple(indices), checkpoint)
        widgets.strip(
            sprite, indices, labels, pick, lambda index: between_chosen.choose(index, count, pairs), "between_strip"
        )
    with side.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button("Draw others", key="redraw", on_click=lambda: state.update(draw=seed + 1))
        st.caption(f"seed {seed}", width="content")
    if start is None:
        st.caption(f"Click two images: the way between them becomes a new row. {judged}")
    else:
        st.caption(f"From {shared.title(start)}: click where to go.")


def patience(entries: list[Entry]) -> AbstractContextManager:
    """A word where decoders draw pixel after pixel."""
    if any(map(between.pixelwise, entries)):
        return st.spinner("Decoding pixel after pixel, once for each row", show_time=True)
    return nullcontext()
