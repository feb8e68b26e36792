"""Which run the page "Train one" shows: `?run=NAME`."""

from typing import TYPE_CHECKING

import streamlit as st

from app import choices, train_address
from app.plain import quoted

if TYPE_CHECKING:
    from app.training import Standing


def run(found: "list[Standing]") -> "Standing | None":
    """The run that a link or a click asks for, else the first there is."""
    names = {one.folder.name: one for one in reversed(found)}
    asked = choices.news("run")
    if asked is not None and asked in names:
        choose(asked)
    elif asked:
        st.warning(f"The link asks for the run {quoted(asked, 60)}, which is not here.")
    if (epoch := choices.news("epoch")) is not None:
        read_epoch(epoch)
    name = st.session_state.get("train_run")
    return names.get(name) or (found[0] if found else None)


def read_epoch(text: str) -> None:
    """The epoch that a link shows of a finished run; a run that has no pictures of it shows its last."""
    if text.isascii() and text.isdigit() and len(text) < 8:
        st.session_state["train_at"] = int(text)
    else:
        st.warning(f"The link asks for the epoch {quoted(text, 20)}; it is a whole number from 1.")


def write_address(name: str, last: int | None = None) -> None:
    """The run; the epoch that is shown of it where it is not the last; the form of a new run."""
    at = st.session_state.get("train_at")
    epoch = str(at) if last and at and at != last else ""
    choices.write_address(run=name, epoch=epoch, **train_address.written())


def choose(name: str) -> None:
    st.session_state["train_run"] = name
    st.session_state["train_playing"] = False
