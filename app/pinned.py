"""The z that a person pins in a latent plane, which the pad decodes and the address holds."""

import streamlit as st

from app import choices
from app.plain import quoted

FARTHEST = 1000.0


def read_link(digest: str) -> None:
    """Take the z that a link pins in the latent plane of a checkpoint; say so if it is none."""
    asked = choices.all_news("z")
    if asked is None:
        return
    z = pair(asked[-1].split(",")) if asked else None
    if asked and z is None:
        st.warning(f"The link pins z = {quoted(asked[-1], 40)}; it should be two numbers, such as 1.5,-0.25.")
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


def text(z: tuple[float, float] | None) -> str | list[str]:
    """The pinned z as a link holds it."""
    return ",".join(f"{v:g}" if v == round(v, 3) else f"{v:.4f}" for v in z) if z else []
