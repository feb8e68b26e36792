"""The parts of the page of priors that go round the others: what is there and what is not, and how it is computed."""

import streamlit as st

from app import holes, panels, session
from app.holes import Entry
from app.plain import plain
from app.session import Checkpoint
from vaecore.text import counted


def no_images(checkpoint: Checkpoint, sentence: str) -> None:
    st.info(
        f"{plain(session.absence(checkpoint))}. Whether the prior is right is read from the codes of the training "
        "images: without them nothing here can be computed."
    )
    st.markdown(plain(sentence))
    panels.download(checkpoint.dataset)


def usable(entries: list[Checkpoint]) -> list[Entry]:
    """Those whose q(z) can be summed exactly; the others are named, with the reason."""
    found = []
    for checkpoint in entries:
        with panels.sentences():
            if why := holes.problem(checkpoint):
                st.info(f"**{plain(checkpoint.name)}** ({plain(checkpoint.label)}) is left out: {plain(why)}.")
            else:
                found.append(holes.entry(checkpoint))
    return found


def prepare(entries: list[Entry], seed: int) -> None:
    """Codes and rankings of all entries, with a bar where that takes time."""
    size = len(holes.images(entries[0].checkpoint)[0])
    slot = st.empty()
    for entry in entries:
        images = counted(size, "training image")
        said = f"Encoding the {images} with {plain(entry.checkpoint.name)}, once"
        holes.codes(entry, lambda share, said=said: slot.progress(share, text=said))
    for entry in entries:
        said = f"Ranking {counted(holes.COUNT, 'sample')} of {plain(holes.prior_of(entry))} "
        said += f"by their density under {counted(size, 'code')}"
        holes.ranking(entry, seed, lambda share, said=said: slot.progress(share, text=said))
    slot.empty()
