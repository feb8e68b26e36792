"""VAEscope's one visual language: numpy in; plotly figures, strings and arrays out.

Nothing here knows torch or Streamlit. The colours work on light and dark ground alike: the true posterior is one blue
of growing opacity, so that the ground shows through where there is no mass.
"""

import base64
import math
import struct
import zlib
from dataclasses import dataclass
from html import escape

import numpy as np
import plotly.graph_objects as go

from app.numbers import nats, significant

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#E69F00", "#009E73", "#8A939C"
SKY, VERMILION, PURPLE, YELLOW = "#56B4E9", "#D55E00", "#CC79A7", "#F0E442"
# Where systems stand side by side, each wears its own. Okabe and Ito have five colours beside the true posterior's
# blue, the best Gaussian's green, and black, lost on a dark ground: so two systems share one and differ by the dash.
SYSTEMS: dict[str, tuple[str, str]] = {
    "vae": (ORANGE, "solid"),
    "sa": (ORANGE, "dot"),
    "gpvae": (PURPLE, "solid"),
    "laplace-vae": (PURPLE, "dot"),
    "rme": (VERMILION, "solid"),
    "me": (VERMILION, "dot"),
    "iaf": (SKY, "solid"),
    "hf": (SKY, "dot"),
    "bvi-er1": (YELLOW, "solid"),
    "bvi-er2": (YELLOW, "dot"),
}
PATH = "#4A4F55"  # a refinement's steps
DASHES = ("solid", "dot", "dashdot", "longdashdot")  # "dash" is the best Gaussian's
# Ten class colours that stay apart under the common colour blindnesses (Petroff 2021, "Accessible color sequences").
CLASSES = ("#3F90DA", "#FFA90E", "#BD1F01", "#94A4A2", "#832DB6", "#A96B59", "#E76300", "#B9AC70", "#717581", "#92DADD")
DROPS = (1, 2, 4, 8, 16, 32)  # nats below the peak: where the true posterior's contours lie
SIGMAS = (1, 2, 3)  # where q's outlines lie: a Gaussian's density has dropped by k² / 2 nats at k sigma
STILL = {"itemclick": False, "itemdoubleclick": False}  # of a legend: what is hidden stands in the address
OPACITIES = (0.14, 0.18, 0.23, 0.3, 0.38, 0.48)  # of the blue that each contour adds, from the outermost inwards

Frame = tuple[float, float, float, float]


@dataclass(frozen=True)
class Gaussian:
    """A diagonal Gaussian in the latent plane, and how it is drawn."""

    name: str
    loc: np.ndarray
    scale: np.ndarray
    colour: str
    dash: str = "solid"
    levels: tuple[int, ...] = SIGMAS

    def box(self, sigmas: float = 3) -> Frame:
        (x, y), (dx, dy) = self.loc, sigmas * self.scale
        return float(x - dx), float(x + dx), float(y - dy), float(y + dy)


@dataclass(frozen=True, eq=False)
class Density:
    """Any other density in the latent plane, log q [len(z1), len(z2)] on a grid of its own, and how it is drawn.

    `reach` is the drop in nats from its peak that bounds as much of its mass as 3 sigma do of a Gaussian's.
    """

    name: str
    axes: tuple[np.ndarray, np.ndarray]
    log_density: np.ndarray
    peak: np.ndarray
    reach: float
    colour: str
    dash: str = "solid"
    levels: tuple[int, ...] = SIGMAS

    @property
    def farther(self) -> float | None:
        """Where one more line lies, as a Gaussian's sigmas, if much of the mass lies below the third."""
        sigma = (2 * self.reach) ** 0.5
        return sigma if sigma > SIGMAS[-1] + 0.5 else None

    def box(self) -> Frame:
        inside = sigmas(self.log_density) <= (self.farther or SIGMAS[-1])
        ends = [axis[inside.any(1 - side)][[0, -1]] for side, axis in enumerate(self.axes)]
        return tuple(float(end) for pair in ends for end in pair)


Outline = Gaussian | Density


@dataclass(frozen=True, eq=False)
class Path:
    """The stages of a refinement: the means of q [K, 2], the encoder's first, and the exact gap of each in nats."""

    places: np.ndarray
    gaps: np.ndarray
    errors: np.ndarray


def encoder(loc: np.ndarray, scale: np.ndarray) -> Gaussian:
    return Gaussian("encoder q(z|x)", loc, scale, ORANGE)


def best(loc: np.ndarray, scale: np.ndarray) -> Gaussian:
    return Gaussian("best Gaussian", loc, scale, GREEN, "dash")


def border(dash: str) -> str:
    """A line's dash as the border of a legend draws it: CSS has three."""
    return {"solid": "solid", "dot": "dotted"}.get(dash, "dashed")


def styles(systems: list[str]) -> list[tuple[str, str]]:
    """Colour and dash of each system in one picture: its own, but for a second checkpoint of a system another dash."""
    found: list[tuple[str, str]] = []
    for system in systems:
        colour, dash = SYSTEMS.get(system, (GREY, "solid"))
        free = [other for other in (dash, *DASHES) if (colour, other) not in found]
        found.append((colour, free[0] if free else dash))
    return found


def square_frame(bulk: Frame, boxes: list[Frame], reach: float = 4.0, margin: float = 0.15) -> Frame:
    """The square around the posterior's bulk and each box that would not make it more than `reach` times as wide."""
    side, frame = extent(bulk), bulk
    for box in boxes:
        wider = (min(frame[0], box[0]), max(frame[1], box[1]), min(frame[2], box[2]), max(frame[3], box[3]))
        frame = wider if extent(wider) <= reach * side else frame
    x, y, half = (frame[0] + frame[1]) / 2, (frame[2] + frame[3]) / 2, extent(frame) * (0.5 + margin)
    return x - half, x + half, y - half, y + half


def extent(frame: Frame) -> float:
    """The longer side."""
    return max(frame[1] - frame[0], frame[3] - frame[2])


def axis_points(low: float, high: float, spans: list[tuple[float, float]], count: int) -> np.ndarray:
    """`count` points over [low, high]: half of them even, the others crowded into the spans, where details are."""
    edges = np.unique(np.clip([low, high, *np.ravel(spans)], low, high))
    middles, widths = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    density = np.full(len(widths), 0.5 / (high - low))
    for a, b in spans:
        a, b = max(a, low), min(b, high)
        if b > a:
            density += np.where((middles > a) & (middles < b), 0.5 / len(spans) / (b - a), 0.0)
    mass = np.concatenate([[0.0], np.cumsum(density * widths)])
    return np.interp(np.linspace(0, mass[-1], count), mass, edges)


def heights(log_density: np.ndarray) -> np.ndarray:
    """-log2 of the drop from the peak in nats: 0 at a drop of 1, -5 at 32; kept within [-6, 1]."""
    drop = np.nanmax(log_density) - log_density
    return -np.log2(np.clip(np.nan_to_num(drop, nan=np.inf), 0.5, 64.0))


def sigmas(log_density: np.ndarray) -> np.ndarray:
    """The drop from the peak as a Gaussian's standard deviations: k where it is k² / 2 nats."""
    drop = np.nanmax(log_density) - log_density
    return np.sqrt(2 * np.clip(np.nan_to_num(drop, nan=np.inf), 0, 1e4))


def ellipse(loc: np.ndarray, scale: np.ndarray, sigmas: float, points: int = 73) -> tuple[np.ndarray, np.ndarray]:
    """The closed curve `sigmas` standard deviations from the mean of a diagonal Gaussian."""
    angle = np.linspace(0, 2 * np.pi, points)
    return loc[0] + sigmas * scale[0] * np.cos(angle), loc[1] + sigmas * scale[1] * np.sin(angle)


def posterior_figure(
    axes: tuple[np.ndarray, np.ndarray],
    log_density: np.ndarray | None,
    shapes: list[Outline],
    title: str,
    truth: np.ndarray | None = None,
    path: Path | None = None,
    notes: list[str] | None = None,
    small: bool = False,
) -> go.Figure:
    """The true posterior's contours under outlines; log_density [len(z1), len(z2)], truth the z behind x.

    Without a log_density there are neither contours nor their key. A small figure is one of many: no key, no legend.
    """
    side = float(np.ptp(axes[0]))
    traces = [] if log_density is None else [contours(axes, log_density)]
    for shape in shapes:
        traces += outlines(shape, side) if isinstance(shape, Gaussian) else density_lines(shape)
    if path is not None:
        traces += path_lines(path, side)
    if truth is not None:
        marker = {"symbol": "star", "size": 13, "color": PURPLE, "line": {"width": 1, "color": "white"}}
        traces.append(go.Scatter(x=truth[:1], y=truth[1:], mode="markers", name="true z", marker=marker))
    frame = small_layout(title) if small else layout(title)
    if log_density is None:
        frame = {part: value for part, value in frame.items() if part not in ("shapes", "annotations")}
    figure = drawn(traces, frame)
    for axis, points in (("xaxis", axes[0]), ("yaxis", axes[1])):
        figure.layout[axis].range = [float(points[0]), float(points[-1])]
    if notes:
        figure.add_annotation(
            text="<br>".join(map(in_figure, notes)),
            x=0.01,
            y=0.01,
            xref="x domain",
            yref="y domain",
            xanchor="left",
            yanchor="bottom",
            align="left",
            showarrow=False,
            font={"size": 11, "color": "#1B2530"},
            bgcolor="rgba(255, 255, 255, 0.7)",
        )
    return figure


def contours(axes: tuple[np.ndarray, np.ndarray], log_density: np.ndarray) -> go.Contour:
    return go.Contour(
        x=axes[0].astype(np.float32),
        y=axes[1].astype(np.float32),
        z=heights(log_density).T.astype(np.float32),
        zmin=-5.5,
        zmax=0.5,
        contours={"start": -5, "end": 0, "size": 1, "coloring": "fill"},
        line={"width": 0.6, "color": blue(0.55)},
        colorscale=[[step / 6, blue(alpha)] for step, alpha in enumerate((0, *OPACITIES))],
        showscale=False,
        hovertemplate="z1 %{x:.3f}, z2 %{y:.3f}<extra></extra>",
        name="true posterior p(z|x)",
    )


def outlines(gaussian: Gaussian, side: float) -> list[go.Scatter]:
    """Its ellipses as one line, on a pale casing that keeps it apart from the blue; and the mean."""
    curves = np.stack([ellipse(gaussian.loc, gaussian.scale, k) for k in gaussian.levels])
    # A missing point after each curve lifts the pen.
    x, y = np.pad(curves, ((0, 0), (0, 0), (0, 1)), constant_values=np.nan).transpose(1, 0, 2).reshape(2, -1)
    shared = {"x": x, "y": y, "mode": "lines", "hoverinfo": "skip", "legendgroup": gaussian.name}
    roomy = gaussian.scale.min() > 0.02 * side  # else thick lines of three small ellipses would run together
    line = {"color": gaussian.colour, "width": 2.2 if roomy else 1.1, "dash": gaussian.dash}
    return [
        go.Scatter(line={"color": casing(gaussian.colour), "width": 4 if roomy else 0}, showlegend=False, **shared),
        go.Scatter(line=line, name=in_figure(gaussian.name), **shared),
        cross(gaussian.loc, "mean", gaussian.name, gaussian.colour),
    ]


def density_lines(density: Density) -> list[go.Contour | go.Scatter]:
    """Outlines of any density where a Gaussian's 1-2-3 sigma ellipses would lie, on a casing; and its peak."""
    height = sigmas(density.log_density).T.astype(np.float32)
    shared = {
        "x": density.axes[0].astype(np.float32),
        "y": density.axes[1].astype(np.float32),
        "z": height,
        "autocontour": False,
        "showscale": False,
        "hoverinfo": "skip",
        "legendgroup": density.name,
    }
    lines = [({"color": casing(density.colour), "width": 4.4}, density.levels, False)]
    if density.farther:
        lines.append(({"color": density.colour, "width": 1.1}, (density.farther,), False))
    lines.append(({"color": density.colour, "width": 2.4, "dash": density.dash}, density.levels, True))
    traces = [
        go.Contour(
            contours={"start": levels[0], "end": levels[-1], "size": 1, "coloring": "none"},
            line=line,
            name=in_figure(density.name),
            showlegend=named,
            **shared,
        )
        for line, levels, named in lines
    ]
    return [*traces, cross(density.peak, "peak", density.name, density.colour)]


def cross(place: np.ndarray, what: str, name: str, colour: str) -> go.Scatter:
    return go.Scatter(
        x=place[:1],
        y=place[1:],
        mode="markers",
        marker={"symbol": "x-thin", "size": 9, "line": {"width": 2.6, "color": colour}},
        showlegend=False,
        legendgroup=name,
        hovertemplate=f"{what} of {in_figure(name)}<br>z1 %{{x:.3f}}, z2 %{{y:.3f}}<extra></extra>",
    )


def casing(colour: str) -> str:
    """What keeps a line apart from the ground: pale under dark colours, dark under pale ones."""
    return "rgba(20, 30, 40, 0.6)" if colour in (YELLOW, SKY) else "rgba(255, 255, 255, 0.5)"


def path_lines(path: Path, side: float, apart: float = 0.03) -> list[go.Scatter]:
    """The means joined from the encoder's to the last; numbers where the dots stand apart, all of them on hovering."""
    shown, last = [], None
    for step, place in enumerate(path.places):
        clear = last is None or np.hypot(*(place - last)) > apart * side
        shown.append(str(step) if clear else "")
        last = place if clear else last
    uphill = np.prod(path.places[-1] - path.places[0]) > 0
    names = ["the encoder's mean" if step == 0 else f"after step {step}" for step in range(len(shown))]
    shared = {"x": path.places[:, 0], "y": path.places[:, 1], "legendgroup": "refinement"}
    return [
        go.Scatter(
            mode="lines",
            line={"color": "rgba(255, 255, 255, 0.7)", "width": 4.5},
            hoverinfo="skip",
            showlegend=False,
            **shared,
        ),
        go.Scatter(
            mode="lines+markers+text",
            name="refinement",
            line={"color": PATH, "width": 1.8},
            marker={"size": 7, "color": "white", "line": {"width": 1.8, "color": PATH}},
            text=shown,
            textposition="top left" if uphill else "top right",  # beside the line, not on it
            textfont={"size": 13, "weight": 700, "shadow": "auto"},
            customdata=[f"{name}: {nats(*gap)} nats" for name, *gap in zip(names, path.gaps, path.errors, strict=True)],
            hovertemplate="%{customdata}<extra></extra>",
            **shared,
        ),
    ]


def outside(z: np.ndarray, weight: np.ndarray, frame: Frame) -> float:
    """The share of points z [N, 2] that lie outside the frame, by their weights."""
    left, right, bottom, top = frame
    inside = (z[:, 0] >= left) & (z[:, 0] <= right) & (z[:, 1] >= bottom) & (z[:, 1] <= top)
    return float(1 - weight[inside].sum() / weight.sum())


def in_figure(text: str) -> str:
    """`text`, which may name a stranger's checkpoint, for plotly, which reads HTML and fills in what %{...} names."""
    return escape(text, quote=False).replace("%{", "%&#123;")


def blue(opacity: float) -> str:
    return f"rgba(0, 114, 178, {opacity:.3f})"


def drawn(traces: list, layout: dict) -> go.Figure:
    """A figure as the parts say, unchecked: plotly's checks take longer than all else that a click costs.

    tests/test_figures.py has plotly check them.
    """
    return go.Figure([trace.to_plotly_json() for trace in traces], layout, _validate=False)


def layout(title: str) -> dict:
    axis = {"showgrid": False, "zeroline": False, "ticks": "outside", "nticks": 6, "constrain": "domain"}
    shapes, notes = colour_bar()
    return dict(
        title={
            "text": in_figure(title),
            "font": {"size": 15},
            "x": 0,
            "xref": "container",
            "pad": {"l": 4},
            "y": 0.99,
            "yanchor": "top",
        },
        xaxis={"title": {"text": "z1", "standoff": 4}, **axis},
        yaxis={"title": {"text": "z2", "standoff": 4}, "scaleanchor": "x", "constraintoward": "top", **axis},
        legend={
            "orientation": "h",
            "x": 0,
            "xref": "paper",
            "y": 1.01,
            "yanchor": "bottom",
            "font": {"size": 12},
            **STILL,
        },
        margin={"l": 48, "r": 6, "t": 78, "b": 112},
        hovermode="closest",
        uirevision=title,
        dragmode="pan",
        shapes=shapes,
        annotations=notes,
    )


def small_layout(title: str) -> dict:
    axis = {"showgrid": False, "zeroline": False, "ticks": "outside", "nticks": 4, "constrain": "domain"}
    return dict(
        title={
            "text": in_figure(title),
            "font": {"size": 13},
            "x": 0,
            "xref": "container",
            "y": 0.98,
            "yanchor": "top",
        },
        xaxis=axis,
        yaxis={"scaleanchor": "x", **axis},
        margin={"l": 34, "r": 4, "t": 46, "b": 26},
        showlegend=False,
        hovermode="closest",
        uirevision=title,
        dragmode="pan",
    )


def colour_bar(start: float = 0.08, width: float = 0.84) -> tuple[list[dict], list[dict]]:
    """The contours' key under the picture, as shapes: plotly's own would drop the opacity."""
    step = width / len(DROPS)
    below = {"xref": "paper", "yref": "paper", "ysizemode": "pixel", "yanchor": 0, "y0": -82, "y1": -70}
    text = {"xref": "paper", "yref": "paper", "y": 0, "yanchor": "top", "showarrow": False, "font": {"size": 11}}
    shapes, notes = [], [{**text, "text": "p(z|x), drop from its peak in nats", "x": start + width / 2, "yshift": -50}]
    clear = 1.0
    for place, (drop, opacity) in enumerate(zip(reversed(DROPS), OPACITIES, strict=True)):
        clear *= 1 - opacity  # each contour lies on the ones outside it
        left = start + place * step
        shapes.append({**below, "x0": left, "x1": left + step, "fillcolor": blue(1 - clear), "line": {"width": 0}})
        notes.append({**text, "text": str(drop), "x": left, "xanchor": "center", "yshift": -83})
    return shapes, notes


def png(image: np.ndarray) -> bytes:
    """A PNG file of an image [C, H, W] in [0, 1], C = 1, 3 or, with opacity, 4; values outside are clipped."""
    levels = np.round(np.clip(np.nan_to_num(image), 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    height, width, channels = levels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), levels.reshape(height, -1)], 1)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows.tobytes())) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def data_uri(image: np.ndarray) -> str:
    return "data:image/png;base64," + base64.b64encode(png(image)).decode()


def sprite(images: np.ndarray) -> str:
    """Images [N, C, H, W] side by side, as one data URI."""
    return data_uri(np.concatenate(list(images), axis=2))


def packed(values: np.ndarray, kind: str) -> str:
    """An array as base64 of little-endian numbers, the way a component's data may carry it."""
    return base64.b64encode(np.ascontiguousarray(values, dtype=np.dtype(kind).newbyteorder("<")).tobytes()).decode()


# ---- a whole test set, ranked

VERMILLION, SKY = "#D55E00", "#56B4E9"
FLOOR = 1e-3  # nats: what is below, down to rounding's zero, is drawn here on a logarithmic axis


def trend(x: np.ndarray, y: np.ndarray, windows: int = 40, share: float = 0.08) -> np.ndarray:
    """Quartiles and mean of y in overlapping windows of equally many x: [windows, 5]: x, 25 %, 50 %, 75 %, mean."""
    order = np.argsort(x, kind="stable")
    size = min(len(x), max(30, round(share * len(x))))
    starts = np.unique(np.linspace(0, len(x) - size, windows).round().astype(int))
    rows = order[starts[:, None] + np.arange(size)]
    quartiles = np.quantile(y[rows], [0.25, 0.5, 0.75], axis=1)
    return np.column_stack([np.median(x[rows], 1), *quartiles, y[rows].mean(1)])


def ranking_figure(
    x: np.ndarray,
    y: np.ndarray,
    indices: np.ndarray,
    labels: np.ndarray | None,
    titles: tuple[str, str],
    counts: bool = False,
    ringed: dict[int, int] | None = None,
) -> go.Figure:
    """A score on a logarithmic axis against a measure, one dot for each test image; `labels` colour them by class.

    A line follows the running median, between quartiles; for counts, which are jittered to show how many there are, the
    running mean. `ringed` gives the place in `indices` of each numbered image: {1: place, ...}.
    """
    numbers = np.array([hovered(*pair, counts) for pair in zip(x.tolist(), y.tolist(), strict=True)])
    x = np.maximum(x, 1e-12).astype(np.float32)
    drawn = y + np.random.default_rng(0).uniform(-0.3, 0.3, len(y)) if counts else np.maximum(y, FLOOR)
    traces = []
    groups = [("a test image", GREY, np.arange(len(x)))]
    if labels is not None:
        groups = [(str(k), CLASSES[k % 10], np.flatnonzero(labels == k)) for k in np.unique(labels).tolist()]
    size, opacity = (3.5, 0.5) if len(x) > 2000 else (5.5, 0.65)
    for name, colour, among in groups:
        traces.append(
            go.Scattergl(
                x=x[among],
                y=drawn[among].astype(np.float32),
                customdata=indices[among].astype(np.int32),
                mode="markers",
                name=name,
                marker={"size": size, "color": colour, "opacity": opacity},
                text=numbers[among],
                hovertemplate="test image %{customdata}<br>%{text}<extra></extra>",
            )
        )
    traces += trend_lines(trend(x, y), counts)
    if ringed:
        traces.append(rings(x, drawn, indices, ringed))
    return go.Figure(traces, ranking_layout(titles, x, drawn, counts))


def hovered(score: float, measure: float, counts: bool) -> str:
    """A dot's own numbers, as they stand beneath: it may be drawn elsewhere, jittered or at the axis' end."""
    return f"{significant(score)}, {f'{measure:.0f}' if counts else f'{nats(measure)} nats'}"


def trend_lines(found: np.ndarray, counts: bool) -> list[go.Scatter]:
    at, low, middle, high, mean = (found if counts else np.maximum(found, np.array([0, *[FLOOR] * 4]))).T
    # The lines are WebGL as the dots are, which would else lie over them; the band lies under the dots.
    line = {"x": at, "mode": "lines", "hoverinfo": "skip", "line": {"color": VERMILLION, "width": 3}}
    if counts:
        return [go.Scattergl(y=mean, name="running mean", **line)]
    band = {"x": at, "mode": "lines", "hoverinfo": "skip", "line": {"width": 0}}
    pale = "rgba(213, 94, 0, 0.25)"
    return [
        go.Scatter(y=low, showlegend=False, **band),
        go.Scatter(y=high, fill="tonexty", fillcolor=pale, name="middle half", **band),
        go.Scattergl(y=middle, name="running median", **line),
    ]


def rings(x: np.ndarray, y: np.ndarray, indices: np.ndarray, ringed: dict[int, int]) -> go.Scattergl:
    places = list(ringed.values())
    return go.Scattergl(
        x=x[places],
        y=y[places],
        customdata=indices[places].astype(np.int32),
        text=[str(number) for number in ringed],
        mode="markers+text",
        textfont={"size": 11, "color": "white"},
        marker={"size": 17, "color": BLUE, "line": {"width": 1.5, "color": "white"}},
        name="shown below",
        hovertemplate="test image %{customdata}, shown below<extra></extra>",
    )


def ranking_layout(titles: tuple[str, str], x: np.ndarray, y: np.ndarray, counts: bool) -> go.Layout:
    low, high = np.log10([x.min(), x.max()]).tolist()
    pad = 0.03 * (high - low) + 0.01
    plain = {"zeroline": False, "ticks": "outside"}
    vertical = {"tickformat": "d", "dtick": 1} if counts else {"type": "log", "dtick": 1, "tickformat": "~g"}
    marks = log_marks(low, high)
    across = {"type": "log", "range": [low - pad, high + pad], "tickvals": marks, "ticktext": [power(m) for m in marks]}
    return go.Layout(
        xaxis={"title": {"text": titles[0], "standoff": 6}, **plain, **across},
        yaxis={"title": {"text": titles[1], "standoff": 4}, **plain, **vertical},
        legend={"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom", "itemsizing": "constant"},
        margin={"l": 60, "r": 8, "t": 44, "b": 52},
        hovermode="closest",
        dragmode="pan",
        uirevision="|".join(titles),
    )


def log_marks(low: float, high: float) -> list[float]:
    """Ticks from 10^low to 10^high: the powers of ten, with 2 and 5 of each where there are few."""
    steps = (1,) if high - low > 2 else (1, 2, 5)
    marks = [step * 10.0**k for k in range(math.floor(low), math.ceil(high) + 1) for step in steps]
    return [mark for mark in marks if low - 0.05 <= math.log10(mark) <= high + 0.05]


def power(mark: float) -> str:
    """2 x 10^-6 as plotly sets it; numbers of a common size plainly."""
    if 1e-3 <= mark < 1e5:
        return f"{mark:g}"
    k = math.floor(math.log10(mark) + 1e-9)
    first = round(mark / 10.0**k)
    times = "" if first == 1 else f"{first}·"
    return f"{times}10<sup>{k}</sup>".replace("-", "\N{MINUS SIGN}")


def focused(axes: tuple[np.ndarray, np.ndarray], log_density: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` points an axis over the same square, crowded where a first grid saw the mass, every mode of it.

    A mode too narrow for that grid still shows in it by its flanks, as drops of tens of nats count too.
    """
    log_density = np.nan_to_num(log_density, nan=-np.inf)
    return tuple(
        crowded(points, log_density.max() - log_density.max(axis=1 - side), count) for side, points in enumerate(axes)
    )


def crowded(points: np.ndarray, drop: np.ndarray, count: int) -> np.ndarray:
    """A quarter of `count` points evenly, the rest by exp(-drop / 10), which is given at `points`."""
    weight = np.exp(-drop / 10)
    density = 0.25 + 0.75 * weight / max(weight.mean(), 1e-12)
    mass = np.concatenate([[0.0], np.cumsum(np.diff(points) * (density[1:] + density[:-1]) / 2)])
    return np.interp(np.linspace(0, mass[-1], count), mass, points).astype(np.float32)


def sketch_figure(
    axes: tuple[np.ndarray, np.ndarray], log_density: np.ndarray, dots: np.ndarray, outline: Gaussian | None
) -> go.Figure:
    """A small picture of one posterior's contours, with samples as dots and an encoder's outline at 2 sd."""
    traces = [contours(axes, log_density).update(hoverinfo="skip", hovertemplate=None)]
    if outline is not None:
        x, y = ellipse(outline.loc, outline.scale, 2)
        line = {"color": outline.colour, "width": 2}
        traces.append(go.Scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip"))
    colour = VERMILLION if outline is not None else ORANGE
    marker = {"size": 3.2, "color": colour, "opacity": 0.8}
    traces.append(go.Scatter(x=dots[:, 0], y=dots[:, 1], mode="markers", marker=marker, hoverinfo="skip"))
    axis = {"showgrid": False, "zeroline": False, "ticks": "outside", "nticks": 4, "tickfont": {"size": 10}}
    layout = go.Layout(
        xaxis={**axis, "range": ends(axes[0])},
        yaxis={**axis, "range": ends(axes[1]), "scaleanchor": "x", "constrain": "domain"},
        margin={"l": 34, "r": 4, "t": 4, "b": 22},
        showlegend=False,
        dragmode=False,
    )
    return go.Figure(traces, layout)


def ends(points: np.ndarray) -> list[float]:
    return [float(points[0]), float(points[-1])]


def swatches() -> list[tuple[int, str]]:
    """The contours' key: each drop in nats, from the outermost, and the colour inside it."""
    clear, found = 1.0, []
    for drop, opacity in zip(reversed(DROPS), OPACITIES, strict=True):
        clear *= 1 - opacity
        found.append((drop, blue(1 - clear)))
    return found
