"""What a recipe lets one choose: its name, what it may be, and what it means."""

from dataclasses import dataclass
from typing import Any

from vaecore.text import a


@dataclass(frozen=True)
class Choice:
    """One of some words."""

    name: str
    choices: tuple[str, ...]
    help: str
    default: str | None = None  # None: chosen from the images' shape

    def check(self, value: Any) -> str:  # noqa: ANN401
        if value not in self.choices:
            raise ValueError(f"Option {self.name} is {value!r}; it must be one of {', '.join(self.choices)}.")
        return value


@dataclass(frozen=True)
class Number:
    """A number from `least` to `most`, whole if the default is; text that reads as one is taken too."""

    name: str
    default: float
    least: float
    most: float
    help: str

    def check(self, value: Any) -> float:  # noqa: ANN401
        whole = isinstance(self.default, int)
        kind = f"{a('whole number' if whole else 'number')} from {self.least:g} to {self.most:g}"
        try:
            number = int(value) if whole else float(value)
            fits = not isinstance(value, bool) and self.least <= number <= self.most and number == float(value)
        except (TypeError, ValueError, OverflowError):
            fits = False
        if not fits:
            raise ValueError(f"Option {self.name} is {value!r}; it must be {kind}.")
        return number
