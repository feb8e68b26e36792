"""Whose a run, a brought checkpoint and a job is: that visitor's whose browser made it.

A browser is known by a cookie, a random number signed with the app's secret; a folder or a job keeps the number's hash.
Where only this computer reaches the app, everyone owns everything, and nothing is signed.
"""

import hashlib
import hmac
import os
import secrets
import tempfile
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import streamlit as st

from app import jobs

COOKIE = "vaescope_visitor"
PUBLIC, SECRET = "VAESCOPE_PUBLIC", "VAESCOPE_SECRET"  # the app is behind a proxy; what replicas sign with
STRANGE = "belongs to the visitor whose browser made it"


def public() -> bool:
    """Whether others than this computer's users reach the app: by its address, or because VAESCOPE_PUBLIC is 1."""
    if os.environ.get(PUBLIC) == "1":
        return True
    address = st.get_option("server.address")
    with suppress(ValueError):
        return not ip_address(address or "").is_loopback
    return address != "localhost"


def me() -> str:
    """The hash that this visitor's things carry; "" where everyone owns everything."""
    return hashlib.sha256(f"owner {number()}".encode()).hexdigest()[:32] if public() else ""


def owns(owner: str) -> bool:
    """Whether this visitor may change what carries `owner`; what carries none was made by the command line."""
    return not public() or (bool(owner) and hmac.compare_digest(owner.encode(), me().encode()))


def owner_of(folder: Path) -> str:
    """Who began a run, or brought a checkpoint: "" where nobody known did."""
    from vaecore.runs import OWNER, partial_of

    for place in (folder, partial_of(folder)):
        with suppress(OSError), (place / OWNER).open("rb") as file:
            return file.read(64).decode(errors="replace").strip()
    return ""


def sign(folder: Path) -> None:
    """Let a folder that was made just now be this visitor's."""
    from vaecore.runs import OWNER

    if owner := me():
        (folder / OWNER).write_text(owner)


def must_own(folder: Path) -> None:
    """ValueError where the folder is another visitor's."""
    if not owns(owner_of(folder)):
        raise ValueError(
            f"{folder.name} {STRANGE}: you can look at it, compare and download it, but not stop, rename or delete it."
        )


# ---- who is there


def number() -> str:
    """This browser's: what its cookie says where the signature is ours, else a new one."""
    state = st.session_state
    if "visitor" not in state:
        state["visitor"] = signed(cookie()) or secrets.token_hex(16)
    return state["visitor"]


def cookie() -> str:
    """Ours, as the browser sent it when it came; "" where it had none."""
    return st.context.cookies.get(COOKIE, "")


def signed(text: str) -> str:
    """The number in a cookie's text; "" where it is not signed with our secret."""
    said, _, signature = text.partition(".")
    return said if hmac.compare_digest(signature.encode(), signature_of(said).encode()) else ""


def signature_of(said: str) -> str:
    return hmac.new(secret(), said.encode(), hashlib.sha256).hexdigest()


def secret() -> bytes:
    """VAESCOPE_SECRET, which replicas share, or a file in the app's cache that only its user reads."""
    if text := os.environ.get(SECRET):
        return text.encode()
    file = jobs.shelf().parent / "secret"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=file.parent)  # readable by its user alone
        with os.fdopen(handle, "w") as held:
            held.write(secrets.token_hex(32))
        with suppress(FileExistsError):  # another server of this cache was first
            os.link(beside, file)
        Path(beside).unlink()
    return file.read_bytes()


def greet() -> None:
    """Hand a new visitor's browser its cookie."""
    if not public() or signed(cookie()) == number():
        return
    with st.container(key="visitor"):
        _COOKIE(key="visitor_cookie", data={"cookie": f"{COOKIE}={number()}.{signature_of(number())}"})


_COOKIE = st.components.v2.component(
    "visitor", js=(Path(__file__).parent / "components" / "visitor.js").read_text(encoding="utf-8")
)
