"""The rows of the page of interpolations: two images, what lies between them, and heat strips of log p(z)."""

import time
from dataclasses import dataclass
from html import escape

import streamlit as st

from app import between, between_chosen, between_words, figures_between, session, widgets, words
from app.between import Pair
from app.holes import Entry
from app.session import Checkpoint, Codes

QUICK = 0.4  # seconds without a progress bar


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
        return f"{what} {index}" if labels is None else f"{what} {index}, a {labels[index]}"

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
    st.markdown(f"**{between_words.lesson(valleys(shared, pairs), shared.entries, shared.names, shared.kind)}**")
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


STYLE = f"""<style>
[class*="st-key-between_row_"] {{ position: relative; }}
[class*="st-key-remove-"] {{ position: absolute; top: -.35rem; right: 0; width: auto; }}
.bars {{ display: flex; flex-wrap: wrap; gap: .3rem 2rem; font-size: .8rem; }}
.bars .scale {{ display: flex; align-items: center; gap: .5rem; flex: 1 1 300px; max-width: 560px; }}
.bars b {{ font-weight: 600; }}
.bars i {{ flex: 1; min-width: 60px; height: 12px; border-radius: 3px; }}
.bars i {{ outline: 1px solid rgba(128, 128, 128, .5); }}
.bars span {{ font-variant-numeric: tabular-nums; white-space: nowrap; }}
.way h5 {{ font-size: .9rem; font-weight: 600; margin: .3rem 0; padding: 0 2.5rem 0 0; }}
.way h5 em {{ display: inline-block; min-width: 1.35em; margin-right: .5em; border-radius: 50%; text-align: center;
  line-height: 1.35em; background: #0072B2; color: #fff; font-size: .8rem; font-style: normal; }}
.way .lane {{ display: grid; grid-template-columns: 1fr {between.STEPS}fr 1fr; gap: 2px 5px; margin-bottom: .5rem; }}
.way .lane > * {{ min-width: 0; }}
.way .lane img {{ width: 100%; display: block; image-rendering: pixelated; border-radius: 3px; }}
.way .lane .few {{ display: none; }}
.way .heat, .way p {{ grid-column: 2; }}
.way .heat {{ position: relative; }}
.way .lane .heat img {{ height: 14px; border-radius: 2px; outline: 1px solid rgba(128, 128, 128, .35); }}
.way .heat u {{ position: absolute; bottom: -7px; margin-left: -5px; border: 5px solid transparent; border-top: 0; }}
.way .heat u {{ border-bottom: 7px solid currentColor; }}
.way p {{ display: flex; justify-content: space-between; gap: 1rem; margin: 5px 0 3px; font-size: .8rem; }}
.way p {{ line-height: 1.25; }}
.way p b {{ white-space: nowrap; font-variant-numeric: tabular-nums; }}
.dreams {{ margin: 0; }}
.dreams figcaption {{ font-size: .88rem; font-weight: 600; margin-bottom: .3rem; }}
.dreams div {{ display: flex; gap: 8px; align-items: stretch; max-width: 420px; }}
.dreams img {{ min-width: 0; image-rendering: pixelated; border-radius: 3px; }}
@media (max-width: 640px) {{
  .way .lane {{ gap: 2px 2px; grid-template-columns: 1fr 8fr 1fr; }}
  .way .lane .frames {{ display: none; }}
  .way .lane .few {{ display: block; }}
  .way .heat, .way p {{ grid-column: 1 / -1; }}
  .way .heat {{ margin: 0 12.5%; }} /* the original, and half a step: it begins half a step before the first image */
}}
</style>"""
