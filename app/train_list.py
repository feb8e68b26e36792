"""Everyone's runs: what each is, how far it is, and a click that shows it."""

from typing import TYPE_CHECKING

import streamlit as st

from app import train_chosen, train_words, training
from app.plain import plain

if TYPE_CHECKING:
    from app.training import Standing

POLL = 2.0  # seconds, and only while a run is on the way
MOST = 40


def everyones(found: "list[Standing]", chosen: "Standing | None") -> None:
    if not found:
        return
    st.subheader("Everyone's runs", anchor=False)
    moving = any(train_words.is_moving(one) for one in found)
    (polled if moving else still)(chosen.folder.name if chosen else "")


@st.fragment(run_every=POLL)
def polled(chosen: str) -> None:
    rows(chosen)


@st.fragment
def still(chosen: str) -> None:
    rows(chosen)


def rows(chosen: str) -> None:
    found = training.standings()
    for one in found[:MOST]:
        name = one.folder.name
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"train_row_{name}"):
            if st.button(
                plain(name),
                key=f"train_show_{name}",
                type="primary" if name == chosen else "tertiary",
                icon=train_words.ICONS[one.state],
            ):
                train_chosen.choose(name)
                st.rerun()
            st.caption(plain(train_words.line(one)))
    if len(found) > MOST:
        st.caption(f"and {len(found) - MOST} more, which are on the other pages")
