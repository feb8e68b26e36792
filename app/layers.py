"""Which layers of the posterior's picture are drawn, a choice that stands in the address."""

import streamlit as st

from app import choices, figures
from app.plain import quoted
from app.session import Look

LAYERS = {
    "posterior": "true posterior",
    "q": "q(z|x)",
    "best": "best Gaussian",
    "path": "refinement",
    "truth": "true z",
}
HIDDEN, SHOWN = "hidden_layers", "shown_layers"  # in the session; in the address: hide


def read_link() -> None:
    """Take the layers that a link hides; say so if there is no such layer."""
    asked, state = choices.all_news("hide"), st.session_state
    state.setdefault(HIDDEN, [])
    if asked is None:
        return
    state[HIDDEN] = [layer for layer in LAYERS if layer in asked]
    if strange := [layer for layer in asked if layer not in LAYERS]:
        st.warning(f"The link hides {quoted(strange[0], 30)}; the layers are {', '.join(LAYERS)}.")


def hidden() -> list[str]:
    return st.session_state[HIDDEN]


def choose(look: Look, path: figures.Path | None) -> None:
    """Let the person hide and show the layers that the picture of this image has."""
    absent = {"path": path is None, "truth": look.truth is None}
    offered = [layer for layer in LAYERS if not absent.get(layer)]
    st.session_state[SHOWN] = [layer for layer in offered if layer not in hidden()]
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.caption("Layers", width="content")
        st.pills(
            "Layers of the picture",
            offered,
            selection_mode="multi",
            key=SHOWN,
            format_func=LAYERS.get,
            label_visibility="collapsed",
            on_change=change,
            args=(offered,),
            width="content",
        )


def change(offered: list[str]) -> None:
    """What is not offered now stays as it was."""
    state = st.session_state
    gone = {*offered} - {*state[SHOWN]} | {*hidden()} - {*offered}
    state[HIDDEN] = [layer for layer in LAYERS if layer in gone]
