"""How a file's content is held against its schema: pydantic's strict reading, its first complaint as a sentence."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from vaecore.safefiles import BadFile, File, content, parse_json
from vaecore.text import a

# No text for a number, no 1.0 for 1, no NaN; a key that is not named stays.
OPEN = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)
MOST = 2**53  # what counts in whole numbers, which JavaScript draws too

Count = Annotated[int, Field(ge=0, le=MOST)]
Positive = Annotated[int, Field(ge=1, le=MOST)]
Number = Annotated[float, Field(allow_inf_nan=False, gt=-1e300, lt=1e300)]
Seconds = Annotated[float, Field(allow_inf_nan=False, ge=0, lt=1e15)]
Word = Annotated[str, Field(max_length=200)]
Text = Annotated[str, Field(max_length=10_000)]


def checked(schema: TypeAdapter, held: Any, file: File | str) -> Any:  # noqa: ANN401
    """`held` as the schema has it; BadFile, which names the file and the field, where it does not fit."""
    try:
        return schema.validate_python(held)
    except ValidationError as error:
        raise BadFile(f"{file}: {complaint(error, held)}.") from None


def read(schema: TypeAdapter, file: File, most: int) -> Any:  # noqa: ANN401
    """The JSON in `file`, of at most `most` bytes, as the schema has it."""
    return checked(schema, parse_json(content(file, most), file), file)


def complaint(error: ValidationError, held: Any) -> str:  # noqa: ANN401
    """The first thing that is wrong, in words."""
    first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(str(part)[:60] for part in path(first["loc"], held))
    said = first["msg"].removeprefix("Value error, ")[:200]
    said = said[:1].lower() + said[1:]
    return f"{place}: {said}; it is {short(first['input'])}" if place else said


def path(loc: tuple[str | int, ...], held: Any) -> list[str | int]:  # noqa: ANN401
    """The keys and places of `loc`, without the names of alternatives that pydantic puts between them."""
    found: list[str | int] = []
    for part in loc[:-1]:
        if isinstance(held, dict) and part in held or isinstance(held, list) and isinstance(part, int):
            found, held = [*found, part], held[part]
    return [*found, *loc[-1:]]


def short(held: Any) -> str:  # noqa: ANN401
    """At most 60 characters that show it; of what holds more than a line, its kind."""
    if isinstance(held, int) and abs(held) > 2**63:
        return "a number of too many digits"
    return repr(held)[:60] if isinstance(held, str | int | float | None) else a(type(held).__name__)
