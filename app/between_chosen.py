"""What the person chose on the page of interpolations, kept in its address: checkpoints, rows, image, path, seed."""

import re

import streamlit as st

from app import between, choices, holes_chosen, panels
from app.between import KINDS, Pair
from app.holes import Entry
from app.plain import plain, quoted
from app.session import Checkpoint, Codes

MOST = 8  # rows
NO_ROWS = "none"  # in a link: all were removed
NOT_ROWS = "rows are pairs of test images, as 12-45,45-7, numbered from 0 to {}"


def read_link(count: int) -> None:
    """Take the rows, the image and the seed that a link asks for; say so if they are not there."""
    state = st.session_state
    if (asked := choices.all_news("rows")) is not None:
        pairs = parsed(asked[-1], count) if asked else None
        if asked and pairs is None:
            st.warning(f"The link asks for the rows {quoted(asked[-1], 40)}; {NOT_ROWS.format(count - 1)}.")
        else:
            state["between_rows"] = pairs
    choices.number("image", "between_from", None, count)
    choices.number("seed", "between_seed", 0, 10**6)
    choices.read_draw()


def parsed(text: str, count: int) -> list[Pair] | None:
    """Rows as the address has them; None if they are none."""
    if text == NO_ROWS:
        return []
    if not re.fullmatch(r"\d{1,7}-\d{1,7}(,\d{1,7}-\d{1,7})*", text, re.ASCII):
        return None
    pairs = [tuple(map(int, part.split("-"))) for part in text.split(",")]
    fit = all(i != j and max(i, j) < count for i, j in pairs) and len(pairs) <= MOST
    return list(dict.fromkeys(pairs)) if fit else None


def path(entries: list[Entry]) -> str:
    """Let the person choose the kind of way; the smoothest needs decoders with a mean that can be followed."""
    why = {entry.checkpoint.name: between.unfollowed(entry) for entry in entries}
    name = next((name for name, reason in why.items() if reason), "")
    kinds = [kind for kind in KINDS if kind != "smoothest" or not name]
    choices.word("path", "between_path", kinds, "linear")
    why_not = plain(f"{name} {why[name]}") if name else ""
    said = f"Without the way of least change, which follows the decoder's gradients: {why_not}." if name else None
    return st.segmented_control(
        "Way", kinds, key="between_path", required=True, persist_state="session", format_func=KINDS.get, help=said
    )


def rows(entries: list[Entry], codes: Codes, count: int) -> list[Pair]:
    """The rows that were chosen; else some of the deepest and some of the smoothest, as in Figure 2."""
    chosen = st.session_state.get("between_rows")
    if chosen is not None:
        return [pair for pair in chosen if max(pair) < count]
    if (judge := learned(entries)) is None:
        first = [index for index in panels.drawn(codes, 0) if index < count][:6]
        return list(zip(first[::2], first[1::2], strict=False))
    digest = judge.checkpoint.digest
    found = [pair for deepest in (True, False) for pair in between.search(digest, deepest, 0, count, judge)[:2]]
    return list(dict.fromkeys(found))


def learned(entries: list[Entry]) -> Entry | None:
    """Whose prior judges: the first that is learned, for along a straight line N(0, I) has no valley."""
    return next((entry for entry in entries if entry.kind != "standard"), None)


def add(pairs: list[Pair], shown: list[Pair]) -> None:
    """New rows on top; those that were there before move up."""
    st.session_state["between_rows"] = list(dict.fromkeys([*pairs, *shown]))[:MOST]


def remove(pair: Pair, shown: list[Pair]) -> None:
    st.session_state["between_rows"] = [other for other in shown if other != pair]


def order(shown: list[Pair], judge: Entry, kind: str) -> None:
    """The deepest valley first."""
    st.session_state["between_rows"] = sorted(shown, key=lambda pair: depth_of(judge, pair, kind))


def depth_of(judge: Entry, pair: Pair, kind: str) -> float:
    return between.depth(between.log_prior(judge, pair, kind))[0]


def find(deepest: bool, judge: Entry, count: int, shown: list[Pair]) -> None:
    """Search among other random pairs than the last time."""
    state, key = st.session_state, "between_deep" if deepest else "between_smooth"
    state[key] = state.get(key, 0) + 1
    add(between.search(judge.checkpoint.digest, deepest, state[key], count, judge), shown)


def choose(index: object, count: int, shown: list[Pair]) -> None:
    """A click on the strip or the map: the first says where to begin, the second where to go."""
    if not isinstance(index, int) or not 0 <= index < count:
        return  # what comes from a browser is not trusted
    state = st.session_state
    start, state["between_clicked"] = state.get("between_from"), index
    if start is None:
        state["between_from"] = index
        return
    state["between_from"] = None
    if start != index:
        add([(start, index)], shown)


def typed(count: int, shown: list[Pair]) -> None:
    """Numbers with commas between: a way from each to the next."""
    text = st.session_state["between_text"]
    parts = [part.strip() for part in text.split(",")] if len(text) < 100 else []
    fit = len(parts) > 1 and all(p.isascii() and p.isdigit() and len(p) < 8 and int(p) < count for p in parts)
    numbers = [int(part) for part in parts] if fit else []
    pairs = [pair for pair in zip(numbers, numbers[1:], strict=False) if pair[0] != pair[1]]
    if pairs:
        add(pairs[:MOST], shown)
        st.session_state.update(between_text="", between_problem="")
    elif text.strip():
        st.session_state["between_problem"] = f"Name two or more images by their numbers, 0 to {count - 1}: 12, 45, 7"


def draw_others() -> None:
    st.session_state["between_seed"] = st.session_state.get("between_seed", 0) + 1


def write_address(entries: list[Checkpoint], kind: str, shown: list[Pair], seed: int) -> None:
    start = st.session_state.get("between_from")
    choices.write_address(
        checkpoint=entries[0].name,
        **{"with": [entry.name for entry in entries[1:]] or holes_chosen.NONE},
        path=kind,
        rows=",".join(f"{i}-{j}" for i, j in shown) or NO_ROWS,
        image=[] if start is None else str(start),
        seed=str(seed),
        draw=choices.drawn(),
    )
