"""Closed contour lines of a function on a grid: marching squares, numpy in and out."""

import numpy as np

AROUND = {"a": ("left", "bottom"), "b": ("bottom", "right"), "c": ("right", "top"), "d": ("top", "left")}
LOW = -1e9
Edge = tuple[str, int, int]


def closed_lines(axes: tuple[np.ndarray, np.ndarray], values: np.ndarray, level: float) -> list[np.ndarray]:
    """The borders of {values >= level}, each a closed line [K, 2]; values [len(axes[0]), len(axes[1])].

    Linear between the nodes. What reaches the grid's edge is closed along it. A saddle is joined where the mean of its
    corners lies.
    """
    x, y = (np.pad(axis.astype(float), 1, mode="edge") for axis in axes)
    v = np.pad(np.nan_to_num(values.astype(float), nan=LOW, neginf=LOW), 1, constant_values=LOW)
    inside = v >= level
    corners = inside[:-1, :-1] + 0 + inside[1:, :-1] + inside[1:, 1:] + inside[:-1, 1:]
    next_to: dict[Edge, list[Edge]] = {}
    for i, j in np.argwhere((corners > 0) & (corners < 4)).tolist():
        edges = {"bottom": ("h", i, j), "right": ("v", i + 1, j), "top": ("h", i, j + 1), "left": ("v", i, j)}
        for one, other in pairs(v[i : i + 2, j : j + 2], level):
            next_to.setdefault(edges[one], []).append(edges[other])
            next_to.setdefault(edges[other], []).append(edges[one])
    return [np.array([crossing(edge, (x, y), v, level) for edge in loop]) for loop in loops(next_to)]


def pairs(cell: np.ndarray, level: float) -> list[tuple[str, str]]:
    """Which edges of a cell a line joins; its corners are a, b, c, d, counter-clockwise from the lower left."""
    (a, d), (b, c) = cell >= level
    within = {"a": a, "b": b, "c": c, "d": d}
    if a == c and b == d:  # a saddle: its middle belongs to one diagonal, the corners of the other are cut off
        cut = "bd" if a == (cell.mean() >= level) else "ac"
        return [AROUND[corner] for corner in cut]
    alone = [corner for corner in "abcd" if list(within.values()).count(within[corner]) == 1]
    if alone:
        return [AROUND[alone[0]]]
    return [("left", "right")] if a == b else [("bottom", "top")]


def loops(next_to: dict[Edge, list[Edge]]) -> list[list[Edge]]:
    """Edges in the order in which a line passes them, for each line; every edge has two neighbours."""
    found, left = [], dict.fromkeys(next_to)
    while left:
        first, _ = left.popitem()
        loop = [first]
        while ahead := [edge for edge in next_to[loop[-1]] if edge in left]:
            del left[ahead[0]]
            loop.append(ahead[0])
        found.append(loop)
    return found


def crossing(edge: Edge, axes: tuple[np.ndarray, np.ndarray], v: np.ndarray, level: float) -> tuple[float, float]:
    """Where the level lies on an edge."""
    kind, i, j = edge
    (x, y), (k, m) = axes, (i + 1, j) if kind == "h" else (i, j + 1)
    share = (level - v[i, j]) / (v[k, m] - v[i, j])
    return float(x[i] + share * (x[k] - x[i])), float(y[j] + share * (y[m] - y[j]))
