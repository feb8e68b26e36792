"""What has it learned? The codes of all images as a map, their clusters, and what can be read off them."""

import streamlit as st

from app import (
    choices,
    computed,
    learned,
    learned_choice,
    learned_chosen,
    learned_page,
    learned_pictures,
    learned_tables,
    panels,
    session,
)
from app.notes.learned import NOTES

head, chooser = st.columns([2, 1], vertical_alignment="bottom")
head.header("What has it learned?", anchor=False)
head.caption(
    "Nobody told the encoder the labels. If its codes of one class lie together all the same, it has learned what the "
    "classes are: see it on the map, measure it by clusters and by classifiers that get few labels."
)
with chooser:
    with st.spinner("Looking for checkpoints"):
        found = session.checkpoints()
        learned_chosen.preferred(found)
    checkpoint = choices.checkpoint(found)
    guests = choices.guests(found, checkpoint, learned_chosen.BESIDE) if checkpoint else []
panels.problems(found)
if checkpoint is None:
    panels.nothing_to_show(None)
    st.stop()

with panels.sentences():
    with st.spinner("Opening the checkpoints"):
        why = learned.problem(checkpoint)
    if why:
        learned_choice.no_images(checkpoint, why)
        st.stop()
    learned_chosen.read_link()
    learned_choice.controls([checkpoint, *guests])
    view, colour = learned_chosen.view(), learned_chosen.colour()
    usable = learned_choice.prepared([checkpoint, *guests], view, colour)
    names = panels.labels(usable)
    if usable:
        with panels.sentences():  # what has no map still has numbers and pictures
            learned_page.maps(usable, names, view, colour)
        learned_tables.clusters(usable, names)
        learned_tables.probes(usable, names)
        learned_pictures.triplets(usable, names)
        learned_pictures.samples(usable, names)
computed.explain(NOTES)
