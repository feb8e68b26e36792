"""The latent pad: the decoded image and the densities at the z under the pointer. Its scripts lie in app/components."""

import streamlit as st

from app import choices, figures, pad, widgets
from app.session import Checkpoint, Look

_PAD = widgets.declared("pad", "pad", ("pad_panel", "pad_picture", "decoder"))


def show(checkpoint: Checkpoint, look: Look, colour: str = figures.ORANGE) -> None:
    """The pad for one image; `colour` is that of q in the picture beside it."""
    problem, z = pad.decoder(checkpoint.digest, checkpoint)[1], choices.place(checkpoint.digest)
    data = {
        **pad.view(checkpoint, look, colour),
        "plane": checkpoint.digest,
        "what": widgets.title(look.pick),
        "pinned": z and list(z),
        "frame": look.frame,
        "problem": problem,
        "decoded": pad.decoded(checkpoint.digest, z, look.pick, checkpoint) if problem and z else None,
    }
    _PAD(key="pad", data=data, on_pin_change=lambda: choices.pin(checkpoint.digest, st.session_state["pad"]["pin"]))


def send(checkpoint: Checkpoint) -> None:
    """Hand decoder and densities to the browser, where pads of that checkpoint find them: once, not at every click."""
    decoder, plane = pad.decoder(checkpoint.digest, checkpoint)[0], pad.plane(checkpoint.digest, checkpoint)
    _PAD(
        key=f"plane-{checkpoint.digest[:16]}", data={"name": checkpoint.digest, "decoder": decoder, "densities": plane}
    )
