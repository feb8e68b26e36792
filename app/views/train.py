"""Train one: a new VAE, watched while it learns."""

import streamlit as st

from app import computed, panels, train_address, train_chosen, train_form, train_list, train_live, train_words, training
from app.notes.train import NOTES

st.header("Train one", anchor=False)
st.caption(
    "Choose a system and a data set and watch it learn: its bound, its samples, and, with two latent dimensions, the "
    "latent map and one true posterior. A run goes on without this page; what is finished appears on all pages."
)
left, right = st.columns([1, 2.4], gap="large")
with panels.sentences():
    found = training.standings()
    chosen = train_chosen.run(found)
    train_address.read(list(training.systems()), training.datasets())
    if chosen is None or train_words.is_moving(chosen):
        train_chosen.write_address(chosen.folder.name if chosen else "")
    with right:
        if chosen is None:
            st.info("No run yet: begin one with the form. The digits take a minute.")
        elif chosen.active or chosen.state == "waiting":
            train_live.follow(chosen.folder)
        else:
            train_live.rest(chosen)
        train_list.everyones(found, chosen)
    with left:
        train_form.form()
computed.explain(NOTES)
