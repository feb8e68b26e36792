"""What the posterior page shows besides for any image: a draft at once, and the images with the nearest codes."""

from collections import Counter

import streamlit as st

from app import choices, figures, own_looks, panels, session, widgets
from app.own_looks import Draft, Near
from app.session import Checkpoint, Look, Pick
from app.words import nats

COMPUTING = "Computing the exact posterior and the gaps."
WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")


def draft(checkpoint: Checkpoint, pick: Pick, columns: list) -> None:
    """After a stroke: q, its reconstruction and the posterior's shape at once; the rerun brings the exact results."""
    if not st.session_state.pop("own_due", False):
        return
    found = own_looks.draft(checkpoint, pick)
    if found is None:
        return
    picture, places, numbers = columns
    with picture:
        panels.sketched(found)
    with numbers:
        st.html(
            f'{panels.STYLE}<section class="look" data-draft="{pick}"><p>{COMPUTING}</p>'
            f"{panels.pictures(found)}</section>"
        )
    with places:
        show_map(checkpoint, found)
    st.rerun(scope="fragment")


def show_map(checkpoint: Checkpoint, look: Look | Draft) -> None:
    """The latent map; a press on it opens a test image, or where there are none the sample at its code."""
    pick, here = look.pick, None
    if not pick.numbered:
        pick = Pick("sample" if session.images(checkpoint)[0] is None else "image", -1)
        here = look.q_loc.tolist()
    widgets.latent_map(checkpoint.digest, pick, look.frame, lambda index: choices.choose(pick.kind, index), here)


def nearest(checkpoint: Checkpoint, look: Look) -> None:
    """Whose codes lie nearest to where the encoder puts this image."""
    found = own_looks.nearest(checkpoint, look)
    if found is None:
        return
    st.subheader("Nearest codes", anchor=False)
    said, way = st.columns([5, 1], vertical_alignment="center")
    said.caption(sentence(found))
    if found.split == "test" and (count := own_looks.may_encode(checkpoint)):
        with way:
            offer(checkpoint, count)
    if found.images is not None:
        opens = (lambda index: choices.choose("image", index)) if found.split == "test" else None
        captions = [caption(found, place) for place in range(len(found.indices))]
        sprite = figures.sprite(found.images)
        widgets.neighbours(sprite, found.indices, captions, f"{found.split} image", opens)


def sentence(found: Near) -> str:
    what = f"The {len(found.indices)} {found.split} images whose codes, the means of q(z|x), lie nearest to this one's"
    if found.split == "test":
        what += "; press one to open it"
    if found.labels is None:
        return f"{what}. Beneath each: the distance in z."
    counts = Counter(found.labels).most_common()
    many = [f"{WORDS[count] if count < len(WORDS) else count} of label {label}" for label, count in counts]
    return f"{what}: {', '.join(many)}. Beneath each: its label, and the distance in z."


def caption(found: Near, place: int) -> str:
    apart = nats(found.distances[place]) if found.distances[place] >= 0.1 else f"{found.distances[place]:.2g}"
    return apart if found.labels is None else f"{found.labels[place]} · {apart}"


def offer(checkpoint: Checkpoint, count: int) -> None:
    """Take the training images instead, once they are encoded."""
    if not st.button("Training images", key="own_encode", help=f"Encode all {count:,}, once for this checkpoint"):
        return
    bar = st.progress(0.0, text="Encoding")
    own_looks.encode_training(checkpoint, lambda share: bar.progress(share, text="Encoding"))
    st.rerun()
