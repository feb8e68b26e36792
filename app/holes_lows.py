"""The low posterior samples of several checkpoints side by side: Figures B.4 and B.5 of the learned-prior paper."""

from dataclasses import dataclass
from html import escape

import numpy as np
import streamlit as st

from app import figures, figures_holes, holes, holes_chosen, holes_plane, holes_widgets, holes_words, panels, words
from app.holes import Entry, Judged
from app.holes_words import Said
from vaecore.text import counted

HISTOGRAM = 260  # pixels
MEASURES = {"log_p": "log p(z), nats", "elbo": "ELBO of x ~ p(x|z), nats"}


@dataclass(frozen=True)
class Line:
    """One checkpoint's row of three panels: what is in it, and the axes that all rows share."""

    entry: Entry
    name: str
    judged: Judged
    colour: str
    spans: list[tuple[float, float]]
    most: list[int]
    like: str  # the name of an earlier row that has the same z, x and pictures; "" if there is none


def lines(entries: list[Entry], names: dict[str, str], seed: int) -> list[Line]:
    judged = [holes.judged(entry, seed) for entry in entries]
    styles = figures_holes.styles([entry.kind for entry in entries])
    spans = [figures_holes.span([getattr(one, name) for one in judged]) for name in MEASURES]
    most = [
        max(int(figures_holes.counts(getattr(one, name), ends).max()) for one in judged)
        for name, ends in zip(MEASURES, spans, strict=True)
    ]
    found: list[Line] = []
    for entry, one, style in zip(entries, judged, styles, strict=True):
        like = next((line.name for line in found if line.entry.source == entry.source), "")
        found.append(Line(entry, names[entry.checkpoint.name], one, style.colour, spans, most, like))
    return found


def low_samples(entries: list[Entry], names: dict[str, str], seed: int, rank: int) -> None:
    """For each checkpoint: log p(z) of the lowest samples, the ELBO of an image drawn at each, and their means."""
    found = lines(entries, names, seed)
    said = [Said(line.name, line.entry.kind, line.entry.source, line.judged.log_p, line.judged.elbo) for line in found]
    for lesson in holes_words.lessons(said):
        st.markdown(lesson)
    for line in found:
        low_row(line, seed, rank)


def low_row(line: Line, seed: int, rank: int) -> None:
    entry, key = line.entry, line.entry.checkpoint.name
    log_q = holes.ranking(entry, seed, lambda share: None).all_log_q
    if line.like:
        said = f"The very same z, images x and pictures as {line.like}'s: encoder and decoder are the same."
    else:
        said = f"z from {holes.prior_of(entry)}. {holes_words.draws(log_q, holes.KEEP)}"
    st.html(
        f"{STYLE}<div class='line' data-name='{escape(key)}'><i style='background:{line.colour}'></i>"
        f"<b>{escape(line.name)}</b><span>{escape(said)}</span></div>"
    )
    prior, elbo, means, pair = st.columns([1, 1, 0.72, 0.28], gap="small")
    for place, column in enumerate((prior, elbo)):
        with column:
            distribution(line, place)
    with means:
        sprite = holes.tiles(entry.source, seed, line.judged)
        holes_widgets.tiles(sprite, len(line.judged.log_p), rank, holes_chosen.choose_low, f"tiles-{key}")
    if rank >= 0:
        pair.html(marked(line, seed, rank))


def distribution(line: Line, place: int) -> None:
    """The histogram of one of the MEASURES."""
    measure, title = list(MEASURES.items())[place]
    values, ends, key = getattr(line.judged, measure), line.spans[place], line.entry.checkpoint.name
    figure = figures_holes.histogram(values, ends, line.most[place], line.colour, title)
    median = words.nats(float(np.median(values)))
    alt = f"{line.name}: histogram of {title} of {counted(len(values), 'low posterior sample')}, median {median} nats"
    st.plotly_chart(figure, key=f"{measure}-{key}", height=HISTOGRAM, config=panels.HIDE_BAR, alt=alt)
    if outside := int(((values < ends[0]) | (values > ends[1])).sum()):
        st.caption(f"beyond this axis, counted at its end: {outside} of {len(values)}")


def marked(line: Line, seed: int, rank: int) -> str:
    """The marked sample, larger, and what Proposition 2 asks for there."""
    place = holes.place(line.entry, tuple(map(float, holes.lows(line.entry, seed)[rank])))
    figure = '<figure><img src="{}" alt="{} at sample {}"><figcaption>{}</figcaption></figure>'
    drawn = ((f"sample {rank}: what the decoder draws", place.decoded), ("what the data ask for", place.wanted))
    return f"""<div class="marked">{"".join(figure.format(figures.data_uri(x), n, rank, n) for n, x in drawn)}</div>"""


def pairs(entries: list[Entry], names: dict[str, str], seed: int, rank: int) -> None:
    """Proposition 2 at the low posterior sample of this rank, for each set of samples once."""
    st.subheader("What is drawn there, and what should be", anchor=False)
    st.caption(
        "At the marked sample: the decoder's mean, and the mean of the training images that Proposition 2 asks for"
    )
    firsts = [entry for place, entry in enumerate(entries) if entry.source not in [e.source for e in entries[:place]]]
    for column, entry in zip(st.columns(max(2, len(firsts)), gap="medium"), firsts, strict=False):
        group = [other for other in entries if other.source == entry.source]
        z = tuple(map(float, holes.lows(entry, seed)[rank]))
        with column:
            title = f"low posterior sample {rank} of {holes.prior_of(entry)}"
            holes_plane.at_place(group, names, holes.place(entry, z), title)


STYLE = """<style>
.line { display: flex; flex-wrap: wrap; align-items: baseline; gap: .2rem .6rem; margin-top: .4rem; }
.line i { width: 12px; height: 12px; border-radius: 3px; }
.line span { font-size: .84rem; opacity: .85; }
.marked { display: flex; flex-wrap: wrap; gap: .6rem; padding-top: 4px; }
.marked figure { margin: 0; width: 92px; }
.marked img { width: 92px; height: 92px; image-rendering: pixelated; border-radius: 4px; background: #000; }
.marked figcaption { font-size: .76rem; line-height: 1.25; opacity: .8; }
</style>"""
