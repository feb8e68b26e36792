"""Checkpoints: what is there, its cards, and what others bring."""

import streamlit as st

from app import bring_page, choices, computed, panels, session, shelf_page
from app.notes.checkpoints import NOTES

st.header("Checkpoints", anchor=False)
st.caption(
    "All VAEs that the pages can open: those that ship, those trained here, and those that were brought. Click a "
    "column's head to sort by it, and a row's box to choose it."
)
with st.spinner("Looking for checkpoints"):
    found = session.checkpoints()
panels.problems(found)
usable = [entry for entry in found.values() if not entry.problem]
if usable:
    with panels.sentences():
        shelf_page.table(usable)
bring_page.read_way()
with st.expander(
    "Bring your own VAE", icon=":material/upload_file:", expanded=not usable or bring_page.is_open(), key="bring_open"
):
    bring_page.bring()
shelf_page.take_what_is_new()
if not usable:
    panels.nothing_to_show(None)
    st.stop()
checkpoint = choices.checkpoint(found)
shelf_page.deeds(checkpoint)
with panels.sentences():
    shelf_page.card(checkpoint)
bring_page.write_address(checkpoint.name)
computed.explain(NOTES)
