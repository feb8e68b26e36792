"""Pictures of ways through a latent space: heat strips of log p(z), the plane with the ways. numpy in; figures out.

Nothing here knows torch or Streamlit. A standard prior's scale goes from black over grey, a learned one's from black
over purple, both to nearly white: the lighter, the likelier, on any ground.
"""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from app import figures

RAMPS = {
    False: ("#101418", "#454C54", figures.GREY, "#C5CBD1", "#FBFCFD"),
    True: ("#160A14", "#5E2150", "#A94C86", figures.PURPLE, "#FDF1F8"),
}
TILE = 32  # pixels: the least height of a mosaic's images


@dataclass(frozen=True, eq=False)
class Way:
    """A way over the plane [T, 2] under its number in the list; `straight` is drawn beside it where it differs."""

    number: int
    places: np.ndarray
    straight: np.ndarray | None = None


def gradient(learned: bool) -> str:
    """The scale as CSS has it."""
    return f"linear-gradient(90deg, {', '.join(RAMPS[learned])})"


def strip(log_p: np.ndarray, steps: int, ends: tuple[float, float], learned: bool) -> str:
    """log p(z) along a way of `steps` images as a picture of one row, which lies under them: step t below image t.

    Args:
        log_p: at the steps and evenly between them, from the first to the last.
        ends: nats at the ends of the colours' scale.
    """
    fine = (len(log_p) - 1) // (steps - 1)
    # In steps, from half an image's width before the first to half of one after the last.
    at = (np.arange(steps * fine) + 0.5) / fine - 0.5
    values = np.interp(at * fine, np.arange(len(log_p)), log_p)
    place = np.clip((values - ends[0]) / max(ends[1] - ends[0], 1e-9), 0, 1)
    colours = np.array([rgb(colour) for colour in RAMPS[learned]])
    stops = np.linspace(0, 1, len(colours))
    return figures.data_uri(np.stack([np.interp(place, stops, channel) for channel in colours.T])[:, None])


def mosaic(images: np.ndarray) -> str:
    """Images [rows, columns, C, H, W] in [0, 1] with clear gaps between them, as a data URI."""
    rows, columns, channels, height, width = images.shape
    larger = max(1, TILE // height)  # so that a gap of one pixel is narrow beside an image of few
    images = images.repeat(larger, -2).repeat(larger, -1)
    images = np.broadcast_to(images, (rows, columns, 3, *images.shape[-2:])) if channels == 1 else images
    opaque = np.ones((rows, columns, 1, *images.shape[-2:]), images.dtype)
    tiles = np.pad(np.concatenate([images, opaque], 2), ((0, 0),) * 3 + ((0, 1), (0, 1)))
    return figures.data_uri(tiles.transpose(2, 0, 3, 1, 4).reshape(4, rows * tiles.shape[3], -1)[:, :-1, :-1])


def rgb(colour: str) -> list[float]:
    return [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]


def plane_figure(
    axes: tuple[np.ndarray, np.ndarray], log_p: np.ndarray, dots: np.ndarray, ways: list[Way], learned: bool
) -> go.Figure:
    """A prior's contours at drops of 1, 2, 4, ... nats from its peak, faint codes [n, 2] and the ways over them."""
    traces = [contours(axes, log_p, figures.PURPLE if learned else figures.GREY)]
    marker = {"size": 3, "color": figures.ORANGE, "opacity": 0.5}
    # Not on WebGL, which would lay them over the ways.
    traces.append(go.Scatter(x=dots[:, 0], y=dots[:, 1], mode="markers", marker=marker, hoverinfo="skip"))
    for way in ways:
        traces += way_lines(way)
    axis = {"showgrid": False, "zeroline": False, "ticks": "outside", "nticks": 5, "constrain": "domain"}
    layout = go.Layout(
        xaxis={**axis, "range": figures.ends(axes[0]), "constraintoward": "left"},
        yaxis={**axis, "range": figures.ends(axes[1]), "constraintoward": "top", "scaleanchor": "x"},
        margin={"l": 30, "r": 4, "t": 6, "b": 24},
        showlegend=False,
        hovermode="closest",
        dragmode="pan",
    )
    return go.Figure(traces, layout)


def contours(axes: tuple[np.ndarray, np.ndarray], log_p: np.ndarray, colour: str) -> go.Contour:
    """As those of a true posterior, in the prior's colour."""
    red, green, blue = (round(255 * part) for part in rgb(colour))
    steps = enumerate((0, *figures.OPACITIES))
    return go.Contour(
        x=axes[0].astype(np.float32),
        y=axes[1].astype(np.float32),
        z=figures.heights(log_p).T.astype(np.float32),
        customdata=log_p.T.astype(np.float32),
        zmin=-5.5,
        zmax=0.5,
        contours={"start": -5, "end": 0, "size": 1, "coloring": "fill"},
        line={"width": 0.6, "color": f"rgba({red}, {green}, {blue}, 0.8)"},
        colorscale=[[step / 6, f"rgba({red}, {green}, {blue}, {opacity})"] for step, opacity in steps],
        showscale=False,
        hovertemplate="z1 %{x:.2f}, z2 %{y:.2f}<br>log p(z) %{customdata:.1f} nats<extra></extra>",
    )


def way_lines(way: Way) -> list[go.Scatter]:
    """The way on a pale casing, a dot at each image, its number where it begins; the straight line dotted."""
    x, y = way.places.T
    casing = {"color": "rgba(255, 255, 255, 0.75)", "width": 5}
    traces = [go.Scatter(x=x, y=y, mode="lines", line=casing, hoverinfo="skip")]
    if way.straight is not None:
        line = {"color": figures.BLUE, "width": 1.2, "dash": "dot"}
        traces.append(go.Scatter(x=way.straight[:, 0], y=way.straight[:, 1], mode="lines", line=line, hoverinfo="skip"))
    said = {"hovertemplate": f"way {way.number}<br>z1 %{{x:.2f}}, z2 %{{y:.2f}}<extra></extra>"}
    sizes = np.where(np.arange(len(x)) == len(x) - 1, 9, 4)
    dots, line = {"size": sizes, "color": figures.BLUE, "opacity": 1}, {"color": figures.BLUE, "width": 2.6}
    traces.append(go.Scatter(x=x, y=y, mode="lines+markers", line=line, marker=dots, **said))
    ball = {"size": 16, "color": figures.BLUE, "opacity": 1, "line": {"width": 1, "color": "white"}}
    text = {"text": [str(way.number)], "textfont": {"size": 11, "color": "white"}}
    traces.append(go.Scatter(x=x[:1], y=y[:1], mode="markers+text", marker=ball, **text, **said))
    return traces
