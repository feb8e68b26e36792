"""What the person chose, kept in the page's address: `?checkpoint=...&image=...` or `&sample=...`.

Checkpoints to compare with follow, each as `&with=...`.

The address is read when it is not what the page itself wrote: a link was opened, edited, or the browser went back.
"""

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from app.session import Checkpoint, Pick

KINDS = ("image", "sample")
MOST = 9  # guests beside one checkpoint
FARTHEST = 1000.0  # of a z that a link may pin


def news(name: str) -> str | None:
    """What the address says under this name, if the page did not write it."""
    values = all_news(name)
    return values[-1] if values else None


def all_news(name: str) -> list[str] | None:
    """All that the address says under this name; None if that is what the page wrote."""
    values = st.query_params.get_all(name)
    return None if values == st.session_state.get("address", {}).get(name, []) else values


def write_address(**wanted: str | list[str]) -> None:
    """Make the address a link to what is on the screen."""
    lists = {name: [value] if isinstance(value, str) else value for name, value in wanted.items()}
    address = {name: values for name, values in lists.items() if values}
    st.session_state["address"] = address
    if {name: st.query_params.get_all(name) for name in st.query_params} != address:
        st.query_params.from_dict(address)


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
    if asked is not None and len(st.query_params):  # an empty address is the menu's: all stays as it was
        state[key] = list(dict.fromkeys(name for name in asked if name in fitting))[: company.most]
        if strange := [name for name in asked if name not in fitting and name != host.name]:
            names = ", ".join(repr(name[:60]) for name in strange[:3])
            st.warning(
                f"The link asks to compare with {names}, which is not here, cannot be read, or does not fit: it takes "
                f"checkpoints of {host.dataset or 'a known data set'}{company.words}."
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


def read_place(digest: str) -> None:
    """Take the z that a link pins in the latent plane of a checkpoint; say so if it is none."""
    asked = all_news("z")
    if asked is None or not len(st.query_params):  # an empty address is the menu's: all stays as it was
        return
    z = pair(asked[-1].split(",")) if asked else None
    if asked and z is None:
        st.warning(f"The link pins z = {asked[-1][:40]!r}; it should be two numbers, such as 1.5,-0.25.")
    st.session_state["z"] = z and (digest, z)


def pair(parts: object) -> tuple[float, float] | None:
    """Two numbers of a latent plane, as they are written into links; None for anything else."""
    try:
        z = tuple(round(float(part), 4) + 0.0 for part in parts)
    except (TypeError, ValueError):
        return None
    return z if len(z) == 2 and all(abs(v) <= FARTHEST for v in z) else None


def place(digest: str) -> tuple[float, float] | None:
    """The z that is pinned in the plane of this checkpoint."""
    owner, z = st.session_state.get("z") or ("", None)
    return z if owner == digest else None


def pin(digest: str, asked: object) -> None:
    """Pin or free a z; what comes from a browser is not trusted."""
    z = pair(asked.get("z")) if isinstance(asked, dict) else None
    st.session_state["z"] = z and (digest, z)


def place_text(z: tuple[float, float] | None) -> str | list[str]:
    """The pinned z as a link holds it."""
    return ",".join(f"{v:g}" if v == round(v, 3) else f"{v:.4f}" for v in z) if z else []
