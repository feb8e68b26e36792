"""Work of seconds in a thread of its own, so that the page answers meanwhile; done once, whoever asked first.

A script that computes holds up every click on its page. Here it looks whether the work is done, shows how far it is,
and is drawn anew when it has ended.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from app.holes import Report

POLL = 0.7  # seconds, and only while something is being computed
MOST = 100  # pieces of work that are remembered

_turn = threading.Lock()  # one piece of work at a time: two would only share the same cores


@dataclass(eq=False)
class Work:
    """A piece of work as it stands; what failed carries its error."""

    share: float = 0.0
    done: bool = False
    value: object = None
    error: Exception | None = None


@st.cache_resource(show_spinner=False)
def _shelf() -> dict[tuple, Work]:
    return {}


def fetch(key: tuple, compute: Callable[[Report], object]) -> Work:
    """The work of that key, begun if it is new; `compute` gets a function that takes the share that is done.

    What failed with a sentence raises it, and is tried again the next time.
    """
    shelf = _shelf()
    if key not in shelf:
        while len(shelf) >= MOST:
            shelf.pop(next(iter(shelf)))
        shelf[key] = Work()
        threading.Thread(target=run, args=(shelf[key], compute), daemon=True).start()
    found = shelf[key]
    if found.error:
        del shelf[key]
        raise found.error
    return found


def run(work: Work, compute: Callable[[Report], object]) -> None:
    def report(share: float) -> None:
        work.share = share

    with _turn:
        try:
            work.value = compute(report)
        except Exception as error:  # it is raised where the work is asked for
            work.error = error
        work.done = True


@st.fragment(run_every=POLL)
def follow(works: list[Work], text: str) -> None:
    """How far they are; the whole page is drawn anew when all have ended."""
    if all(work.done for work in works):
        st.rerun()
    st.progress(sum(1.0 if work.done else work.share for work in works) / len(works), text=text)
