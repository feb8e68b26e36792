"""Pictures of what the encoder loses on many images: a scale of colours, histograms by label. numpy in, figures out.

Nothing here knows torch or Streamlit.
"""

import math
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from app import figures
from app.numbers import measured
from vaecore.text import counted

CLIPPED = 0.02  # of the values on either side lie beyond the ends of the colours
DECADES = 1.3  # values that span more of them are shown on a logarithmic scale
BINS = 32
ROW, ALL = 30, 20  # pixels of a label's row; with more labels than ALL half of that
ONE = "all"  # the row's name where there are no labels


@dataclass(frozen=True)
class Scale:
    """A sequential scale from `low` to `high`, values beyond in the colours of the ends; ticks with their names."""

    low: float
    high: float
    log: bool
    ticks: tuple[tuple[float, str], ...]


def scale(values: np.ndarray) -> Scale:
    """The scale of finite values [n]: its ends are their 2 % and 98 % quantiles."""
    low, high = np.quantile(values, [CLIPPED, 1 - CLIPPED]).tolist()
    log = spans_decades(low, high)
    if log:
        low = max(low, figures.FLOOR * min(1.0, high))
    if high <= low:
        high = low + max(abs(low), 1.0) * 1e-6
    marks = thinned(figures.log_marks(math.log10(low), math.log10(high))) if log else even_marks(low, high)
    ticks = tuple((mark, plain(mark)) for mark in marks if low <= mark <= high)
    return Scale(low, high, log, ticks)


def spans_decades(low: float, high: float) -> bool:
    return low >= 0 and high > 0 and math.log10(high / max(low, 1e-12)) > DECADES


def even_marks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers from low to high, a step of 1, 2 or 5 times a power of ten apart."""
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(power * factor for factor in (1, 2, 5, 10) if (high - low) / (power * factor) <= most)
    return [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def thinned(marks: list[float], most: int = 6) -> list[float]:
    return marks[:: math.ceil(len(marks) / most)] if marks else marks


def plain(mark: float) -> str:
    """A tick without markup: 0.002, 5, 1e-6."""
    return f"{mark:.12g}".replace("-", "\N{MINUS SIGN}")


# ---- by label


def by_label(values: np.ndarray, labels: np.ndarray | None, axis: str, unit: str) -> go.Figure:
    """A histogram of the values [n] in a row for each label, all on one axis, the medians marked.

    Bars are as high as the share of the label's images that they hold; each carries its label and its count.
    """
    names = [ONE] if labels is None else np.unique(labels).tolist()
    groups = [values if name == ONE else values[labels == name] for name in names]
    log = spans_decades(*np.quantile(values, [CLIPPED, 1 - CLIPPED]))
    floor = figures.FLOOR * min(1.0, float(values.max())) if log else -np.inf
    edges = np.linspace(*ends(transformed(values, log, floor)), BINS + 1)
    counts = [np.histogram(transformed(group, log, floor), edges)[0] for group in groups]
    tallest = max(float((count / count.sum()).max()) for count in counts)
    traces = [
        bars(name, row, edges, count, tallest, log, unit)
        for row, (name, count) in enumerate(zip(names, counts, strict=True))
    ]
    middles = np.array([np.median(group) for group in groups])
    traces += medians(names, middles, transformed(middles, log, floor), unit)
    return go.Figure(traces, layout(names, edges, log, axis))


def transformed(values: np.ndarray, log: bool, floor: float) -> np.ndarray:
    return np.log10(np.maximum(values, floor)) if log else values


def ends(positions: np.ndarray) -> tuple[float, float]:
    low, high = float(positions.min()), float(positions.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def bars(
    name: int | str, row: int, edges: np.ndarray, count: np.ndarray, tallest: float, log: bool, unit: str
) -> go.Bar:
    """One label's histogram, standing on the line of its row; rows go downwards."""
    filled = np.flatnonzero(count)
    limits = 10**edges if log else edges
    said = [
        [
            name if name != ONE else -1,
            int(count[k]),
            f"{counted(int(count[k]), 'image')}<br>{limits[k]:.3g} to {limits[k + 1]:.3g} {unit}",
        ]
        for k in filled
    ]
    return go.Bar(
        x=((edges[:-1] + edges[1:]) / 2)[filled].astype(np.float32),
        y=(0.92 * count / count.sum() / tallest)[filled].astype(np.float32),
        base=np.full(len(filled), -row, np.float32),
        width=float(edges[1] - edges[0]),
        customdata=said,
        name=str(name),
        marker={"color": figures.GREY if name == ONE else figures.CLASSES[name % len(figures.CLASSES)]},
        # A click chooses a label: the other bars need not fade.
        unselected={"marker": {"opacity": 1}},
        hovertemplate=f"{'' if name == ONE else f'label {name}: '}%{{customdata[2]}}<extra></extra>",
    )


def medians(names: list[int | str], values: np.ndarray, at: np.ndarray, unit: str) -> list[go.Scatter]:
    """An upright line in each row, on a pale casing that keeps it apart from dark bars."""
    gap = np.full(len(at), np.nan)
    rows = -np.arange(len(at), dtype=float)
    x, y = np.stack([at, at, gap], 1).ravel(), np.stack([rows, rows + 0.92, gap], 1).ravel()
    said = [
        [name if name != ONE else -1, f"median {measured(value, unit)}"]
        for name, value in zip(names, values, strict=True)
    ]
    shared = {"x": x, "y": y, "mode": "lines", "customdata": [each for each in said for _ in range(3)]}
    return [
        go.Scatter(line={"color": "rgba(255, 255, 255, 0.85)", "width": 5}, hoverinfo="skip", name="", **shared),
        go.Scatter(
            line={"color": figures.PATH, "width": 2},
            name="median",
            hovertemplate="%{customdata[1]}<extra></extra>",
            **shared,
        ),
    ]


def layout(names: list[int | str], edges: np.ndarray, log: bool, axis: str) -> go.Layout:
    low, high = float(edges[0]), float(edges[-1])
    marks = figures.log_marks(low, high) if log else even_marks(low, high, 8)
    across = {
        "range": [low - 0.02 * (high - low), high + 0.02 * (high - low)],
        "tickvals": [math.log10(mark) if log else mark for mark in marks],
        "ticktext": [figures.power(mark) if log else plain(mark) for mark in marks],
    }
    rows = [-row for row in range(len(names))]
    return go.Layout(
        xaxis={"title": {"text": axis, "standoff": 6}, "zeroline": False, "ticks": "outside", **across},
        yaxis={
            "tickvals": rows,
            "ticktext": list(map(str, names)),
            "range": [rows[-1] - 0.1, 1.05],
            "zeroline": False,
            "fixedrange": True,
        },
        height=74 + (ROW if len(names) <= ALL else ROW // 2) * max(3, len(names)),
        margin={"l": 34, "r": 8, "t": 6, "b": 46},
        barmode="overlay",
        bargap=0,
        showlegend=False,
        hovermode="closest",
        dragmode=False,
    )
