"""What the page of interpolations says in words."""

import numpy as np

from app import words
from app.between import KINDS
from app.holes import Entry
from vaecore.text import counted

WAYS = {
    "linear": "Straight from one code to the other, as in the paper.",
    "spherical": "Along the great circle between both codes, their distance from 0 going evenly from one to the other.",
    "highest": "The way whose lowest log p(z) is highest, found by gradient: each prior chooses its own.",
    "smoothest": "The way on which the decoded image changes least, by the sum of squares between neighbours.",
}


def prior(entry: Entry, names: dict[str, str]) -> str:
    """A prior by its checkpoint's name."""
    name = names[entry.checkpoint.name]
    return f"N(0, I) of {name}" if entry.kind == "standard" else name


def strip(log_p: np.ndarray, valley: float) -> tuple[str, str]:
    """A strip in words, and its number."""
    first, last, least = (words.nats(float(value)) for value in (log_p[0], log_p[-1], log_p.min()))
    said = f"log p(z) {first} \N{RIGHTWARDS ARROW} {last}, lowest {least}"
    return said, f"valley {words.nats(valley)} nats" if valley < -words.SURE else "no valley"


def lesson(valleys: dict[str, list[float]], entries: list[Entry], names: dict[str, str], kind: str) -> str:
    """What the rows show, from each checkpoint's valleys in nats."""
    parts = []
    for entry in entries:
        depths = [-depth for depth in valleys[entry.checkpoint.name]]
        deep = [depth for depth in depths if depth > words.SURE]
        name = prior(entry, names)
        if not deep:
            parts.append(f"{name} sees no valley")
        elif len(deep) == 1:
            parts.append(f"{name} sees one, {words.nats(deep[0])} nats deep")
        else:
            parts.append(f"{name} sees {len(deep)}, up to {words.nats(max(deep))} nats deep")
    said = f"On {counted(len(depths), 'way')} ({KINDS[kind]}) {join(parts)}."
    if kind == "linear" and any(entry.kind == "standard" for entry in entries):
        said += " N(0, I) cannot see one: along a straight line its logarithm is concave."
    return said


def join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])}, and {parts[-1]}"
