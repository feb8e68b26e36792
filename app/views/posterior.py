"""How wrong is the encoder? The true posterior of one image beside q(z|x)."""

import streamlit as st

from app import choices, panels, session, widgets
from app.session import Checkpoint, Codes

head, chooser = st.columns([2, 1], vertical_alignment="bottom")
head.header("How wrong is the encoder?", anchor=False)
head.caption(
    "Shown an image x, the encoder answers with a Gaussian q(z|x). Here it lies over the true posterior p(z|x), "
    "computed exactly. Choose an image in the strip or on the map."
)
with chooser:
    with st.spinner("Looking for checkpoints"):
        found = session.checkpoints()
    checkpoint = choices.checkpoint(found)
panels.problems(found)
if checkpoint is None or checkpoint.latent != 2:
    panels.nothing_to_show(checkpoint)
    st.stop()


@st.fragment
def explore(checkpoint: Checkpoint, codes: Codes, images: bool) -> None:
    pick = choices.pick(len(codes.loc), images)
    with panels.sentences():
        panels.strip(checkpoint, codes, pick)
        look = session.look(checkpoint.digest, pick, checkpoint)
        picture, places, numbers = st.columns([1.45, 1, 1.05], gap="medium")
        with picture:
            panels.picture(look)
        with numbers:
            panels.numbers(look)
        with places:
            widgets.latent_map(checkpoint.digest, pick, look.frame, lambda index: choices.choose(pick.kind, index))
        choices.write_address(**{"checkpoint": checkpoint.name, pick.kind: str(pick.index)})


with panels.sentences():
    with st.spinner("Decoding the latent plane, once for this checkpoint"):
        codes = session.prepared(checkpoint)
    images, sentence = session.images(checkpoint)
    if images is None:
        panels.missing(checkpoint, sentence, codes.from_prior)
    choices.read_link(len(codes.loc))
    explore(checkpoint, codes, images is not None)
    widgets.send_codes(checkpoint.digest, codes)
panels.explanation()
