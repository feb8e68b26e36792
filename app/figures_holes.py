"""Pictures of a prior against the codes: the map of log q(z) - log p(z), histograms. numpy in; figures, arrays out.

Nothing here knows torch or Streamlit. Holes, where the prior puts mass and no code lies, are vermilion; overfull
regions blue; where the two agree a pale grey; where neither has mass the page's ground shows through.
"""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from app import figures

HOLE, EVEN, FULL = figures.VERMILION, "#E9E7E2", figures.BLUE
LIMITS = (1.0, 2.0, 4.0, 8.0, 16.0)  # nats at the ends of the map's scale: the least that holds most of what is seen
SEEN = 0.9
BINS, FINE = 24, 60
CLEAR, GONE = 3.5, 7.0  # nats below a density's typical height: where a map begins to fade, and is gone


@dataclass(frozen=True)
class Style:
    """How a checkpoint is drawn here: a standard prior grey, learned ones purple and told apart by the dash."""

    colour: str
    dash: str = "solid"


def styles(kinds: list[str]) -> list[Style]:
    """One for each of "standard", "post-hoc", "joint", ...; the second of a kind takes the next free dash."""
    first, found = {"post-hoc": "dot", "iterative": "dashdot"}, []
    for kind in kinds:
        colour = figures.GREY if kind == "standard" else figures.PURPLE
        wanted = (first.get(kind, "solid"), *figures.DASHES)
        free = [dash for dash in wanted if Style(colour, dash) not in found]
        found.append(Style(colour, (free or wanted)[0]))
    return found


# ---- the map


def visible(log_q: np.ndarray, log_p: np.ndarray) -> np.ndarray:
    """How much of the map is shown at each node, in [0, 1]: nothing where both densities are negligible.

    A density's typical height is its own mean of its logarithm; of a 2-D Gaussian 3 sd lie 3.5 nats below it, 4 sd 7.
    """
    drops = [typical(log_density) - log_density for log_density in (log_q, log_p)]
    return np.clip((GONE - np.minimum(*drops)) / (GONE - CLEAR), 0, 1)


def typical(log_density: np.ndarray) -> float:
    """E[log density] under the density itself, on an even grid."""
    weight = np.exp(log_density - log_density.max())
    return float((weight * np.maximum(log_density, -1e9)).sum() / weight.sum())


def limit(difference: np.ndarray, shown: np.ndarray) -> float:
    """Nats at the ends of the symmetric scale."""
    weight = shown / max(shown.sum(), 1e-12)
    for end in LIMITS:
        if weight[np.abs(difference) <= end].sum() >= SEEN:
            return end
    return LIMITS[-1]


def shade(difference: np.ndarray, shown: np.ndarray, end: float) -> np.ndarray:
    """The map as an image [4, H, W] in [0, 1], its first row at the top; inputs are [len(z1), len(z2)]."""
    place = np.clip(np.nan_to_num(difference, nan=0.0) / end, -1, 1)
    colours = np.array([rgb(colour) for colour in (HOLE, EVEN, FULL)])
    image = [np.interp(place, [-1, 0, 1], channel) for channel in colours.T]
    return np.stack([*image, shown])[:, :, ::-1].transpose(0, 2, 1)


def rgb(colour: str) -> list[float]:
    return [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]


# ---- histograms


def span(groups: list[np.ndarray], far: float = 3.0) -> tuple[float, float]:
    """The common axis: all values but those more than `far` interquartile ranges outside their group's quartiles."""
    ends = []
    for values in groups:
        low, high = np.quantile(values, [0.25, 0.75])
        reach = far * (high - low)
        ends.append((max(values.min(), low - reach), min(values.max(), high + reach)))
    left, right = min(low for low, _ in ends), max(high for _, high in ends)
    pad = 0.03 * (right - left) + 1e-3
    return float(left - pad), float(right + pad)


def counts(values: np.ndarray, ends: tuple[float, float], bins: int = BINS) -> np.ndarray:
    """How many values lie in each of `bins` equal parts of the axis; what lies outside counts at its end."""
    return np.histogram(np.clip(values, *ends), bins, ends)[0]


def histogram(values: np.ndarray, ends: tuple[float, float], most: int, colour: str, title: str) -> go.Figure:
    """One group's histogram on a common axis up to `most` values a bin, its median as a line."""
    edges = np.linspace(*ends, BINS + 1)
    middle = float(np.median(values))
    bar = go.Bar(
        x=(edges[1:] + edges[:-1]) / 2,
        y=counts(values, ends),
        width=edges[1] - edges[0],
        marker={"color": colour, "line": {"width": 0}},
        hovertemplate="%{y} near %{x:.1f} nats<extra></extra>",
    )
    axis = {"showgrid": False, "zeroline": False, "ticks": "outside", "tickfont": {"size": 11}}
    note = {
        "x": np.clip(middle, *ends),
        "text": f"median {middle:,.1f}".replace("-", "\N{MINUS SIGN}"),
        "y": 1,
        "yref": "paper",
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"size": 11},
        "xanchor": anchor(middle, ends),
    }
    layout = go.Layout(
        xaxis={"title": {"text": title, "standoff": 4, "font": {"size": 12}}, "range": ends, "nticks": 6, **axis},
        yaxis={"range": [0, 1.05 * most], "nticks": 4, **axis},
        margin={"l": 28, "r": 6, "t": 22, "b": 40},
        annotations=[note],
        showlegend=False,
        dragmode=False,
        bargap=0,
    )
    figure = go.Figure([bar], layout)
    for width, colour in ((4.5, "rgba(255, 255, 255, 0.8)"), (2, figures.PATH)):  # seen on any ground
        figure.add_vline(x=middle, line={"width": width, "color": colour})
    return figure


def anchor(middle: float, ends: tuple[float, float]) -> str:
    """On which side of its line a note has room."""
    place = (middle - ends[0]) / (ends[1] - ends[0])
    return "left" if place < 0.3 else "right" if place > 0.7 else "center"


def overlaid(groups: dict[str, np.ndarray], drawn: list[Style], title: str) -> go.Figure:
    """Densities of several groups over each other, as steps; each has a name, and a style in the same order."""
    ends = 0.0, max(float(np.quantile(values, 0.995)) for values in groups.values())
    edges, traces = np.linspace(*ends, FINE + 1), []
    for (name, values), style in zip(groups.items(), drawn, strict=True):
        inside = np.histogram(values, edges)[0] / (len(values) * (edges[1] - edges[0]))
        line = {"color": style.colour, "width": 2.2, "dash": style.dash, "shape": "hvh"}
        traces.append(
            go.Scatter(
                x=(edges[1:] + edges[:-1]) / 2,
                y=inside,
                mode="lines",
                line=line,
                name=figures.in_figure(name),
                hovertemplate=f"{figures.in_figure(name)}<br>%{{x:.3g}}: %{{y:.3g}}<extra></extra>",
            )
        )
    axis = {"showgrid": False, "zeroline": False, "ticks": "outside", "tickfont": {"size": 11}}
    layout = go.Layout(
        xaxis={"title": {"text": title, "standoff": 4, "font": {"size": 12}}, "range": ends, "nticks": 6, **axis},
        yaxis={"rangemode": "tozero", "nticks": 4, **axis},
        margin={"l": 34, "r": 6, "t": 8, "b": 40},
        showlegend=False,
        dragmode=False,
    )
    return go.Figure(traces, layout)
