"""Whose posterior is shown: a test image by its number, a drawing, an uploaded picture, or a sample of the prior."""

import time
from collections.abc import Callable

import streamlit as st

from app import choices, own, own_looks, own_steps, own_widgets, panels
from app.plain import plain
from app.session import OWN, Checkpoint, Codes, Pick
from vaecore.text import counted

BEAT = 0.2  # seconds from an answer's first part, the place in the map, to its picture
SOURCES = {
    "image": "Test image",
    "sample": "Sample at a code",
    "drawing": "Draw",
    "upload": "Upload",
    "prior": "Prior sample",
}


def read_link(checkpoint: Checkpoint) -> None:
    """Take the drawing or the picture that a link carries; say so if it fits no image of this checkpoint."""
    for kind in OWN:
        text = choices.news(kind)
        if text is None:
            continue
        try:
            if len(text) > own.LINK:
                raise ValueError("The link carries a picture that is too long.")
            text = "" if text == own.NOTHING else text
            take(kind, own.sent(text, checkpoint.shape) if text else None)
        except ValueError as error:
            st.warning(f"{plain(error)} It is left out.")
            continue
        st.session_state["pick"] = Pick(kind, own.mark(text), text)


def take(kind: str, material: own.Material | None) -> None:
    """Keep what was brought, for the widgets to show."""
    state = st.session_state
    state[f"own_{kind}"] = material
    state["own_turn"] = state.get("own_turn", 0) + 1


def pick(checkpoint: Checkpoint, codes: Codes, images: bool) -> Pick:
    """Let the person choose; a blank pick where nothing was brought yet."""
    chosen = choices.pick(len(codes.loc), images)
    sources(chosen, images, len(codes.loc))
    if chosen.kind in OWN:
        chosen = brought(checkpoint, chosen.kind)
    elif chosen.numbered:
        panels.strip(checkpoint, codes, chosen)
    return chosen


def sources(chosen: Pick, images: bool, count: int) -> None:
    """The row that says whose posterior it is, and which one of them."""
    state = st.session_state
    offered = [kind for kind in SOURCES if kind != ("sample" if images else "image") or kind == chosen.kind]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        state["own_source"] = chosen.kind
        st.segmented_control(
            "Image",
            offered,
            key="own_source",
            required=True,
            format_func=SOURCES.get,
            on_change=lambda: change(state["own_source"], chosen),
        )
        if chosen.kind in OWN:
            return
        most = choices.SEEDS if chosen.kind == "prior" else count
        state["own_number"] = chosen.index
        st.number_input(
            "Seed" if chosen.kind == "prior" else f"Number, 0 to {most - 1:,}",
            min_value=0,
            max_value=most - 1,
            step=1,
            key="own_number",
            width=170,
            on_change=lambda: choices.choose(chosen.kind, state["own_number"]),
        )
        if chosen.kind == "prior":
            st.caption("z is drawn from p(z), then x from p(x|z): the star in the picture is that very z.")


def change(kind: str | None, before: Pick) -> None:
    """Another source: with what was chosen of it last."""
    state = st.session_state
    state["own_problem"], last = None, state.setdefault("own_last", {})
    last[before.kind] = before
    if kind in SOURCES:
        state["pick"] = last.get(kind, Pick(kind, 0))
        state["own_turn"] = state.get("own_turn", 0) + 1


def brought(checkpoint: Checkpoint, kind: str) -> Pick:
    """The canvas or the upload, the steps to what the model sees, and that as a pick."""
    if checkpoint.shape[0] not in (1, 3):
        st.info(
            f"Images of {counted(checkpoint.shape[0], 'channel')} can be neither drawn nor uploaded: 1 or 3 are needed."
        )
        return Pick(kind, 0)
    known = own_looks.convention(checkpoint.dataset, checkpoint.shape, checkpoint)
    material, (first, second) = st.session_state.get(f"own_{kind}"), st.columns([1, 2.9], gap="medium")
    with second:
        chosen = st.session_state["pick"] = seen(checkpoint, kind, material, known)
    with first:
        if kind == "upload":
            own_widgets.upload(received(kind, own.read))
        else:
            place = None if chosen.blank else own_looks.encoded(checkpoint.digest, chosen, checkpoint)
            own_widgets.easel(material, checkpoint.shape, known.background, place, received(kind, own.drawn))
            told(chosen)
    return chosen


def told(chosen: Pick) -> None:
    """Remember since when the browser knows where the encoder puts this drawing."""
    if (st.session_state.get("own_told") or (None,))[0] != chosen:
        st.session_state["own_told"] = chosen, time.monotonic()


def let_the_map_follow(chosen: Pick) -> None:
    """Wait until the browser has drawn that in the latent map: the picture keeps it busy for longer than a frame."""
    known, since = st.session_state.get("own_told") or (None, 0.0)
    if known == chosen:
        time.sleep(max(0.0, since + BEAT - time.monotonic()))


def seen(checkpoint: Checkpoint, kind: str, material: own.Material | None, known: own.Convention) -> Pick:
    """What the model sees of the material, as a pick; a blank one, and what to do, where there is none."""
    if problem := st.session_state.get("own_problem"):
        st.error(plain(problem))
    if material is None:
        st.info(HINTS[kind])
        return Pick(kind, 0)
    text = own.packed(own_steps.show(material, kind, checkpoint, known))
    if len(text) > own.LINK:
        st.caption("This picture is too large for the address: a copied link will not hold it.")
    return Pick(kind, own.mark(text), text)


def received(kind: str, read: Callable[[object], own.Material]) -> Callable[[object], None]:
    """What to do with what the browser sends, which is not trusted: keep it as material, or keep the sentence why not.

    A drawing without any ink is none.
    """

    def keep(content: object) -> None:
        state = st.session_state
        state["own_problem"] = None
        try:
            material = None if content is None else read(content)
        except ValueError as error:
            material, state["own_problem"] = None, str(error)
        if material is not None and kind == "drawing" and not material.pixels.any():
            material = None
        state[f"own_{kind}"] = material

    return keep


HINTS = {
    "drawing": "**Draw something**: with the mouse, a finger or a pen, or by the keyboard (arrow keys move the brush, "
    "Space sets it down and lifts it, Ctrl+Z undoes, Delete clears). After each stroke you see what the encoder makes "
    "of it, and what the true posterior is.",
    "upload": "**Upload a picture** of any size or colour: PNG, JPEG, WebP, BMP or GIF, at most 20 MB. It is read on "
    "the server that runs this page, shown as the model sees it, and not stored.",
}
