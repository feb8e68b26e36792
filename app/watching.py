"""A job as a page shows it: how far it is, how long it will take, a stop; and how it ended."""

from collections.abc import Callable

import streamlit as st

from app import jobs, owners, ranking
from app.jobs import Job
from app.plain import plain

POLL = 1.0  # seconds, and only while a job runs


@st.fragment(run_every=POLL)
def follow(kind: str, target: str, what: str, news: Callable[[], bool] = lambda: False, mark: str = "") -> None:
    """The bar of a job that runs; the whole page is drawn anew when it ends, or when it has left `news`.

    `mark` tells its stop from that of another job of this kind on the page.
    """
    job = jobs.find(kind, target)
    if job is None or not job.active or news():
        st.rerun()
    bar, button = st.columns([6, 1], vertical_alignment="bottom")
    bar.progress(job.share, text=f"{what}: {progress(job)}")
    button.button(
        "Stop",
        key=f"stop-{kind}{mark}",
        icon=":material/stop_circle:",
        on_click=stop,
        args=(job,),
        disabled=job.state == "stopping" or not owners.owns(job.owner),
        help=None if owners.owns(job.owner) else f"It {owners.STRANGE}.",
        width="stretch",
    )


def stop(job: Job) -> None:
    """A click; what comes from a browser is not trusted."""
    if owners.owns(job.owner):
        jobs.stop(job)


def progress(job: Job) -> str:
    if job.state == "stopping":
        return "stopping after this portion; what is done is kept"
    if not job.steps:
        return "starting"
    left = job.seconds_left
    rest = f", {ranking.duration(left)} left" if left is not None else ""
    return f"{100 * job.share:.0f} %{rest}"


def ended(job: Job | None) -> None:
    """Why a job that has ended failed, if it did."""
    if job and job.state == "failed":
        st.error(f"The computation failed. {plain(job.sentence)}")
