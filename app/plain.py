"""Text that a stranger may have written, as Markdown shows it letter by letter.

What comes from a link, a folder's name, a card, a run's settings, a file or an error's sentence goes through `plain`
before it stands in any of Streamlit's texts, labels or helps; in HTML `html.escape` does the
same, in figures `figures.in_figure`.
"""

import re

MARKS = re.compile(r"([\\`*_{}\[\]<>#|~$:!&])")
# These are sought in what Markdown has read already, where a backslash no longer holds them off: addresses, emoji and
# icons between colons, and signs that become one. A word joiner, which is not seen, stands between their first letters.
JOINER = "\N{WORD JOINER}"
SOUGHT = re.compile(
    r"(?<=:)(?=//|[\w+-][\w/+-]*:)|(?<=@)(?=\S)|(?<=www)(?=\.)|(?:(?<=^.)|(?<=\s.))(?<=[-<>~])(?=[-=>]>?(?:\s|$))",
    re.IGNORECASE,
)
FIRST = re.compile(r"^([-+]|\d+(?=[.)]))")  # a list's, at the beginning


def plain(text: object) -> str:
    """`text` on one line, so that Markdown shows it as it is: no image, link, maths, code, colour, icon or heading."""
    said = SOUGHT.sub(JOINER, " ".join(str(text).split()))
    return FIRST.sub(lambda found: first(found[0]), MARKS.sub(r"\\\1", said))


def first(mark: str) -> str:
    """What would begin a list, held off: a sign by a backslash, a number by a joiner behind it."""
    return f"{mark}{JOINER}" if mark.isdigit() else f"\\{mark}"


def quoted(text: str, most: int) -> str:
    """What a link asks for, as it is named where it is refused: its first letters, in quotation marks."""
    return plain(repr(text[:most]))
