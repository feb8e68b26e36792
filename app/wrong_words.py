"""What the encoder loses on many images, in words and as a table."""

from html import escape

from app.numbers import measured, nats, significant
from app.wrong import EXACT, MEASURED, Line
from vaecore.text import a, counted


def title(kind: str) -> str:
    return MEASURED[kind].name if kind in MEASURED else kind


def number(kind: str, value: float) -> str:
    return measured(value, MEASURED[kind].unit)


def caption(kind: str, index: int, label: int | None, value: float) -> str:
    return f"{index}{'' if label is None else f', {a(label)}'}\n{number(kind, value)}"


def sentence(kind: str, whole: Line, single: list[Line], images: int) -> str:
    """What all images lose, and which labels lose the most and the least."""
    what = "lose" if kind in EXACT else f"have {a(title(kind))} of"
    part = f"the {whole.count:,} known of {counted(images, 'image')}"
    where = f"the {counted(images, 'test image')}" if whole.count == images else part
    said = f"Half of {where} {what} less than {number(kind, whole.median)}, one in ten more than"
    said = f"{said} {number(kind, whole.high)}."
    if len(single) < 2:
        return said
    first, last = ("the worst", "the best") if kind in EXACT else ("the highest", "the lowest")
    most, least = (pick(single, key=lambda line: line.median) for pick in (max, min))
    return (
        f"{said} In the median the label {most.label} is {first}, with {number(kind, most.median)}, and the label "
        f"{least.label} {last}, with {number(kind, least.median)}."
    )


def table(kind: str, lines: list[Line]) -> str:
    parts = any(line.amortized is not None for line in lines)
    heads = ["label", "n", "median", "90 %", *(["amortization"] if parts else [])]
    body = ""
    for line in lines:
        numbers = [nats(v) if MEASURED[kind].unit else significant(v) for v in (line.median, line.high)]
        share = [] if not parts else ["" if line.amortized is None else f"{line.amortized:.1%}"]
        cells = ["all" if line.label is None else str(line.label), f"{line.count:,}", *numbers, *share]
        body += f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
    unit = ", nats" if MEASURED[kind].unit else ""
    shares = "; amortization: its share of the summed gap" if parts else ""
    return (
        f'<table class="losses"><caption>{escape(title(kind))} by label{unit}{shares}</caption>'
        f"<thead><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr></thead><tbody>{body}</tbody></table>"
    )


STYLE = """<style>
.losses { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
.losses caption { text-align: left; font-size: .8rem; opacity: .75; padding-bottom: .3rem; }
.losses td, .losses th { text-align: right; padding: .12rem .7rem; border-bottom: 1px solid rgba(128, 128, 128, .25); }
.losses td:first-child { font-weight: 600; }
</style>"""
