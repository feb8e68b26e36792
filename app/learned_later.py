"""Work of seconds in a thread of its own, so that the page answers meanwhile; done once, whoever asked first.

A script that computes holds up every click on its page. Here it looks whether the work is done, shows how far it is,
and is drawn anew when it has ended.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from app.holes import Report

POLL = 0.7  # seconds, and only while something is being computed
MOST = 100  # pieces of work that are remembered
FAILED = 10.0  # seconds for which a failure stands: all parts of a page that ask for the same work hear of the same one

_turn = threading.Lock()  # one piece of work at a time: two would only share the same cores


@dataclass(eq=False)
class Work:
    """A piece of work as it stands; what failed carries its error."""

    share: float = 0.0
    done: bool = False
    value: object = None
    error: Exception | None = None
    ended: float = 0.0

    @property
    def stale(self) -> bool:
        return self.error is not None and time.monotonic() - self.ended > FAILED


@st.cache_resource(show_spinner=False)
def _shelf() -> dict[tuple, Work]:
    return {}


def fetch(key: tuple, compute: Callable[[Report], object]) -> Work:
    """The work of that key, begun if it is new; `compute` gets a function that takes the share that is done.

    What failed with a sentence raises it, and is tried again a while later: tried at once, a page of which two parts
    ask for it would never come to rest.
    """
    shelf = _shelf()
    if key not in shelf or shelf[key].stale:
        while len(shelf) >= MOST:
            shelf.pop(next(iter(shelf)))
        shelf[key] = Work()
        threading.Thread(target=run, args=(shelf[key], compute), daemon=True).start()
    found = shelf[key]
    if found.error:
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
        work.ended, work.done = time.monotonic(), True


@st.fragment(run_every=POLL)
def follow(works: list[Work], text: str) -> None:
    """How far they are; the whole page is drawn anew when all have ended."""
    if all(work.done for work in works):
        st.rerun()
    st.progress(sum(1.0 if work.done else work.share for work in works) / len(works), text=text)
