"""What stands in the folder of a run, held against its form: run.json, end.json and the lines of metrics.jsonl.

A folder may be shared, so that its files may come from anybody. Keys that are not named here may be there: a later
version may write them.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from vaecore.checking import OPEN, Count, Number, Positive, Seconds, Text, Word, checked, complaint
from vaecore.safefiles import LARGEST_JSON, BadFile, content, parse_json

LARGEST_LOG, MOST_LINES = 1 << 26, 1_000_000
LINES = OPEN | {"extra": "ignore"}  # nobody reads what is not named in a line, and there are many
Steps = Annotated[int, Field(ge=0, le=10**12)]
Epochs = Annotated[int, Field(ge=1, le=10**6)]


@with_config(OPEN)
class Asked(TypedDict, total=False):
    """run.json: what was asked. Whether there are such a recipe and such options is seen when it is begun."""

    recipe: Word
    dataset: Word
    latent_dim: Annotated[int, Field(ge=1, le=10**6)]
    epochs: Epochs
    batch_size: Positive
    seed: Count
    learning_rate: Number | None
    start: Annotated[str, Field(max_length=4096)] | None
    options: Annotated[dict[Word, Word | Count | Number], Field(max_length=100)]


@with_config(OPEN)
class End(TypedDict, total=False):
    state: Literal["", "stopped", "failed"]
    sentence: Text


@with_config(LINES)
class Begin(TypedDict):
    event: Literal["begin"]


@with_config(LINES)
class Step(TypedDict):
    """step of steps, both of the whole run; the objective in nats, None where it was no number."""

    event: Literal["step"]
    step: Steps
    steps: Steps
    objective: Number | None
    seconds: Seconds


@with_config(LINES)
class Epoch(TypedDict):
    """One whole epoch: bounds and the terms of the ELBO in nats per image."""

    event: Literal["epoch"]
    epoch: Epochs
    epochs: Epochs
    step: Steps
    train_elbo: NotRequired[Number | None]
    valid_elbo: NotRequired[Number | None]
    reconstruction: NotRequired[Number | None]
    kl: NotRequired[Number | None]
    learning_rate: NotRequired[Number | None]
    seconds: NotRequired[Seconds | None]


ASKED, END = TypeAdapter(Asked), TypeAdapter(End)
LINE = TypeAdapter(Annotated[Begin | Step | Epoch, Field(discriminator="event")])
# Half a line, which a killed process leaves; what is no event; an event of a later version.
PASSED_OVER = ("json_invalid", "dict_type", "model_attributes_type", "union_tag_not_found", "union_tag_invalid")


def read_asked(file: Path) -> dict[str, Any]:
    """A run.json, {} where there is none; BadFile with the file and the field that does not fit."""
    return read_object(file, ASKED)


def read_end(file: Path) -> dict[str, Any]:
    """An end.json, as `read_asked`."""
    return read_object(file, END)


def read_object(file: Path, form: TypeAdapter) -> dict[str, Any]:
    # Empty is a file that is about to be written.
    return checked(form, parse_json(text, file), file) if (text := present(file, LARGEST_JSON)) else {}


def read_log(file: Path) -> list[dict[str, Any]] | None:
    """The events of a metrics.jsonl, None where there is none; BadFile with the line and the field that do not fit."""
    if (text := present(file, LARGEST_LOG)) is None:
        return None
    texts = text.split(b"\n")
    if len(texts) > MOST_LINES:
        raise BadFile(f"{file} has {len(texts):,} lines; at most {MOST_LINES:,} are read.")
    found = (parse_line(text, number, file) for number, text in enumerate(texts, 1) if text)
    return [line for line in found if line is not None]


def present(file: Path, most: int) -> bytes | None:
    """The file's bytes; None where there is none, which may come about at any moment: the run may be finished."""
    try:
        return content(file, most)
    except BadFile:
        if file.exists():
            raise
        return None


def parse_line(text: bytes, number: int, file: Path) -> dict[str, Any] | None:
    """The event of a line; None for what is passed over."""
    try:
        return LINE.validate_json(text)
    except ValidationError as error:
        if error.errors(include_url=False, include_context=False, include_input=False)[0]["type"] in PASSED_OVER:
            return None
        raise BadFile(f"{file}, line {number}: {complaint(error, {})}.") from None
