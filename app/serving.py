"""What the app says in its log where others than this computer's users reach it: what is open to whom."""

import logging

import streamlit as st

from app import bounds, jobs, owners

LOG = logging.getLogger("vaescope")


@st.cache_resource(show_spinner=False)
def announce() -> None:
    """Once for each server, at its first visitor; nothing where only this computer reaches it."""
    if owners.public():
        LOG.warning(said(st.get_option("server.address") or "every address", st.get_option("server.port")))


def said(address: str, port: int) -> str:
    """Who may do what, and what is bounded; the limits as the environment has them."""
    each = bounds.brought_each() / 1e6
    return (
        f"VAEscope at {address}, port {port}, is open to everyone who reaches it, without a password. "
        "Everyone may see, compare and download all checkpoints and runs, download data sets, begin trainings "
        f"({bounds.most(bounds.RUNS_EACH)} for each visitor, {bounds.most(bounds.RUNS)} in all) and other jobs "
        f"({bounds.most(bounds.JOBS_EACH)} for each, {jobs.MOST} in all), and bring checkpoints ({each:,.0f} MB each). "
        "Pause, stop, resume, keep, rename and delete are for the browser that made a thing; what the command line "
        "made nobody changes from outside. Metrics at /_stcore/metrics are open: close them at a proxy, see "
        "docs/serving.md."
    )
