"""What the person chose, kept in the page's address: `?checkpoint=...&image=...` or `&sample=...`.

The address is read when it is not what the page itself wrote: a link was opened, edited, or the browser went back.
"""

import streamlit as st

from app.session import Checkpoint, Pick

KINDS = ("image", "sample")


def news(name: str) -> str | None:
    """What the address says under this name, if the page did not write it."""
    value = st.query_params.get(name)
    return None if value == st.session_state.get("address", {}).get(name) else value


def write_address(**wanted: str) -> None:
    """Make the address a link to what is on the screen."""
    st.session_state["address"] = wanted
    if st.query_params.to_dict() != wanted:
        st.query_params.from_dict(wanted)


def checkpoint(found: dict[str, Checkpoint]) -> Checkpoint | None:
    """Let the person choose among the checkpoints that can be read."""
    usable, state = [name for name, entry in found.items() if not entry.problem], st.session_state
    if not usable:
        return None
    asked = news("checkpoint")
    if asked in usable:
        state["checkpoint"] = asked
    elif asked is not None:
        st.warning(f"The link asks for the checkpoint {asked[:60]!r}, which is not here or cannot be read.")
    if state.get("checkpoint") not in usable:
        state["checkpoint"] = usable[0]
    name = st.selectbox(
        "Checkpoint", usable, key="checkpoint", persist_state="session", format_func=lambda name: title(found[name])
    )
    return found[name]


def title(entry: Checkpoint) -> str:
    return f"{entry.name} ({entry.label}, {entry.dataset or 'unknown data'}, D = {entry.latent})"


def read_link(count: int) -> None:
    """Take the image that a link asks for; say so if it is not there."""
    for kind in KINDS:
        text = news(kind)
        if text is None:
            continue
        if text.isascii() and text.isdigit() and len(text) < 10 and int(text) < count:
            st.session_state["pick"] = Pick(kind, int(text))
        else:
            st.warning(f"The link asks for {kind} {text[:20]!r}; they are numbered from 0 to {count - 1}.")
        return


def pick(count: int, images: bool) -> Pick:
    """What was chosen last; the first image where that is not there."""
    chosen = st.session_state.get("pick", Pick("image", 0))
    kind = "image" if images and chosen.kind == "image" else "sample"
    return Pick(kind, chosen.index if chosen.index < count else 0)


def choose(kind: str, index: object) -> None:
    """A click on the map or the strip; what comes from a browser is not trusted."""
    if isinstance(index, int) and index >= 0:
        st.session_state["pick"] = Pick(kind, index)
