"""What the posterior page shows besides for any image: those with the nearest codes."""

from collections import Counter
from functools import partial

import streamlit as st

from app import choices, figures, own_looks, widgets
from app.own_looks import Near
from app.session import Checkpoint, Look, Pick
from app.words import nats
from vaecore.text import counted

WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")


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
        thumbnails(found)


def thumbnails(found: Near) -> None:
    """Test images as buttons that open them; training images, which the page cannot open, as pictures."""
    captions = [caption(found, place) for place in range(len(found.indices))]
    if found.split == "test":
        labels, pick = [None] * len(captions), Pick("image", -1)
        sprite = figures.sprite(found.images)
        widgets.strip(sprite, found.indices, labels, pick, partial(choices.choose, "image"), "nearest", captions)
        return
    shown = zip(found.images, found.indices, captions, strict=True)
    parts = [
        f'<figure><img src="{figures.data_uri(image)}" alt="training image {index}: {text}"><figcaption>{text}'
        "</figcaption></figure>"
        for image, index, text in shown
    ]
    st.html(f"{STYLE}<div class='near'>{''.join(parts)}</div>")


def sentence(found: Near) -> str:
    what = (
        f"The {counted(len(found.indices), f'{found.split} image')} whose codes, the means of q(z|x), lie nearest to "
    )
    what += "this one's"
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


STYLE = """<style>
.near { display: flex; flex-wrap: wrap; gap: .5rem; }
.near figure { margin: 0; text-align: center; }
.near img { width: 64px; height: 64px; image-rendering: pixelated; border-radius: 4px; background: #000; }
.near figcaption { font-size: .72rem; opacity: .8; }
</style>"""
