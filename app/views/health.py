"""Is it healthy? A checkpoint's report within a minute."""

import streamlit as st

from app import choices, computed, health_report, health_rows, panels, session
from app.health import Health
from app.notes.health import NOTES

head, chooser = st.columns([2, 1], vertical_alignment="bottom")
head.header("Is it healthy?", anchor=False)
head.caption(
    "A checkpoint's report: how well it explains test images, what its codes carry, and whether its prior fits them. "
    "Each number stands beside what is usual, with a plain verdict."
)
with chooser:
    with st.spinner("Looking for checkpoints"):
        found = session.checkpoints()
    checkpoint = choices.checkpoint(found)
    others = choices.guests(found, checkpoint, health_rows.SECOND) if checkpoint else []
panels.problems(found)
if checkpoint is None:
    panels.nothing_to_show(None)
    st.stop()
choices.read_draw()
shown = [checkpoint, *others]


@st.fragment
def pictures_and_file(measured: list[Health], count: int) -> None:
    health_rows.reconstructions(measured, shown, count)
    st.download_button(
        "Download the report",
        health_report.page(measured, health_rows.drawn(measured, count, st.session_state["draw"])),
        file_name=health_rows.file_name(measured),
        mime="text/html",
        icon=":material/download:",
        on_click="ignore",
        key="health_download",
    )


with panels.sentences():
    with st.spinner("Opening the test images"):
        images, sentence = session.images(checkpoint)
    measured = health_rows.measured(shown) if images is not None else []
    if images is None:
        health_rows.no_images(checkpoint, sentence)
    if measured:
        health_rows.verdicts(measured)
        health_rows.divided(measured)
        pictures_and_file(measured, len(images))
    else:
        health_rows.write_address(shown)
computed.explain(NOTES)
