"""Pictures of a training: its curves, the latent map and one posterior of an epoch. numpy in; figures out.

Nothing here knows torch or Streamlit.
"""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from app import figures
from app.figures import BLUE, GREEN, GREY, ORANGE, VERMILION
from app.numbers import nats
from vaecore.text import a

MARGIN = {"l": 52, "r": 8, "t": 34, "b": 36}


@dataclass(frozen=True, eq=False)
class Curves:
    """Of each whole epoch, nats per image; valid may hold nan. objective: [K, 2], epochs gone by and nats of a step."""

    epoch: np.ndarray
    train: np.ndarray
    valid: np.ndarray
    reconstruction: np.ndarray
    kl: np.ndarray
    objective: np.ndarray


def loss_figure(curves: Curves, epochs: int, at: int | None = None) -> go.Figure:
    """What is maximised, and the bound on images held out: the higher, the better. `at`: an epoch to point at."""
    traces = []
    if len(curves.objective):
        faint = {"color": GREY, "width": 1}
        x, y = curves.objective.T
        traces.append(go.Scatter(x=x, y=y, mode="lines", line=faint, name="single batches", opacity=0.6))
    traces += [line(curves.epoch, curves.train, "training", BLUE), line(curves.epoch, curves.valid, "held out", ORANGE)]
    figure = go.Figure(traces, curve_layout("ELBO, nats per image", epochs, "curves"))
    figure.update_yaxes(range=sensible(np.concatenate([curves.train, curves.valid])))
    return pointed(figure, at)


def parts_figure(curves: Curves, epochs: int, at: int | None = None) -> go.Figure:
    """The bound's two terms on images held out, each on an axis of its own."""
    traces = [
        line(curves.epoch, curves.reconstruction, "reconstruction, E log p(x|z)", GREEN),
        line(curves.epoch, curves.kl, "KL(q(z|x) || p(z)), right axis", VERMILION).update(yaxis="y2", line_dash="dot"),
    ]
    figure = go.Figure(traces, curve_layout("its two parts, nats", epochs, "parts"))
    figure.update_yaxes(range=sensible(curves.reconstruction))
    figure.layout.yaxis2 = {"overlaying": "y", "side": "right", "showgrid": False, "nticks": 5, "tickformat": ".2~f"}
    highest = curves.kl[np.isfinite(curves.kl)].max(initial=0.0)
    figure.layout.yaxis2.range = [0, float(max(1.08 * highest, 1e-3))]
    figure.layout.margin.r = 40
    return pointed(figure, at)


def line(x: np.ndarray, y: np.ndarray, name: str, colour: str) -> go.Scatter:
    mode = "lines" if len(x) > 30 else "lines+markers"
    return go.Scatter(
        x=x,
        y=y,
        name=name,
        mode=mode,
        line={"color": colour, "width": 2},
        marker={"size": 5},
        customdata=[nats(value) for value in y],
        hovertemplate="epoch %{x}: %{customdata} nats<extra>" + name + "</extra>",
    )


def sensible(values: np.ndarray) -> list[float] | None:
    """A range that shows where a curve ends, not how deep it began: from the third that is reached early upwards."""
    values = values[np.isfinite(values)]
    if len(values) < 4:
        return None
    low, high = min(np.quantile(values, 0.1), *values[-3:]), values.max()
    gap = max(high - low, 1e-3)
    return [float(low - 0.1 * gap), float(high + 0.08 * gap)]


def pointed(figure: go.Figure, at: int | None) -> go.Figure:
    if at is not None:
        figure.add_vline(x=at, line={"color": GREY, "width": 1.5, "dash": "dot"})
    return figure


def curve_layout(title: str, epochs: int, key: str) -> go.Layout:
    return go.Layout(
        title={"text": title, "font": {"size": 13}, "x": 0, "xref": "container", "y": 0.99, "yanchor": "top"},
        xaxis={"title": {"text": "epoch", "standoff": 2}, "range": [0, epochs + 0.5], "nticks": 6, "zeroline": False},
        yaxis={"nticks": 5, "zeroline": False},
        legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom", "font": {"size": 11}},
        margin={**MARGIN, "t": 52},
        uirevision=key,
        dragmode=False,
        hovermode="closest",
    )


def map_figure(codes: np.ndarray, labels: np.ndarray | None, reach: float) -> go.Figure:
    """The latent map: codes [N, 2] by class, within +-reach."""
    colour = figures.CLASSES[0] if labels is None else [figures.CLASSES[label % 10] for label in labels]
    text = None if labels is None else [a(label) for label in labels]
    marker = {"size": 6, "color": colour, "opacity": 0.85}
    dots = go.Scatter(x=codes[:, 0], y=codes[:, 1], mode="markers", marker=marker, text=text)
    dots.update(hovertemplate="z1 %{x:.2f}, z2 %{y:.2f}, %{text}<extra></extra>", showlegend=False)
    figure = go.Figure([dots], figures.small_layout("codes of test images"))
    figure.update_xaxes(range=[-reach, reach], nticks=7)
    figure.update_yaxes(range=[-reach, reach], nticks=7)
    return figure


def posterior_figure(shot: dict[str, np.ndarray]) -> go.Figure:
    """The true posterior of the first image under the encoder's q."""
    axes = tuple(shot["axes"])
    q = figures.encoder(shot["q_loc"], shot["q_scale"])
    shapes = [] if "q_draws" in shot else [q]
    title = "true posterior and q(z|x)"
    figure = figures.posterior_figure(axes, shot["log_density"], shapes, title, small=True)
    if "q_draws" in shot:
        x, y = shot["q_draws"].T
        figure.add_scatter(x=x, y=y, mode="markers", marker={"size": 3.5, "color": ORANGE}, hoverinfo="skip")
    return figure


def reach_of(all_codes: list[np.ndarray]) -> float:
    """The least whole number that holds them all: the map's frame stays still."""
    farthest = max((float(np.abs(codes).max()) for codes in all_codes if codes.size), default=3.0)
    return float(np.ceil(max(3.0, farthest) * 1.02))
