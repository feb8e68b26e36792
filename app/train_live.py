"""One run of the page "Train one": its state, what can be done with it, and its pictures at an epoch."""

from typing import TYPE_CHECKING

import streamlit as st

from app import owners, panels, train_chosen, train_pictures, train_words, training
from app.plain import plain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from app.training import Standing

POLL = 1.0  # seconds, and only while the run is on the way
TICK = 0.6  # seconds between two epochs that are played


@st.fragment(run_every=POLL)
def follow(folder: "Path") -> None:
    """A run on the way; the whole page is drawn anew when it ends."""
    one = training.standing(folder)
    if not train_words.is_moving(one):
        st.rerun()
    headline(one)
    st.progress(one.share, text=plain(train_words.sentence(one)))
    if not owners.owns(owners.owner_of(folder)):
        st.caption(f"This run {owners.STRANGE}.")
        train_pictures.show(one, None)
        return
    with st.container(horizontal=True):
        off = one.state == "stopping"
        button("Pause", "pause", lambda: training.end(folder), "it can go on from its last whole epoch", off)
        if one.state != "waiting":
            said = "ends it, and makes a checkpoint of its best epoch so far"
            button("Stop and keep", "stop", lambda: training.end(folder, keep=True), said, off or not one.epochs)
    st.caption("A pause ends the process and frees its core; Resume goes on from the last whole epoch.")
    train_pictures.show(one, None)


def rest(one: "Standing") -> None:
    """A run that is not on the way."""
    headline(one)
    if one.state == "failed":
        st.error(f"The run failed. {plain(one.sentence)}")
    said = plain(train_words.sentence(one))
    st.caption(
        f"{said}. Its last whole epoch is kept, and Resume goes on from there."
        if one.epochs and one.state != "done"
        else f"{said}."
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        (finished if one.state == "done" else unfinished)(one)
    player(one)


def headline(one: "Standing") -> None:
    st.subheader(plain(one.folder.name), anchor=False)
    about = f"{train_words.system(one)} on {one.asked.get('dataset', 'unknown data')}"
    st.caption(plain(f"{about}, D = {one.asked.get('latent_dim', '?')}"), width="content")
    if one.problem:
        st.error(plain(one.problem))


def button(label: str, name: str, act: "Callable[[], object]", tip: str = "", off: bool = False) -> None:
    """A button whose act may fail with a sentence."""
    icon = f":material/{ICONS[name]}:"
    if st.button(label, key=f"train_{name}", icon=icon, help=tip or None, disabled=off):
        with panels.sentences():
            act()
            st.rerun()


ICONS = {"pause": "pause", "stop": "stop", "resume": "play_arrow", "keep": "save", "rename": "edit", "delete": "delete"}


def unfinished(one: "Standing") -> None:
    if not owners.owns(owners.owner_of(one.folder)):
        st.caption(f"This run {owners.STRANGE}.")
        return
    button("Resume", "resume", lambda: training.resume(one.folder), "from its last whole epoch")
    if one.epochs:
        button("Keep as it is", "keep", lambda: training.keep(one.folder), "as a checkpoint of its best epoch")
    question(one)


def finished(one: "Standing") -> None:
    name = one.folder.name
    st.page_link(
        "views/posterior.py" if one.asked.get("latent_dim") == 2 else "views/between.py",
        label="Open it",
        icon=":material/target:",
        query_params={"checkpoint": name},
    )
    st.download_button(
        "Download",
        lambda: training.zipped(one.folder),
        f"{name}.zip",
        "application/zip",
        key=f"train_zip_{name}",
        icon=":material/download:",
        on_click="ignore",
    )
    if training.may_change(one.folder) and owners.owns(owners.owner_of(one.folder)):
        with st.popover("Rename", icon=":material/edit:"):
            new = st.text_input("New name", name, key=f"train_new_name_{name}", max_chars=60)
            button("Rename", "rename", lambda: renamed(one.folder, new))
        question(one)


def renamed(folder: "Path", name: str) -> None:
    st.session_state["train_run"] = training.rename(folder, name.strip()).name


def question(one: "Standing") -> None:
    """Deletes after one has been asked."""
    if not training.may_change(one.folder):
        return
    with st.popover("Delete", icon=":material/delete:"):
        st.markdown(f"Delete **{plain(one.folder.name)}** with all its weights? This cannot be undone.")
        button("Yes, delete it", "delete", lambda: training.delete(one.folder))


def player(one: "Standing") -> None:
    """The lesson: a run's epochs one after another."""
    epochs = list(training.shots(one.folder))
    if len(epochs) < 2:
        train_chosen.write_address(one.folder.name)
        train_pictures.show(one, None)
    else:
        (playing if st.session_state.get("train_playing") else still)(one, epochs)


@st.fragment(run_every=TICK)
def playing(one: "Standing", epochs: list[int]) -> None:
    at = st.session_state.get("train_at", epochs[0])
    later = [epoch for epoch in epochs if epoch > at]
    if not later or not st.session_state.get("train_playing"):
        st.session_state["train_playing"] = False
        st.rerun()
    st.session_state["train_at"] = later[0]
    controls(one, epochs)


@st.fragment
def still(one: "Standing", epochs: list[int]) -> None:
    if st.session_state.get("train_at") not in epochs:
        st.session_state["train_at"] = epochs[-1]
    controls(one, epochs)


def controls(one: "Standing", epochs: list[int]) -> None:
    play, slider = st.columns([1, 5], vertical_alignment="bottom")
    on = st.session_state.get("train_playing")
    label, icon = ("Hold", "pause") if on else ("Play", "play_arrow")
    if play.button(label, key="train_play", icon=f":material/{icon}:", width="stretch"):
        st.session_state["train_playing"] = not on
        if not on and st.session_state["train_at"] == epochs[-1]:
            st.session_state["train_at"] = 0
        st.rerun()
    with slider:
        at = st.select_slider("Epoch", epochs, key="train_at")
    train_chosen.write_address(one.folder.name, epochs[-1])
    train_pictures.show(one, at)
