"""The table of health as HTML, for the page and for the file: verdicts, what is usual, who says so, and why."""

from html import escape

from app import words
from app.health import Health

ICONS = {"good": "\N{CHECK MARK}", "look": "!", "bad": "\N{MULTIPLICATION X}", "unclear": "?"}
WORDS = {"good": "good", "look": "look", "bad": "bad", "unclear": "cannot be judged"}


def verdicts(found: list[Health]) -> str:
    """The answer in a sentence, the table, and how it was measured."""
    return f"<section class='health'>{headlines(found)}{table(found)}{protocol(found)}</section>"


def headlines(found: list[Health]) -> str:
    return "".join(
        f"<p class='answer'>{badge(one.verdict)} <b>{escape(one.checkpoint.name)}</b>. {escape(one.headline)}</p>"
        for one in found
    )


def protocol(found: list[Health]) -> str:
    said = dict.fromkeys(one.protocol for one in found)
    return "".join(f"<small>{escape(text)}. ± is a standard error, sd a standard deviation.</small>" for text in said)


def badge(verdict: str) -> str:
    return f"<span class='{verdict}'><i aria-hidden='true'>{ICONS[verdict]}</i> {WORDS[verdict]}</span>"


def table(found: list[Health]) -> str:
    """A row for each number: each checkpoint's value and verdict, what is usual, what it means here."""
    known = [{row["name"]: row for row in one.rows} for one in found]
    names = dict.fromkeys(name for rows in known for name in rows)
    whose = [escape(one.checkpoint.name) for one in found]
    heads = "".join(f"<th scope='col'>{name}</th>" for name in whose)
    lines = "".join(line(name, [rows.get(name) for rows in known], whose) for name in names)
    return (
        f"<table><thead><tr><th scope='col'>nats an image</th>{heads}<th scope='col'>usual, and who says so</th>"
        f"<th scope='col'>here</th></tr></thead><tbody>{lines}</tbody></table>"
    )


def line(name: str, rows: list[dict | None], whose: list[str]) -> str:
    """One number of each checkpoint; where several stand side by side, each is named where the columns are none."""
    named = [f" data-of='{who}'" if len(whose) > 1 else "" for who in whose]
    cells = "".join(f"<td{of}>{cell(row) if row else 'not measured'}</td>" for row, of in zip(rows, named, strict=True))
    given = [(row, who) for row, who in zip(rows, whose, strict=True) if row]
    usual, source, said = (told(given, part) for part in ("usual", "source", "sentence"))
    head = f"<th scope='row'>{escape(name)}</th>"
    return f"<tr>{head}{cells}<td>{usual}<small>{source}</small></td><td>{said}</td></tr>"


def told(given: list[tuple[dict, str]], part: str) -> str:
    """What the rows say, once where they agree, else each under its checkpoint's name."""
    texts = [(escape(row[part]), who) for row, who in given]
    if len({text for text, _ in texts}) == 1:
        return texts[0][0]
    return "<br>".join(f"<i class='of'>{who}:</i> {text}" for text, who in texts)


def cell(row: dict) -> str:
    return f"<b>{value(row)}</b> {badge(row['verdict'])}<small>{escape(row['on'])}</small>"


def value(row: dict) -> str:
    """The number with its error, as the row's kind is read: a count, a share, or nats."""
    if isinstance(row["value"], int):
        return str(row["value"])
    if row["name"] == "low posterior share":
        return f"{row['value']:.3f} ± {row['error']:.3f}"
    return words.nats(row["value"], row["error"] or 0.0)


STYLE = """<style>
.health .answer { font-size: 1.1rem; margin: 0 0 .4rem; line-height: 1.4; }
.health table { border-collapse: collapse; font-size: .88rem; width: 100%; font-variant-numeric: tabular-nums; }
.health th, .health td { padding: .4rem 1rem .4rem 0; border: 0; text-align: left; vertical-align: top; }
.health tr { border-bottom: 1px solid rgba(128, 140, 150, .35); }
.health th { font-weight: 600; min-width: 8rem; }
.health td { overflow-wrap: anywhere; min-width: 7.5rem; }
.health td:nth-last-child(-n+2) { min-width: 13rem; width: 32%; }
.health b { white-space: nowrap; }
.health span { white-space: nowrap; font-size: .85em; border-left: 4px solid; padding-left: .4em; }
.health span i { font-style: normal; font-weight: 700; }
.health i.of { font-style: normal; opacity: .75; }
.health .good { border-color: #009E73; }
.health .look { border-color: #E69F00; }
.health .bad { border-color: #D55E00; font-weight: 700; }
.health .unclear { border-color: #8A939C; }
.health small { display: block; opacity: .75; margin-top: .2rem; font-size: .85em; line-height: 1.35; }
@media (max-width: 760px) {
  .health table, .health tbody, .health tr, .health th, .health td { display: block; width: auto; min-width: 0; }
  .health thead { display: none; }
  .health tr { padding: .7rem 0; }
  .health th, .health td, .health td:nth-last-child(-n+2) { padding: 0 0 .3rem; min-width: 0; width: auto; }
  .health td[data-of]::before { content: attr(data-of) ": "; }
  .health td:nth-last-child(2)::before { content: "usual: "; opacity: .75; }
}
</style>"""
