"""Widths of the posteriors and distances between them, several checkpoints over each other: the paper's Figure 3."""

from html import escape

import numpy as np
import streamlit as st

from app import figures, figures_holes, holes, holes_words, panels, ranking
from app.holes import Entry, Shape
from app.plain import plain
from vaecore.text import counted

HEIGHT = 230  # pixels
SHAPES = {
    "scale": "standard deviations of q(z|x)",
    "distance": "distance to the closest other mean",
    "normalised": "the same in standard deviations",
}
LONG = 3.0  # seconds: what takes longer is computed when it is asked for


def shapes(entries: list[Entry], names: dict[str, str]) -> None:
    """Figure 3: how wide the posteriors are and how far apart, of each body once."""
    chosen = [entry for place, entry in enumerate(entries) if entry.body not in [e.body for e in entries[:place]]]
    count = len(holes.codes(chosen[0])[0])
    st.subheader("How wide are the posteriors, how far apart?", anchor=False)
    waiting = [entry for entry in chosen if not holes.pairs_known(entry)]
    seconds = sum(holes.pace(entry.body, entry) for entry in waiting)
    if seconds > LONG and not st.session_state.get("prior_pairs"):
        st.button(
            f"Compare the closest pairs of {counted(count, 'code')}: {ranking.duration(seconds)}",
            key="pairs",
            icon=":material/play_circle:",
            on_click=lambda: st.session_state.update(prior_pairs=True),
        )
        return
    with st.spinner(
        f"Finding the nearest neighbour of each of {counted(count, 'code')}, once for each checkpoint", show_time=True
    ):
        found = {label(entries, entry, names): holes.shape(entry) for entry in chosen}
    styles = figures_holes.styles([entry.kind for entry in chosen])
    key = "".join(
        f"<span><i style='border-top: 3px {figures.border(style.dash)} {style.colour}'></i>{escape(name)}</span>"
        for name, style in zip(found, styles, strict=True)
    )
    st.html(f"{STYLE}<div class='names'>{key}</div>")
    for column, (measure, title) in zip(st.columns(3, gap="small"), SHAPES.items(), strict=True):
        groups = {name: getattr(shape, measure) for name, shape in found.items()}
        figure = figures_holes.overlaid(groups, styles, title)
        medians = ", ".join(f"{name} {np.median(values):.3g}" for name, values in groups.items())
        alt = f"Histograms of the {title}; medians: {medians}"
        column.plotly_chart(figure, key=f"shape-{measure}", height=HEIGHT, config=panels.HIDE_BAR, alt=alt)
        column.caption(f"medians: {plain(medians)}")
    moved = {name: (shape.mean, shape.variance) for name, shape in found.items()}
    st.markdown(plain(holes_words.comparable(moved)))
    st.html(moments(found))


def label(entries: list[Entry], entry: Entry, names: dict[str, str]) -> str:
    """The names of all checkpoints of this encoder."""
    return " = ".join(names[other.checkpoint.name] for other in entries if other.body == entry.body)


def average_and_range(values: np.ndarray) -> str:
    average, least, most = (f"{value:.2f}".replace("-", "\N{MINUS SIGN}") for value in round_all(values))
    return f"{average} ({least} to {most})"


def round_all(values: np.ndarray) -> list[float]:
    """Mean, least, greatest; adding 0 rids a rounded zero of its sign."""
    return [round(float(value), 2) + 0.0 for value in (values.mean(), values.min(), values.max())]


def moments(found: dict[str, Shape]) -> str:
    """Mean and variance of q(z), by their range over the dimensions."""
    rows = "".join(
        f"<tr><th scope='row'>{escape(name)}</th>"
        + "".join(f"<td>{average_and_range(values)}</td>" for values in (shape.mean, shape.variance))
        + "</tr>"
        for name, shape in found.items()
    )
    heads = "<th></th><th scope='col'>mean of q(z)</th><th scope='col'>variance of q(z)</th>"
    return (
        f"{STYLE}<table class='moments'><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        "<small class='note'>average over dimensions, and the range</small>"
    )


STYLE = """<style>
.names { display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; font-size: .86rem; }
.names i { display: inline-block; width: 26px; margin-right: 8px; vertical-align: middle; }
.moments { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; }
.moments th, .moments td { padding: .25rem .9rem .25rem 0; font-weight: 400; text-align: left;
  border-bottom: 1px solid rgba(128, 140, 150, .35); }
.moments thead th { font-weight: 600; }
.note { font-size: .78rem; opacity: .75; }
</style>"""
