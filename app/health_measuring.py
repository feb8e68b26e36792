"""The measurement as the page of health shows it: begun by a button, never by a link, with a bar and a stop."""

import time

import streamlit as st

from app import health, jobs, panels, watching
from app.health import Health
from app.plain import plain
from app.session import Checkpoint

FRESH = 120.0  # seconds: a job that ended well within these left a report, or could not keep it


def measured(checkpoints: list[Checkpoint]) -> list[Health]:
    """The reports as they stand, of those that have one; what is not complete is being measured, or said why not."""
    found = []
    for place, one in enumerate(checkpoints):
        with panels.sentences():
            before = health.stamp(one)
            kept = health.kept(one)
            if not (kept and kept["complete"]):
                measure(one, before, place)
            with st.spinner("Looking at a few images"):
                found.append(health.health(one))
    return found


def measure(one: Checkpoint, before: tuple[int, ...], place: int) -> None:
    """How it stands, with the button that begins it or goes on."""
    job = health.job(one)
    if job is None or (job.state == "done" and time.time() - job.started > FRESH):
        begin = f"{plain(one.name)} is not measured yet: what is shown are the bounds of a few images."
        again(one, place, "Measure it", begin)
    elif job.active:
        what = f"Measuring {plain(one.name)}, about half a minute"
        watching.follow("health", health.target(one), what, lambda: health.stamp(one) != before, str(place or ""))
    elif health.stamp(one) != before:  # it has ended just now
        st.rerun()
    elif job.state == "done":
        st.error(f"{plain(one.name)} was measured, but its report could not be kept: is the disk full?")
    else:
        watching.ended(job)
        again(one, place, "Go on" if job.state == "stopped" else "Try again")


def begun(one: Checkpoint) -> jobs.Job | None:
    """The job, started; None, with the reason on the page, where it cannot start now."""
    try:
        return health.begin(one)
    except (ValueError, OSError) as error:
        st.info(f"{plain(one.name)} cannot be measured now: {plain(error)}")
        return None


def again(one: Checkpoint, place: int, label: str, text: str = "") -> None:
    said, way = st.columns([5, 1], vertical_alignment="center")
    said.info(text or f"The report of {plain(one.name)} is not complete; what is shown is what there is.")
    if way.button(label, key=f"health_again_{place}", icon=":material/play_circle:", width="stretch") and begun(one):
        st.rerun()
