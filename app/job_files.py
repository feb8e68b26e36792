"""What lies in a job's folder, held against its form: job.json, progress.json, first.json, stop.json, what it said.

The cache may be shared, so that these files may come from anybody: a number of a process from them gets a signal.
"""

from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from vaecore.checking import OPEN, Seconds, checked
from vaecore.safefiles import LARGEST_JSON, BadFile, content, parse_json

FORM = OPEN | {"extra": "ignore"}
Steps = Annotated[int, Field(ge=0, le=10**12)]


@with_config(FORM)
class Known(TypedDict):
    """job.json; 0 and 1 are no process that could be a job's."""

    kind: Annotated[str, Field(pattern=r"^[a-z]{1,20}$")]
    target: Annotated[str, Field(max_length=20_000)]
    pid: Annotated[int, Field(ge=2, lt=2**31)]
    started: Seconds
    ticket: NotRequired[Annotated[str, Field(pattern=r"^ticket-[0-9]{1,30}-[0-9]{1,20}$")]]
    owner: NotRequired[Annotated[str, Field(pattern=r"^[0-9a-f]{0,32}$")]]


@with_config(FORM)
class Progress(TypedDict):
    step: Steps
    steps: Steps
    seconds: Seconds


@with_config(FORM)
class First(TypedDict):
    step: Steps
    seconds: Seconds


@with_config(FORM)
class Stop(TypedDict):
    asked: Seconds


@with_config(OPEN)
class Result(TypedDict, total=False):
    """The one object that the command says at its end."""

    stopped: bool


KNOWN, PROGRESS, FIRST, STOP, RESULT = map(TypeAdapter, (Known, Progress, First, Stop, Result))


def read(file: Path, form: TypeAdapter) -> dict[str, Any] | None:
    """The file's object; None where there is none or it is still empty; BadFile with the field that does not fit."""
    try:
        text = content(file, LARGEST_JSON)
    except BadFile:
        if file.exists():
            raise
        return None
    return checked(form, parse_json(text, file), file) if text else None
