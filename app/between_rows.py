"""The rows of the page of interpolations: two images, what lies between them, and heat strips of log p(z)."""

import time
from dataclasses import dataclass
from html import escape
from pathlib import Path

import streamlit as st

from app import between, between_chosen, between_words, figures_between, session, widgets, words
from app.between import Pair
from app.holes import Entry
from app.plain import plain
from app.session import Checkpoint, Codes
from vaecore.text import a

QUICK = 0.4  # seconds without a progress bar
STYLE = Path(__file__).parent / "components" / "ways.css"


@dataclass(frozen=True)
class Scene:
    """What all rows share: the checkpoints with their names, the kind of way, and each prior's scale in nats."""

    entries: list[Entry]
    names: dict[str, str]
    kind: str
    images: bool
    codes: Codes
    scales: dict[str, tuple[float, float]]

    def title(self, index: int) -> str:
        what, labels = widgets.NAMES["image" if self.images else "sample"], self.codes.labels
        return f"{what} {index}" if labels is None else f"{what} {index}, {a(labels[index])}"

    def groups(self) -> list[list[Entry]]:
        """Checkpoints by whose ways are the very same."""
        found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            found.setdefault(between.source(entry, self.kind), []).append(entry)
        return list(found.values())


def scene(entries: list[Entry], names: dict[str, str], kind: str, pairs: list[Pair], images: bool) -> Scene:
    """Measures all rows, so that each prior has one scale over them; with a bar where that takes time."""
    slot, begun, scales = st.empty(), time.monotonic(), {}
    for place, entry in enumerate(entries):
        low, high = [], []
        for number, pair in enumerate(pairs):
            if time.monotonic() - begun > QUICK:
                share = (place * len(pairs) + number) / (len(entries) * len(pairs))
                slot.progress(share, text=f"Looking for the ways: {between.KINDS[kind]}")
            log_p = between.log_prior(entry, pair, kind)
            low.append(float(log_p.min()))
            high.append(float(log_p.max()))
        scales[entry.checkpoint.name] = min(low, default=0.0), max(high, default=1.0)
    slot.empty()
    return Scene(entries, names, kind, images, between.codes(entries[0].checkpoint), scales)


def show(shared: Scene, pairs: list[Pair]) -> None:
    """What the rows show in words, the scales, then the rows."""
    st.html(STYLE)
    if not pairs:
        st.info("Choose two images above, or search.")
        return
    lesson = between_words.lesson(valleys(shared, pairs), shared.entries, shared.names, shared.kind)
    st.markdown(f"**{plain(lesson)}**")
    st.caption(between_words.WAYS[shared.kind])
    st.html(f"<div class='bars'>{''.join(bar(shared, entry) for entry in shared.entries)}</div>")
    for number, pair in enumerate(pairs, 1):
        with st.container(key=f"between_row_{number}"):
            st.html(one(shared, number, pair))
            st.button(
                "",
                icon=":material/close:",
                key=f"remove-{pair[0]}-{pair[1]}",
                help=f"Remove row {number}",
                type="tertiary",
                on_click=between_chosen.remove,
                args=(pair, pairs),
            )


def valleys(shared: Scene, pairs: list[Pair]) -> dict[str, list[float]]:
    """Each checkpoint's valleys in nats, row by row."""
    return {
        entry.checkpoint.name: [between_chosen.depth_of(entry, pair, shared.kind) for pair in pairs]
        for entry in shared.entries
    }


def bar(shared: Scene, entry: Entry) -> str:
    """One prior's colours with their ends in nats."""
    low, high = shared.scales[entry.checkpoint.name]
    ramp = figures_between.gradient(entry.kind != "standard")
    return (
        f"<div class='scale'><b>log p(z), {escape(between_words.prior(entry, shared.names))}</b>"
        f"<span>{escape(words.nats(low))}</span><i style='background: {ramp}'></i>"
        f"<span>{escape(words.nats(high))} nats</span></div>"
    )


def one(shared: Scene, number: int, pair: Pair) -> str:
    first, last = (shared.title(index) for index in pair)
    lanes = "".join(lane(shared, group, pair) for group in shared.groups())
    title = f"<h5><em>{number}</em>{escape(first)} \N{RIGHTWARDS ARROW} {escape(last)}</h5>"
    return f"<section class='way' data-pair='{pair[0]}-{pair[1]}'>{title}{lanes}</section>"


def lane(shared: Scene, group: list[Entry], pair: Pair) -> str:
    """One way decoded, between the two images, and beneath it a strip for each prior that it is judged by."""
    entry = group[0]
    uris = between.frames(between.source(entry, shared.kind), pair, shared.kind, entry)
    ends = [end(shared, entry.checkpoint, index) for index in pair]
    what = f"decoded images on the way from {shared.title(pair[0])} to {shared.title(pair[1])}"
    counts = between.STEPS, (between.STEPS + 1) // 2
    frames = "".join(
        f"<img class='{name}' src='{uri}' alt='{escape(f'{count} {what}')}'>"
        for name, uri, count in zip(("frames", "few"), uris, counts, strict=True)
    )
    strips = "".join(strip(shared, entry, pair) for entry in group)
    return f"<div class='lane'>{ends[0]}{frames}{ends[1]}{strips}</div>"


def end(shared: Scene, checkpoint: Checkpoint, index: int) -> str:
    """The original image, where it is there."""
    if not shared.images:
        return "<span></span>"
    image = session.images(checkpoint)[0][index]
    uri = between.original(checkpoint.dataset, index, image)
    return f"<img class='end' src='{uri}' alt='{escape(shared.title(index))}'>"


def strip(shared: Scene, entry: Entry, pair: Pair) -> str:
    """One prior's heat strip, its deepest place marked, and the numbers."""
    name = entry.checkpoint.name
    log_p = between.log_prior(entry, pair, shared.kind)
    valley, place = between.depth(log_p)
    uri = figures_between.strip(log_p, between.STEPS, shared.scales[name], entry.kind != "standard")
    prior = between_words.prior(entry, shared.names)
    at = 100 * (place * (between.STEPS - 1) + 0.5) / between.STEPS
    mark = f"<u style='left: {at:.1f}%'></u>" if valley < -words.SURE else ""
    said, number = between_words.strip(log_p, valley)
    return (
        f"<div class='heat' data-prior='{escape(name)}' data-valley='{valley:.2f}'>"
        f"<img src='{uri}' alt='{escape(f'log p(z) along the way under {prior}: {said}')}'>{mark}</div>"
        f"<p><span>{escape(prior)}: {escape(said)}</span><b>{escape(number)}</b></p>"
    )
