"""q(z), all codes together, against p(z), as small SVGs that also stand in a file: the plane, or single dimensions."""

import base64
from html import escape

import numpy as np

from app import words
from app.contour_lines import closed_lines
from app.figures import BLUE, ORANGE
from app.health import Health

COLOURS = (BLUE, ORANGE)
SHARES = (0.95, 0.8, 0.5)  # of the mass: within the smallest regions that hold so much
SIDE, WIDE, HIGH, FOOT = 300, 220, 96, 20  # of a plane; of a dimension's panel, and its axis' numbers beneath
MOST = 6  # dimensions that are shown


def whole(found: list[Health]) -> str:
    """The pictures of those whose codes have been measured, with what they show as text."""
    there = [(one, one.report["picture"], colour) for one, colour in zip(found, COLOURS, strict=False) if drawn(one)]
    flat = [each for each in there if "axes" in each[1]]
    ends = [[(axis[0], axis[-1]) for axis in picture["axes"]] for _, picture, _ in flat]
    frame = [(min(low), max(high)) for low, high in (zip(*side, strict=True) for side in zip(*ends, strict=True))]
    planes = [plane(*each, frame) for each in flat]
    lines = [each for each in there if "dimensions" in each[1]]
    parts = f"<div class='planes'>{''.join(planes)}</div>{PLANES}" if planes else ""
    if lines:
        parts += f"<div class='lines'>{dimensions(lines)}</div>{key(lines)}"
    return f"<section class='aggregate'>{parts or '<p>Not measured yet.</p>'}</section>"


def drawn(one: Health) -> bool:
    return bool(one.report.get("picture"))


def image(box: tuple[int, ...], body: str, alt: str) -> str:
    """An SVG as an image, for a page strips bare elements; `alt` is escaped already."""
    head = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='{' '.join(map(str, box))}' width='{2 * box[2]}'>"
    packed = base64.b64encode(f"{head}{INSIDE}{body}</svg>".encode()).decode()
    return f"<img src='data:image/svg+xml;base64,{packed}' alt='{alt}' title='{alt}'>"


INSIDE = """<style>
path { fill-rule: evenodd; stroke-width: 1.4 } path.q { fill: none; stroke-width: 2 }
path.prior { fill: none; stroke: #8A939C; stroke-width: 2; stroke-dasharray: 6 4 }
line, .frame { fill: none; stroke: #8A939C; stroke-opacity: .5 }
text { fill: #7C858E; font: 12px sans-serif }
</style>"""


# ---- D = 2


def plane(one: Health, picture: dict, colour: str, frame: list[tuple[float, float]]) -> str:
    """Contours of q(z), filled, and of p(z), dashed, that hold these shares of either's mass, in a frame of all."""
    axes = tuple(np.array(axis) for axis in picture["axes"])
    q, p = (regions(axes, np.array(picture[name]), frame) for name in ("log q", "log p"))
    filled = "".join(f"<path d='{line}' fill='{colour}' fill-opacity='.22' stroke='{colour}'/>" for line in q)
    dashed = "".join(f"<path d='{line}' class='prior'/>" for line in p)
    name, alt = escape(one.checkpoint.name), escape(said_of_plane(one))
    border = f"<rect width='{SIDE}' height='{SIDE}' class='frame'/>"
    inside = filled + dashed + "".join(scale(*ends, side) for side, ends in enumerate(frame))
    return (
        f"<figure><figcaption>{name}</figcaption>{image((-26, -4, SIDE + 32, SIDE + 26), border + inside, alt)}"
        f"<small>{alt}</small></figure>"
    )


def regions(
    axes: tuple[np.ndarray, np.ndarray], log_density: np.ndarray, frame: list[tuple[float, float]]
) -> list[str]:
    """The borders of the smallest regions that hold SHARES of the mass on the grid, as SVG paths within the frame."""
    density = np.exp(log_density - log_density.max())
    ordered = np.sort(density, axis=None)[::-1]
    held = np.cumsum(ordered) / ordered.sum()
    levels = [np.log(max(ordered[np.searchsorted(held, share)], 1e-300)) for share in SHARES]
    low, high = np.array(frame).T
    found = []
    for level in levels:
        lines = closed_lines(axes, log_density - log_density.max(), level)
        places = [(line - low) / (high - low) * SIDE for line in lines]
        found.append("".join(path(np.stack([z[:, 0], SIDE - z[:, 1]], 1)) + "Z" for z in places))
    return found


def path(points: np.ndarray) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def scale(low: float, high: float, side: int) -> str:
    """Whole numbers along an axis of the plane."""
    found = []
    for tick, at in ticks(low, high, SIDE):
        across = f"x='{at:.1f}' y='{SIDE + 15}' text-anchor='middle'"
        up = f"x='-5' y='{SIDE - at + 4:.1f}' text-anchor='end'"
        place = up if side else across
        found.append(f"<text {place}>{tick}</text>")
    return "".join(found)


def ticks(low: float, high: float, length: int) -> list[tuple[int, float]]:
    """Some whole numbers from `low` to `high`, and where they stand on an axis of that length."""
    step = max(1, round((high - low) / 6))
    numbers = range(int(np.ceil(low / step)) * step, int(np.floor(high)) + 1, step)
    return [(number, (number - low) / (high - low) * length) for number in numbers]


def said_of_plane(one: Health) -> str:
    report = one.report
    first, second = (pair(report[f"{name} of q(z)"]) for name in ("mean", "variance"))
    gap = f"KL(q(z) || p(z)) is {words.nats(report['KL(q(z) || p(z))'])} nats; " if "KL(q(z) || p(z))" in report else ""
    return f"q(z) of {one.checkpoint.name} against p(z): {gap}q(z) has the means {first} and the variances {second}."


def pair(values: list[float]) -> str:
    return " and ".join(f"{value:.2f}" for value in values)


PLANES = (
    "<p class='key'>Filled: regions that hold 50, 80 and 95 % of q(z), all codes together. Dashed grey: the same of "
    "the prior p(z). q(z) is drawn from samples, smoothed a little. Where they differ, the prior's samples are no "
    "codes, or codes no samples.</p>"
)


# ---- D > 2


def dimensions(lines: list[tuple[Health, dict, str]]) -> str:
    """A panel for each of the dimensions that say most, all checkpoints in it: the same d under one cursor."""
    known = [
        ({each["dimension"]: each for each in picture["dimensions"]}, colour, one) for one, picture, colour in lines
    ]
    asked = [each["dimension"] for _, picture, _ in lines for each in picture["dimensions"][: MOST // len(lines)]]
    chosen = sorted(dict.fromkeys(asked))
    return "".join(panel(d, [(each[d], colour, one) for each, colour, one in known if d in each]) for d in chosen)


def panel(d: int, curves: list[tuple[dict, str, Health]]) -> str:
    low, high = min(each["axis"][0] for each, _, _ in curves), max(each["axis"][-1] for each, _, _ in curves)
    most = max(max(*each["q"], *each["p"]) for each, _, _ in curves)

    def curve(axis: list[float], density: list[float]) -> str:
        x = (np.array(axis) - low) / (high - low) * WIDE
        return path(np.stack([x, HIGH - 0.94 * HIGH * np.array(density) / most], 1))

    body = f"<line x2='{WIDE}' y1='{HIGH}' y2='{HIGH}'/>"
    body += "".join(f"<path d='{curve(each['axis'], each['p'])}' class='prior'/>" for each, _, _ in curves)
    for each, colour, _ in curves:
        line = curve(each["axis"], each["q"])
        body += f"<path d='{line}L{WIDE} {HIGH}L0 {HIGH}Z' fill='{colour}' fill-opacity='.15'/>"
        body += f"<path d='{line}' stroke='{colour}' class='q'/>"
    at = ticks(low, high, WIDE)
    body += "".join(f"<text x='{x:.1f}' y='{HIGH + 14}' text-anchor='middle'>{tick}</text>" for tick, x in at)
    alt = escape("; ".join(said_of(each, one) for each, _, one in curves))
    shared = ", ".join(f"{100 * each['overlap']:.0f} %" for each, _, _ in curves)
    return (
        f"<figure><figcaption>z{d}: {shared} in common</figcaption>{image((-4, 0, WIDE + 8, HIGH + FOOT), body, alt)}"
        "</figure>"
    )


def said_of(each: dict, one: Health) -> str:
    return (
        f"dimension {each['dimension']} of {one.checkpoint.name}: q(z) has mean {each['mean']:.2f} and sd "
        f"{each['sd']:.2f}, and {100 * each['overlap']:.0f} % in common with the prior"
    )


def key(lines: list[tuple[Health, dict, str]]) -> str:
    """Whose colour is whose, and what is shown."""
    names = [(escape(one.checkpoint.name), colour) for one, _, colour in lines]
    named = "".join(f"<span><i style='background: {colour}'></i>q(z), {name}</span>" for name, colour in names)
    learned = " and ".join(escape(one.checkpoint.name) for one, _, _ in lines if not one.report["prior is N(0, I)"])
    prior = f"the prior (learned: {learned})" if learned else "the prior N(0, 1)"
    return (
        f"<p class='key'>{named}<span><i class='dash'></i>{prior}</span></p><p class='key'>The dimensions with the "
        "greatest KL, or, where the KL has no parts, variance. What they have in common is the area under both.</p>"
    )


STYLE = """<style>
.aggregate .planes, .aggregate .lines { display: grid; gap: .8rem 1.2rem; }
.aggregate .planes { grid-template-columns: repeat(auto-fit, minmax(min(100%, 260px), 420px)); }
.aggregate .lines { grid-template-columns: repeat(auto-fill, minmax(min(100%, 200px), 1fr)); }
.aggregate figure { margin: 0; }
.aggregate figcaption { font-size: .85rem; font-weight: 600; overflow-wrap: anywhere; }
.aggregate img { width: 100%; height: auto; display: block; }
.aggregate small, .aggregate .key { font-size: .82rem; opacity: .85; line-height: 1.4; }
.aggregate .key { margin: .5rem 0 0; }
.aggregate .key span { margin-right: 1rem; white-space: nowrap; }
.aggregate .key i { display: inline-block; width: 1.4em; height: .35em; margin-right: .4em; vertical-align: middle; }
.aggregate .key i.dash { height: 0; border-top: 2px dashed #8A939C; }
</style>"""
