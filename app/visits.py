"""One visitor must not stop the others: whose turn it is with what all share, and what a visitor's ONNX pairs may cost.

A foreign pair is run by a process of its own. While one waits for it the turn is let go, and each visitor has so many
seconds of such work, which come back while none is done. A visitor who left, or clicked anew, waits for nothing.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic
from typing import TYPE_CHECKING

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from vaecore.onnx.request import Request

if TYPE_CHECKING:
    from vaecore import VAE

SECONDS = 60.0  # of work by strangers' pairs that a visitor may ask for at once
REMEMBERED = 1024  # visitors

# In a thread of background work: who asked for it, and what raises when nobody looks at it any more.
_work: ContextVar[tuple[str, Callable[[], object]] | None] = ContextVar("work", default=None)


class Turn:
    """A lock that its thread may take again and again, and let go whole while another process works for it."""

    def __init__(self) -> None:
        self._free, self._owner, self._depth = threading.Lock(), 0, 0

    @property
    def mine(self) -> bool:
        """Whether this thread has it."""
        return self._owner == threading.get_ident()

    def __enter__(self) -> None:
        if not self.mine:
            self._free.acquire()
            self._owner = threading.get_ident()
        self._depth += 1

    def __exit__(self, *error: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._owner = 0
            self._free.release()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Nothing where the thread does not have it. Torch's random numbers go on afterwards as if nobody had come."""
        if not self.mine:
            yield
            return
        import torch

        depth, state = self._depth, torch.get_rng_state()
        self._owner = self._depth = 0
        self._free.release()
        try:
            yield
        finally:
            self._free.acquire()
            self._owner, self._depth = threading.get_ident(), depth
            torch.set_rng_state(state)


turn = Turn()


class Allowance:
    """Seconds of work that are left to a visitor: all that were spent come back, one a second, while none is done."""

    def __init__(self) -> None:
        self.spent, self.since = 0.0, monotonic()

    def request(self, wanted: Callable[[], object]) -> Request:
        self.spent = max(0.0, self.spent - (monotonic() - self.since))
        return Spending(self, wanted)


class Spending(Request):
    """A call on a visitor's allowance."""

    def __init__(self, allowance: Allowance, wanted: Callable[[], object]) -> None:
        super().__init__(SECONDS, wanted, turn.aside, allowance.spent)
        self.allowance, self.before = allowance, allowance.spent

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self.allowance.spent += self.spent - self.before
        self.allowance.since = monotonic()


@st.cache_resource(max_entries=REMEMBERED, show_spinner=False)
def _allowance(visitor: str) -> Allowance:  # noqa: ARG001
    return Allowance()


def visitor() -> str:
    """Whose script, or whose background work, this thread runs; "" for none's."""
    if work := _work.get():
        return work[0]
    context = get_script_run_ctx(suppress_warning=True)
    return context.session_id if context else ""


def wanted() -> None:
    """Raise where nobody waits any more for what this thread computes."""
    if work := _work.get():
        work[1]()
    elif get_script_run_ctx(suppress_warning=True):
        # Every look at the session's state lets Streamlit end a script whose visitor left or clicked anew.
        "visitor" in st.session_state  # noqa: B015


@contextmanager
def working(whose: str, look: Callable[[], object]) -> Iterator[None]:
    """In a thread of background work: it is `whose`, and `look` raises when nobody looks at it any more."""
    token = _work.set((whose, look))
    try:
        yield
    finally:
        _work.reset(token)


def bounded(vae: "VAE") -> "VAE":
    """The VAE, whose networks, if a stranger's process runs them, spend what its visitors may."""
    for net in (vae.encoder, vae.decoder):
        if runner := getattr(net, "runner", None):
            runner.request = request
    return vae


def request() -> Request:
    """What the call of a foreign pair that this thread makes may cost."""
    return _allowance(visitor()).request(wanted)
