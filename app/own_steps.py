"""The way from what the visitor brought to what the model sees: a small picture for each step, and its switch."""

from html import escape

import numpy as np
import streamlit as st

from app import figures, own
from app.own import Convention, Material
from app.plain import plain
from app.session import Checkpoint

OFFERED = {"drawing": ("centre", "binarise"), "upload": tuple(own.STEPS)}
MEANING = {
    "original": "as it came",
    "grey": "grey",
    "size": "{} x {} pixels",
    **own.STEPS,
}


def show(material: Material, kind: str, checkpoint: Checkpoint, known: Convention) -> np.ndarray:
    """Draw the steps and their switches; what the model gets, uint8 [C, H, W]."""
    if material.ready:
        switched = dict.fromkeys(own.STEPS, False)
    else:
        switched = switches(material, kind, checkpoint, known)
    shown, levels = own.steps(material, checkpoint.shape, known, switched)
    row(shown if not material.ready or len(shown) > 2 else shown[-1:], checkpoint.shape, material.ready)
    for note in material.notes:
        st.caption(plain(note))
    if known.binary and not material.ready:
        st.caption(
            f"{plain(checkpoint.name)} was trained on binary pixels: without the last step it sees greys it never saw."
        )
    return levels


def switches(material: Material, kind: str, checkpoint: Checkpoint, known: Convention) -> dict[str, bool]:
    """Which steps are taken: those that the material needs, until the visitor says otherwise."""
    wanted, chosen = own.usual(material, checkpoint.shape, known), dict.fromkeys(own.STEPS, False)
    with st.container(horizontal=True, gap="medium"):
        for name in OFFERED[kind]:
            # A key for each default: another picture, or data set, may need other steps.
            key = f"own_{kind}_{name}_{wanted[name]}"
            chosen[name] = st.checkbox(own.STEPS[name].capitalize(), wanted[name], key=key, persist_state="session")
    return chosen


def row(shown: list[tuple[str, np.ndarray]], shape: tuple[int, ...], ready: bool) -> None:
    parts = []
    for name, pixels in shown:
        said = "from the link, as the model saw it" if ready and len(shown) == 1 else MEANING[name]
        said = said.format(shape[2], shape[1])
        uri = figures.data_uri(pixels.transpose(2, 0, 1))
        parts.append(f"<figure><img src='{uri}' alt='{escape(said)}'><figcaption>{escape(said)}</figcaption></figure>")
    st.html(f"{STYLE}<div class='steps' data-steps='{len(shown)}'>{'<b>&rarr;</b>'.join(parts)}</div>")


# What is being computed anew does not fade: to fade the page takes the browser longer than to draw it.
STYLE = """<style>
[data-stale] { opacity: 1 !important; transition: none !important; }
.steps { display: flex; flex-wrap: wrap; align-items: flex-start; gap: .5rem; }
.steps figure { margin: 0; width: 112px; }
.steps img { width: 112px; height: 112px; object-fit: contain; image-rendering: pixelated; border-radius: 4px; }
.steps img { border: 1px solid rgba(128, 140, 150, .45); background: rgba(128, 140, 150, .18); }
.steps figcaption { font-size: .76rem; line-height: 1.25; opacity: .8; }
.steps b { line-height: 112px; opacity: .5; font-weight: 400; }
@media (max-width: 640px) { .steps figure, .steps img { width: 84px; } .steps img { height: 84px; } }
@media (max-width: 640px) { .steps b { line-height: 84px; } }
</style>"""
