"""The picture of one posterior as a small SVG of its own, for a page without plotly."""

from html import escape

import numpy as np

from app import figures
from app.contour_lines import closed_lines
from app.figures import Density, Outline, Path

SIDE, EDGE = 560, 44  # of the drawing: the plane, and what its axes take
DASHES = {"dash": "9 6", "dot": "2 5", "dashdot": "9 4 2 4", "longdashdot": "14 4 2 4"}
Axes = tuple[np.ndarray, np.ndarray]


class Plane:
    """Places in the latent plane as places in the drawing."""

    def __init__(self, axes: Axes) -> None:
        self.low = np.array([axis[0] for axis in axes], float)
        self.scale = SIDE / np.array([axis[-1] - axis[0] for axis in axes], float)

    def __call__(self, z: np.ndarray) -> np.ndarray:
        across, up = ((np.asarray(z, float) - self.low) * self.scale).T
        return np.stack([EDGE + across, SIDE - up + 8], -1)

    def line(self, z: np.ndarray, closed: bool = True) -> str:
        return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in self(z)) + ("Z" if closed else "")


def svg(
    ground: tuple[Axes, np.ndarray | None],
    shapes: list[Outline],
    alt: str,
    marks: tuple = (None, None),
    name: str = "plane",
) -> str:
    """The true posterior's contours under outlines; `ground` are axes and log p(z|x) on them.

    `marks` are the z behind x [2] and a refinement's path; no two drawings of a file have one `name`.
    """
    (axes, log_density), (truth, path) = ground, marks
    plane = Plane(axes)
    under = "" if log_density is None else contours(plane, axes, log_density)
    inside = [under, *(outline(plane, shape) for shape in shapes)]
    if path is not None:
        inside.append(steps(plane, path))
    if truth is not None:
        (x, y) = plane(truth)
        inside.append(f"<circle cx='{x:.1f}' cy='{y:.1f}' r='6' fill='{figures.PURPLE}' stroke='white'/>")
    frame = f"x='{EDGE}' y='8' width='{SIDE}' height='{SIDE}'"
    mark = f"<circle id='{name}-mark' r='7' fill='none' stroke='currentColor' stroke-width='2.5' visibility='hidden'/>"
    return (
        f"<svg class='plane' viewBox='0 0 {SIDE + EDGE + 8} {SIDE + EDGE + 8}' role='img' aria-label='{escape(alt)}'>"
        f"<clipPath id='{name}-frame'><rect {frame}/></clipPath>"
        f"<g clip-path='url(#{name}-frame)' fill='none'>{''.join(inside)}</g>{scales(plane, axes)}"
        f"<rect id='{name}' {frame} fill='transparent' stroke='currentColor' stroke-opacity='.4'/>{mark}</svg>"
    )


def contours(plane: Plane, axes: Axes, log_density: np.ndarray) -> str:
    """Each contour adds its blue to those around it."""
    heights, drawn = figures.heights(log_density), []
    for level, opacity in zip(range(-5, 1), figures.OPACITIES, strict=True):
        lines = "".join(plane.line(line) for line in closed_lines(axes, heights, level))
        if lines:
            style = f"fill='{figures.BLUE}' fill-opacity='{opacity}' fill-rule='evenodd'"
            drawn.append(f"<path d='{lines}' {style} stroke='{figures.BLUE}' stroke-opacity='.55' stroke-width='.6'/>")
    return "".join(drawn)


def outline(plane: Plane, shape: Outline) -> str:
    """On a pale casing, as in the app; a cross at the mean, or the peak."""
    if isinstance(shape, Density):
        levels = [*shape.levels, shape.farther] if shape.farther else shape.levels
        nearness = -figures.sigmas(shape.log_density)
        lines = [line for level in levels for line in closed_lines(shape.axes, nearness, -level)]
        middle = shape.peak
    else:
        lines = [np.stack(figures.ellipse(shape.loc, shape.scale, k), -1) for k in shape.levels]
        middle = shape.loc
    drawn, (x, y) = "".join(plane.line(line) for line in lines), plane(middle)
    cross = f"M{x - 5:.1f} {y - 5:.1f}l10 10M{x - 5:.1f} {y + 5:.1f}l10 -10"
    dash = f" stroke-dasharray='{DASHES[shape.dash]}'" if shape.dash in DASHES else ""
    return (
        f"<path d='{drawn}' stroke='{figures.casing(shape.colour)}' stroke-width='4.4'/>"
        f"<path d='{drawn}' stroke='{shape.colour}' stroke-width='2.2'{dash}/>"
        f"<path d='{cross}' stroke='{shape.colour}' stroke-width='2.6'/>"
    )


def steps(plane: Plane, path: Path) -> str:
    """The means of a refinement, joined."""
    dots = "".join(
        f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3.5' fill='white' stroke='{figures.PATH}' stroke-width='1.8'/>"
        for x, y in plane(path.places)
    )
    line = plane.line(path.places, closed=False)
    return f"<path d='{line}' stroke='white' stroke-width='4.5'/><path d='{line}' stroke='{figures.PATH}'/>{dots}"


def scales(plane: Plane, axes: Axes) -> str:
    """Ticks and names of both axes."""
    found = []
    for side, axis in enumerate(axes):
        for tick in ticks(float(axis[0]), float(axis[-1])):
            x, y = plane(np.where(np.arange(2) == side, tick, plane.low))
            right, down, anchor = (0, 18, "middle") if side == 0 else (-6, 4, "end")
            place = f"x='{x + right:.1f}' y='{y + down:.1f}' text-anchor='{anchor}'"
            found.append(f"<text {place}>{tick:g}</text>")
    names = f"<text x='{EDGE + SIDE / 2}' y='{SIDE + 44}'>z1</text><text x='2' y='20'>z2</text>"
    return f"<g fill='currentColor' font-size='13'>{''.join(found)}{names}</g>"


def ticks(low: float, high: float) -> list[float]:
    """Five to ten round numbers of the interval."""
    power = 10.0 ** np.floor(np.log10((high - low) / 5))
    step = next(power * k for k in (1, 2, 5, 10) if (high - low) / (power * k) <= 8)
    return [round(k * step, 12) for k in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]


def legend(shapes: list[Outline], marks: tuple = (None, None)) -> str:
    """The key under the drawing, as HTML."""
    lines = [(shape.name, shape.colour, figures.border(shape.dash)) for shape in shapes]
    lines += [("true z", figures.PURPLE, "dotted")] if marks[0] is not None else []
    lines += [("refinement", figures.PATH, "solid")] if marks[1] is not None else []
    key = "".join(
        f"<span><i style='border-top: 3px {dash} {colour}'></i>{escape(name)}</span>" for name, colour, dash in lines
    )
    drops = "".join(f"<span><b style='background: {colour}'></b>{drop}</span>" for drop, colour in figures.swatches())
    return f"<p class='key'>{key}</p><p class='key'>p(z|x), drop from its peak in nats: {drops}</p>"
