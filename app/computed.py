"""How is this computed: for each number and figure of a page its formula, its paper, and the code line that does it.

A page lists its notes in app/notes/PAGE.py and ends with `computed.explain(NOTES)`. The chosen note stands in the
address as `note=...`. Code is read as text: a page that explains the library does not import it.
"""

import ast
import os
import re
import textwrap
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import streamlit as st

from app import choices
from app.plain import quoted
from vaecore.text import counted

ROOT = Path(__file__).resolve().parents[1]
AROUND, SHORT = 3, 14  # lines shown on either side of the one that does it; a function that is shown whole


@dataclass(frozen=True)
class Note:
    """How one number or figure is computed.

    function: the dotted name of what computes it, by the file where it is defined: `vaecore.exact.gap.split_gap`.
    line: a piece of the code line that does it, found once in the function; without it the function is shown.
    covers: names of the numbers, and keys of the figures, that it explains, where they are not `what` itself.
    """

    what: str
    formula: str
    source: str
    function: str
    words: str = ""
    line: str = ""
    covers: tuple[str, ...] = ()

    @property
    def slug(self) -> str:
        """Its name in the address."""
        return re.sub(r"[^a-z0-9]+", "-", self.what.lower()).strip("-")


@dataclass(frozen=True)
class Code:
    """A place in the code: the file from the project's root, the line that does it, and the lines around it."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@lru_cache(maxsize=256)
def locate(function: str, line: str = "") -> Code:
    """Where a function or method of this project stands; ValueError where there is none, or not one such line."""
    parts = function.split(".")
    for count in range(len(parts) - 1, 0, -1):
        file = ROOT.joinpath(*parts[:count]).with_suffix(".py")
        if file.is_file():
            text = file.read_text(encoding="utf-8")
            return within(text, defined(text, parts[count:], function), line, str(file.relative_to(ROOT)))
    raise ValueError(f"There is no file that defines {function}.")


def defined(text: str, names: list[str], function: str) -> ast.AST:
    """The function or method of these names, one inside the other."""
    node: ast.AST = ast.parse(text)
    for name in names:
        kinds = (ast.FunctionDef, ast.ClassDef)
        inner = [child for child in ast.iter_child_nodes(node) if isinstance(child, kinds) and child.name == name]
        if not inner:
            raise ValueError(f"There is no {function}: {name} is not defined.")
        node = inner[0]
    return node


def within(text: str, node: ast.AST, line: str, file: str) -> Code:
    """The code line of a function that holds `line`, with its neighbours, or the function without its docstring."""
    lines, first, last = text.splitlines(), node.lineno, node.end_lineno
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    start = body[0].lineno if body else first
    if not line:
        head = lines[first - 1 : node.body[0].lineno - 1]
        return Code(file, first, textwrap.dedent("\n".join([*head, *lines[start - 1 : min(last, start + SHORT)]])))
    found = [number for number in range(start, last + 1) if line in lines[number - 1]]
    if len(found) != 1:
        there = f"{file}, lines {start} to {last}"
        raise ValueError(f"{line!r} is found {counted(len(found), 'time')} in {there}; it must be once.")
    shown = lines[max(start, found[0] - AROUND) - 1 : min(last, found[0] + AROUND)]
    return Code(file, found[0], textwrap.dedent("\n".join(shown)))


def link(code: Code) -> str:
    """The place in words, and a link to it where VAESCOPE_SOURCE names the repository's files on the web."""
    base = os.environ.get("VAESCOPE_SOURCE", "").rstrip("/")
    return f"[`{code}`]({base}/{code.file}#L{code.line})" if base.startswith(("https://", "http://")) else f"`{code}`"


@st.fragment
def explain(notes: tuple[Note, ...]) -> None:
    """The page's index of notes; the one that is chosen, by a click, a key or a link, opens beneath."""
    known, state = {note.slug: note for note in notes}, st.session_state
    asked = st.query_params.get("note")
    if asked is not None and asked not in known:
        st.warning(f"The link asks for the note {quoted(asked, 40)}; this page has {', '.join(known)}.")
        choices.keep("note", None)
    state["note"] = asked if asked in known else None
    st.pills(
        "How is this computed?",
        list(known),
        key="note",
        format_func=lambda slug: known[slug].what,
        on_change=lambda: choices.keep("note", state["note"]),
    )
    if state["note"]:
        show(known[state["note"]])


def show(note: Note) -> None:
    with st.container(border=True):
        st.latex(note.formula)
        if note.words:
            st.markdown(note.words)
        code = locate(note.function, note.line)
        st.markdown(f"{note.source}. Computed by `{note.function}`, {link(code)}:")
        st.code(code.text, language="python")
