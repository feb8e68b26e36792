"""Work of seconds in a thread of its own, so that the page answers meanwhile; done once, whoever asked first.

A script that computes holds up every click on its page. Here it looks whether the work is done, shows how far it is,
and is drawn anew when it has ended. Work that nobody looks at any more ends at its next report. A visitor's pieces of
work are done one after another, and those of a few visitors at a time.
"""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

import streamlit as st

from app import visits
from app.holes import Report

POLL = 0.7  # seconds, and only while something is being computed
MOST = 100  # pieces of work that are remembered
FAILED = 10.0  # seconds for which a failure stands: all parts of a page that ask for the same work hear of the same one
LEFT = 60.0  # seconds after which work that nobody looked at is given up

_seats = threading.BoundedSemaphore(2)  # more would only share the same cores


class Left(Exception):
    """Nobody looks at this work any more."""


@dataclass(eq=False)
class Work:
    """A piece of work as it stands; what failed carries its error."""

    share: float = 0.0
    done: bool = False
    value: object = None
    error: Exception | None = None
    seen: float = field(default_factory=time.monotonic)
    ended: float = 0.0

    @property
    def stale(self) -> bool:
        return self.error is not None and time.monotonic() - self.ended > FAILED

    def look(self) -> None:
        """Raise Left where nobody has looked for long."""
        if time.monotonic() - self.seen > LEFT:
            raise Left


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
        threading.Thread(target=run, args=(shelf[key], compute, visits.visitor()), daemon=True).start()
    found = shelf[key]
    found.seen = time.monotonic()
    if isinstance(found.error, Left):  # someone came back
        del shelf[key]
        return fetch(key, compute)
    if found.error:
        raise found.error
    return found


@st.cache_resource(max_entries=visits.REMEMBERED, show_spinner=False)
def _turn(visitor: str) -> threading.Lock:  # noqa: ARG001
    return threading.Lock()


def run(work: Work, compute: Callable[[Report], object], visitor: str) -> None:
    def report(share: float) -> None:
        work.look()
        work.share = share

    with ExitStack() as held:
        try:
            for lock in (_turn(visitor), _seats):
                while not lock.acquire(timeout=1):
                    work.look()
                held.callback(lock.release)
            held.enter_context(visits.working(visitor, work.look))
            work.value = compute(report)
        except Exception as error:  # it is raised where the work is asked for
            work.error = error
        work.ended, work.done = time.monotonic(), True


@st.fragment(run_every=POLL)
def follow(works: list[Work], text: str) -> None:
    """How far they are; the whole page is drawn anew when all have ended."""
    for work in works:
        work.seen = time.monotonic()
    if all(work.done for work in works):
        st.rerun()
    st.progress(sum(1.0 if work.done else work.share for work in works) / len(works), text=text)
