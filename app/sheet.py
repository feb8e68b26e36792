"""The numbers that a page shows, as a table for spreadsheets and programs: CSV by RFC 4180."""

import csv
import io
from collections.abc import Iterable
from typing import TYPE_CHECKING

from app import widgets, words

if TYPE_CHECKING:
    from app.session import Checkpoint, Look

ABOUT = ("checkpoint", "system", "data set", "kind", "index", "label")
HEADS = (*ABOUT, "quantity", "value", "error", "unit", "definition")
DEFINITIONS = {
    "log p(x)": "log of the integral of p(x|z) p(z) over all z",
    "ELBO": "E_q[log p(x|z)] - KL(q(z|x) || p(z))",
    "IWAE(100)": "E[log of the mean of 100 weights p(x, z) / q(z|x), z drawn from q(z|x)], one draw",
    "gap": "KL(q(z|x) || p(z|x)) = log p(x) - ELBO",
    "gap of q": "KL(q(z|x) || p(z|x)) = log p(x) - ELBO",
    "amortization gap": "KL(q(z|x) || p(z|x)) - KL(q*(z) || p(z|x)), q* the best diagonal Gaussian",
    "approximation gap": "KL(q*(z) || p(z|x)), q* the best diagonal Gaussian",
    "gap of the best diagonal Gaussian": "KL(q*(z) || p(z|x)), q* the best diagonal Gaussian",
}
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def text(value: object) -> str:
    """A cell of text that no spreadsheet takes for a formula: one that begins like one gets an apostrophe before it."""
    said = str(value)
    return f"'{said}" if said.startswith(FORMULA) else said


def table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """CSV with CRLF; floats with all their digits, None as an empty cell."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(heads)
    for row in rows:
        writer.writerow("" if cell is None else repr(cell) if isinstance(cell, float) else text(cell) for cell in row)
    return out.getvalue()


def numbers(entries: "list[tuple[Checkpoint, Look]]") -> str:
    """The panel's numbers of one image: a row for each checkpoint and quantity, in nats."""
    return table(HEADS, (row for entry, look in entries for row in rows(entry, look)))


def rows(entry: "Checkpoint", look: "Look") -> "Iterable[tuple]":
    about = (entry.name, entry.label, entry.dataset, widgets.NAMES[look.pick.kind], look.pick.index, look.label)
    for number in words.numbers(look, ""):
        error = None if number.error is None else float(number.error)
        yield (*about, number.name, float(number.amount), error, "nats", DEFINITIONS[number.name])
