"""Which run the page "Train one" shows: `?run=NAME`."""

from typing import TYPE_CHECKING

import streamlit as st

from app import choices

if TYPE_CHECKING:
    from app.training import Standing


def run(found: "list[Standing]") -> "Standing | None":
    """The run that a link or a click asks for, else the first there is."""
    names = {one.folder.name: one for one in reversed(found)}
    asked = choices.news("run")
    if asked is not None and asked in names:
        choose(asked)
    elif asked:
        st.warning(f"The link asks for the run {asked[:60]!r}, which is not here.")
    name = st.session_state.get("train_run")
    return names.get(name) or (found[0] if found else None)


def choose(name: str) -> None:
    st.session_state["train_run"] = name
    st.session_state["train_playing"] = False
