"""What the person chose, kept in the page's address; docs/links.md lists what each page keeps there.

The address is read when it is not what the page itself wrote: a link was opened, edited, or the browser went back.
Then each name is news once, until the page writes the address anew; what a link leaves out is as at first. An empty
address is the menu's: all stays as it was.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import streamlit as st

from app.plain import plain, quoted
from app.session import Checkpoint, Pick

KINDS = ("image", "sample", "prior")
SEEDS = 10**9  # of samples of the prior
MOST = 9  # guests beside one checkpoint
KEPT = ("tour", "note")  # of the frame, not of a page: what a page writes leaves them in the address


def arrive(page: str) -> None:
    """To be called before a page is drawn: on a page that was not shown before, all that the address says is news."""
    if st.session_state.get("page") != page:
        st.session_state.update(page=page, address={}, heard=set())


def news(name: str) -> str | None:
    """What the address says under this name, if the page did not write it."""
    values = all_news(name)
    return values[-1] if values else None


def all_news(name: str) -> list[str] | None:
    """All that a new address says under this name, nothing if it leaves it out; None if the address is not new."""
    if not len(st.query_params):
        return None
    state, values = st.session_state, st.query_params.get_all(name)
    heard, known = state.get("heard"), state.setdefault("address", {})
    if name in heard if heard is not None else values == known.get(name, []):
        return None
    known[name] = values
    if heard is not None:
        heard.add(name)
    return values


def word(name: str, key: str, options: Collection[str], default: str) -> None:
    """Keep in the session, under `key`, which of the options a link asks for; say so if there is no such thing."""
    values, state = all_news(name), st.session_state
    asked = values[-1] if values else default
    if values is not None and asked in options:
        state[key] = asked
    elif values is not None:
        st.warning(f"The link asks for {name} {quoted(asked, 30)}; there is only {plain(', '.join(options))}.")
    if state.get(key) not in options:
        state[key] = default


def number(name: str, key: str, default: int | None, end: int, least: int = 0) -> None:
    """Keep in the session, under `key`, the whole number below `end` that a link asks for; say so if it is none."""
    values, state = all_news(name), st.session_state
    if values:
        text = values[-1]
        if text.isascii() and text.isdigit() and len(text) < 11 and least <= int(text) < end:
            state[key] = int(text)
        else:
            st.warning(f"The link asks for {name} {quoted(text, 20)}; it is a whole number from {least} to {end - 1}.")
    elif values is not None:
        state[key] = default
    state.setdefault(key, default)


def write_address(**wanted: str | list[str]) -> None:
    """Make the address a link to what is on the screen."""
    lists = {name: [value] if isinstance(value, str) else value for name, value in wanted.items() if value}
    lists |= {name: st.query_params.get_all(name) for name in KEPT}
    address = {name: values for name, values in lists.items() if values}
    before, state = st.session_state.get("address", {}), st.session_state
    # A link from a page to itself, as between two steps of the tour, changes the query but not what the browser shows.
    stale = before.get("tour", address.get("tour")) != address.get("tour")
    state.update(address=address, heard=None)
    if stale or {name: st.query_params.get_all(name) for name in st.query_params} != address:
        st.query_params.from_dict(address)


def read_draw() -> None:
    """Take the seed by which a link draws the strip's images."""
    number("draw", "draw", 0, 10**6)


def drawn() -> str:
    """That seed as the address has it: nothing where it is as at first."""
    return str(seed) if (seed := st.session_state.get("draw", 0)) else ""


def keep(name: str, value: str | None) -> None:
    """Write one of KEPT into the address beside what stands there, or, without a value, take it out."""
    if value is not None:
        st.query_params[name] = value
    elif name in st.query_params:
        del st.query_params[name]


def checkpoint(found: dict[str, Checkpoint]) -> Checkpoint | None:
    """Let the person choose among the checkpoints that can be read."""
    usable, state = [name for name, entry in found.items() if not entry.problem], st.session_state
    if not usable:
        return None
    asked = news("checkpoint")
    if asked in usable:
        state["checkpoint"] = asked
    elif asked is not None:
        st.warning(f"The link asks for the checkpoint {quoted(asked, 60)}, which is not here or cannot be read.")
    if state.get("checkpoint") not in usable:
        state["checkpoint"] = usable[0]
    name = st.selectbox(
        "Checkpoint", usable, key="checkpoint", persist_state="session", format_func=lambda name: title(found[name])
    )
    return found[name]


def fits(entry: Checkpoint, host: Checkpoint) -> bool:
    """Whether `entry` can look at the host's images, and exactly."""
    return alike(entry, host) and entry.latent == 2


def alike(entry: Checkpoint, host: Checkpoint) -> bool:
    """Whether `entry` can look at the host's images."""
    same = bool(host.dataset) and (entry.dataset, entry.shape) == (host.dataset, host.shape)
    return same and not entry.problem and entry.name != host.name


@dataclass(frozen=True)
class Company:
    """What may stand beside a checkpoint on a page: how many, which, and in words."""

    key: str = "guests"
    most: int = MOST
    fits: Callable[[Checkpoint, Checkpoint], bool] = fits
    words: str = " with two latent dimensions"


EXACT = Company()


def guests(found: dict[str, Checkpoint], host: Checkpoint, company: Company = EXACT) -> list[Checkpoint]:
    """Let the person choose checkpoints to set beside `host`: of the same data set, and what the page asks besides."""
    key, state = company.key, st.session_state
    fitting = [name for name, entry in found.items() if company.fits(entry, host)]
    asked = all_news("with")
    if asked is not None:
        state[key] = list(dict.fromkeys(name for name in asked if name in fitting))[: company.most]
        if strange := [name for name in asked if name not in fitting and name != host.name]:
            names = ", ".join(repr(name[:60]) for name in strange[:3])
            st.warning(
                f"The link asks to compare with {plain(names)}, which is not here, cannot be read, or does not fit: it "
                f"takes checkpoints of {plain(host.dataset or 'a known data set')}{company.words}."
            )
    state[key] = [name for name in state.get(key, []) if name in fitting]
    chosen = st.multiselect(
        "Compare with",
        fitting,
        key=key,
        persist_state="session",
        max_selections=company.most,
        disabled=not fitting,
        placeholder="other checkpoints of this data set" if fitting else "no other checkpoint of this data set",
        format_func=lambda name: f"{name} ({found[name].label})",
    )
    return [found[name] for name in chosen]


def title(entry: Checkpoint) -> str:
    return f"{entry.name} ({entry.label}, {entry.dataset or 'unknown data'}, D = {entry.latent})"


def read_link(count: int) -> None:
    """Take the image that a link asks for; say so if it is not there."""
    for kind in KINDS:
        text = news(kind)
        if text is None:
            continue
        most = SEEDS if kind == "prior" else count
        if text.isascii() and text.isdigit() and len(text) < 10 and int(text) < most:
            st.session_state["pick"] = Pick(kind, int(text))
        else:
            st.warning(f"The link asks for {kind} {quoted(text, 20)}; they are numbered from 0 to {most - 1}.")
        return


def pick(count: int, images: bool) -> Pick:
    """What was chosen last; the first image where that is not there."""
    chosen = st.session_state.get("pick", Pick("image", 0))
    if not chosen.numbered:
        return chosen
    kind = "image" if images and chosen.kind == "image" else "sample"
    return Pick(kind, chosen.index if chosen.index < count else 0)


def choose(kind: str, index: object) -> None:
    """A click on the map or the strip; what comes from a browser is not trusted."""
    if isinstance(index, int) and index >= 0:
        st.session_state["pick"] = Pick(kind, index)
