"""What a selection of codes has in common: mean image, labels, the images and their reconstructions."""

from html import escape

import numpy as np
import streamlit as st

from app import between, figures, figures_between, learned, session
from app.learned_map import Shown
from app.plain import plain
from app.session import Checkpoint
from vaecore.text import counted

SEEDS = 10**6
MOST, FEW = 60, 16  # images shown, and where a decoder draws pixel after pixel


def panel(these: Shown, mask: np.ndarray | None) -> None:
    """What the selected images share; without a selection, how to make one."""
    if mask is None:
        st.markdown("**Enclose points in a map** to see their images, their reconstructions and what they share.")
        st.caption(
            "Draw a line around them, or press a label in the legend. Wheel or two fingers zoom, Shift drags the map. "
            "The same images stand out in every map."
        )
        return
    rows = these.rows[mask]
    if not len(rows):
        st.markdown("**No image lies there.** Draw the line around some points.")
        return
    known = learned.labels(these.dataset, rows)
    st.html(f"{STYLE}<section class='common' data-selected='{len(rows)}'>{summary(these, rows, known)}</section>")


def summary(these: Shown, rows: np.ndarray, known: np.ndarray | None) -> str:
    mean = learned.images(these.dataset, rows).mean(0).numpy()
    said = f"{len(rows):,} of {counted(len(these.rows), 'image')}" + ("" if known is None else f": {mostly(known)}")
    picture = f"<img src='{figures.data_uri(mean)}' alt='Mean of the selected images'>"
    figure = f"<figure>{picture}<figcaption>mean image</figcaption></figure>"
    return f"<p>{escape(said)}</p><div>{figure}{'' if known is None else bars(known)}</div>"


def mostly(known: np.ndarray) -> str:
    """The labels that are most frequent, in words."""
    counts = np.bincount(known)
    order = np.argsort(-counts, kind="stable")[: 3 if len(counts) > 2 else 2]
    shares = [(label, counts[label] / len(known)) for label in order if counts[label]]
    if shares[0][1] == 1:
        return f"all are {shares[0][0]}"
    return ", ".join(f"{percent(share)} are {label}" for label, share in shares)


def percent(share: float) -> str:
    return "under 1 %" if share < 0.01 else f"{min(99, round(100 * share))} %"


def bars(known: np.ndarray) -> str:
    """How many of each label, as bars; of many labels the most frequent ten."""
    counts = np.bincount(known)
    labels = range(len(counts)) if len(counts) <= 10 else np.sort(np.argsort(-counts, kind="stable")[:10])
    rows = "".join(
        f"<tr><th scope='row'>{label}</th><td><i style='width:{100 * counts[label] / counts.max():.1f}%;"
        f"background:{figures.CLASSES[label % len(figures.CLASSES)]}'></i></td><td>{counts[label]:,}</td></tr>"
        for label in labels
    )
    return f"<table><caption>images of each label</caption>{rows}</table>"


def pictures(checkpoints: list[Checkpoint], names: list[str], dataset: str, rows: np.ndarray) -> None:
    """Some of the images, drawn at random by the seed, each with every checkpoint's reconstruction to its right."""
    seed, most = st.session_state["learned_pick"], FEW if any(map(between.draws_pixels, checkpoints)) else MOST
    chosen = rows if len(rows) <= most else np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    order = " | ".join(["image", *names]) if len(checkpoints) > 1 else "image | reconstruction"
    which = "All of them" if len(rows) <= most else f"{most} of the {len(rows):,}, drawn at random"
    said, button = st.columns([5, 1], vertical_alignment="bottom")
    said.caption(f"{which}, side by side: {plain(order)}.")
    if len(rows) > most:
        with button.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.button("Draw others", key="learned_repick", on_click=draw_others, args=("learned_pick",))
            st.caption(f"seed {seed}", width="content")
    with st.spinner("Reconstructing"):
        strips = together(checkpoints, dataset, chosen)
    st.html(groups(strips, f"{counted(len(chosen), 'selected image')}, each beside its reconstructions"))


def draw_others(key: str) -> None:
    st.session_state[key] = (st.session_state[key] + 1) % SEEDS


def groups(strips: list[str], alt: str) -> str:
    return f"{STYLE}<div class='groups' role='img' aria-label='{escape(alt)}'>{''.join(strips)}</div>"


def together(checkpoints: list[Checkpoint], dataset: str, rows: np.ndarray) -> list[str]:
    """For each image a strip: itself, and every checkpoint's reconstruction."""
    x = learned.images(dataset, rows)
    columns = [x.numpy(), *(reconstructed(one, tuple(rows.tolist())) for one in checkpoints)]
    known = learned.labels(dataset, rows)
    strips = []
    for place, row in enumerate(rows.tolist()):
        uri = figures_between.mosaic(np.stack([column[place] for column in columns])[None])
        title = title_of(dataset, row) + ("" if known is None else f": {known[place]}")
        strips.append(f"<img src='{uri}' alt='' title='{escape(title)}'>")
    return strips


def title_of(dataset: str, row: int) -> str:
    tests, _ = learned.sizes(dataset)
    return f"test image {row}" if row < tests else f"training image {row - tests}"


def reconstructed(checkpoint: Checkpoint, rows: tuple[int, ...]) -> np.ndarray:
    """The decoder's mean at the mean of each image's q(z|x), [n, C, H, W]."""
    return _reconstructed(checkpoint.digest, rows, checkpoint)


@st.cache_resource(max_entries=64, show_spinner=False)
def _reconstructed(digest: str, rows: tuple[int, ...], _checkpoint: Checkpoint) -> np.ndarray:
    x = learned.images(_checkpoint.dataset, np.array(rows))
    vae = session.model(digest, _checkpoint.folder)
    with session.evaluating():
        return vae.likelihood(vae.posterior(x).mean).mean.numpy()


STYLE = """<style>
.common p { font-weight: 600; font-size: 1.05rem; line-height: 1.35; margin: 0 0 .5rem; }
.common > div { display: flex; gap: 1.2rem; align-items: flex-start; flex-wrap: wrap; }
.common figure { margin: 0; }
.common img { width: 112px; height: 112px; image-rendering: pixelated; border-radius: 4px; background: #000; }
.common figcaption, .common caption { font-size: .78rem; opacity: .75; text-align: left; caption-side: bottom; }
.common table { border-collapse: collapse; flex: 1; min-width: 150px; font-size: .8rem; }
.common table { font-variant-numeric: tabular-nums; }
.common th { font-weight: 600; padding: 0 .5rem 0 0; text-align: right; width: 1.5rem; }
.common td { padding: 1px 0; line-height: 1.1; }
.common td:last-child { text-align: right; width: 3.2rem; }
.common td i { display: block; height: 9px; min-width: 1px; border-radius: 2px; }
.groups { display: flex; flex-wrap: wrap; gap: 6px 10px; }
.groups img { height: 34px; image-rendering: pixelated; border-radius: 2px; }
</style>"""
