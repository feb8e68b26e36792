"""Is it healthy? A checkpoint's report within a minute."""

import streamlit as st

from app import bring_page, choices, computed, health_measuring, health_report, health_rows, panels, session, shelf_page
from app.health import Health
from app.notes.health import NOTES

head, chooser = st.columns([2, 1], vertical_alignment="bottom")
head.header("Is it healthy?", anchor=False)
head.caption(
    "A checkpoint's report: how well it explains test images, what its codes carry, and whether its prior fits them. "
    "Each number stands beside what is usual, with a plain verdict."
)
shelf_page.take_what_is_new()
bring_page.read_way()
with chooser:
    with st.spinner("Looking for checkpoints"):
        found = session.checkpoints()
    checkpoint = choices.checkpoint(found)
    others = choices.guests(found, checkpoint, health_rows.SECOND) if checkpoint else []
panels.problems(found)
choices.read_draw()
shown = [checkpoint, *others] if checkpoint else []
health_rows.bring(shown)
if checkpoint is None:
    panels.nothing_to_show(None)
    st.stop()


@st.fragment
def pictures_and_file(measured: list[Health], count: int) -> None:
    health_rows.reconstructions(measured, shown, count)
    drawn = health_rows.drawn(measured, count, st.session_state["draw"])
    st.download_button(
        "Download the report",
        lambda: health_report.page(measured, drawn),  # made when it is asked for
        file_name=health_rows.file_name(measured),
        mime="text/html",
        icon=":material/download:",
        on_click="ignore",
        key="health_download",
    )


with panels.sentences():
    with st.spinner("Opening the test images"):
        images, sentence = session.images(checkpoint)
    measured = health_measuring.measured(shown) if images is not None else []
    if images is None:
        health_rows.no_images(checkpoint, sentence)
    if measured:
        health_rows.verdicts(measured)
        health_rows.divided(measured)
        health_rows.aggregate(measured)
        pictures_and_file(measured, len(images))
    else:
        health_rows.write_address(shown)
computed.explain(NOTES)
