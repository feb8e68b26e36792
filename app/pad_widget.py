"""The latent pad: the decoded image and the densities at the z under the pointer. Its scripts lie in app/components."""

import streamlit as st

from app import pad, pinned, widgets
from app.pad import Entries
from app.session import Checkpoint

_PAD = widgets.declared("pad", "pad", ("pad_panel", "pad_picture", "decoder", "words"))


def show(entries: Entries, names: dict[str, str] | None = None) -> None:
    """The pad for the image of the first entry, beside the picture of all entries; `names` as there."""
    checkpoint, look = entries[0]
    problem, z = pad.decoder(checkpoint.digest, checkpoint)[1], pinned.place(checkpoint.digest)
    data = {
        **pad.view(entries, names),
        "plane": checkpoint.digest,
        "what": widgets.title(look.pick),
        "pinned": z and list(z),
        "frame": look.frame,
        "problem": problem,
        "decoded": pad.decoded(checkpoint.digest, z, look.pick, checkpoint) if problem and z else None,
    }
    _PAD(key="pad", data=data, on_pin_change=lambda: pinned.pin(checkpoint.digest, st.session_state["pad"]["pin"]))


def send(checkpoint: Checkpoint) -> None:
    """Hand decoder and densities to the browser, where pads of that checkpoint find them: once, not at every click."""
    decoder, plane = pad.decoder(checkpoint.digest, checkpoint)[0], pad.plane(checkpoint.digest, checkpoint)
    _PAD(
        key=f"plane-{checkpoint.digest[:16]}", data={"name": checkpoint.digest, "decoder": decoder, "densities": plane}
    )
