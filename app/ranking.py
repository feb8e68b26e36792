"""What images are ranked by, what a ranking is held against, and what the outcome means in words."""

import math
from dataclasses import dataclass

from vaecore.text import counted


@dataclass(frozen=True)
class Score:
    """A number that the encoder gives without knowing the true posterior: what images can be ranked by."""

    name: str
    formula: str
    unit: str = ""


@dataclass(frozen=True)
class Measure:
    """A number that only the exact posterior gives: what a ranking is held against."""

    name: str
    axis: str
    noun: str
    counts: bool = False


SCORES = {
    "sum": Score("uncertainty of f and h", "Tr V(f) + Tr V(h)"),
    "f": Score("uncertainty of f", "Tr V(f)"),
    "h": Score("uncertainty of h", "Tr V(h)"),
    "norm": Score("feature norm", "|ψᵐ(x)|"),
    "variance": Score("encoder variance", "summed over z1 and z2"),
    "error": Score("reconstruction error", "squared, summed over pixels"),
}
OWN = ("sum", "f", "h")  # those that only a GPVAE has; the others are their plain rivals
MEASURES = {
    "gap": Measure("exact gap", "KL(q(z|x) || p(z|x)), nats", "the exact gap"),
    "shape": Measure(
        "non-Gaussianity",
        "KL of p(z|x) from its best full Gaussian, nats",
        "the non-Gaussianity",
    ),
    "modes": Measure("modes", "modes, with valleys of 1 nat or more", "the number of modes", True),
}


@dataclass(frozen=True)
class Estimate:
    """A correlation and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        return math.isfinite(self.value)

    @property
    def sign(self) -> int:
        """1 or -1 where the whole interval lies on that side of 0, else 0."""
        return (self.low > 0) - (self.high < 0)

    def __str__(self) -> str:
        if not self.known:
            return "undefined"
        return f"{signed(self.value)} [{signed(self.low)}, {signed(self.high)}]"


@dataclass(frozen=True)
class Outcome:
    """How each score goes with one measure over `images` test images."""

    measure: str
    images: int
    alone: dict[str, Estimate]
    given: dict[str, Estimate]  # of OWN: with the rivals' ranks held fixed

    @property
    def rivals(self) -> dict[str, Estimate]:
        return {key: estimate for key, estimate in self.alone.items() if key not in OWN and estimate.known}

    @property
    def best_rival(self) -> str | None:
        return max(self.rivals, key=lambda key: abs(self.rivals[key].value), default=None)


@dataclass(frozen=True)
class Verdict:
    headline: str
    sentences: list[str]


STRENGTHS = ((0.6, "strongly"), (0.4, "clearly"), (0.2, "weakly"), (0.0, "very weakly"))


def strength(value: float) -> str:
    return next(word for least, word in STRENGTHS if abs(value) >= least)


def signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")


def verdict(outcome: Outcome, key: str) -> Verdict:
    """What the numbers say of ranking by the score `key`, in plain words: also when they say no."""
    measure = MEASURES[outcome.measure]
    estimate = outcome.alone[key]
    if not estimate.known:
        return Verdict(
            f"Nothing can be said: {measure.noun} is the same for every image.",
            ["A ranking can only be held against a measure that varies; choose another measure."],
        )
    if key not in OWN:
        return plain_verdict(outcome, key)
    return Verdict(headline(outcome, key), [first(outcome, key), *rest(outcome, key)])


def headline(outcome: Outcome, key: str) -> str:
    alone, given, noun = outcome.alone[key], outcome.given[key], MEASURES[outcome.measure].noun
    if alone.sign < 0 and alone.value < -0.2:
        return f"The data contradict the paper: the more unsure the encoder, the smaller {noun}."
    if alone.sign <= 0 or alone.value < 0.1:
        return f"The data do not support the paper: the uncertainty says next to nothing of {noun}."
    start = f"The data {'weakly ' if alone.value < 0.4 else ''}support the paper"
    if not given.known:
        return f"{start}."
    if given.sign < 0 and given.value < -0.1:
        return f"{start} at first sight, but with the plain rivals held fixed the relation turns round."
    if given.sign <= 0 or given.value < 0.1:
        return f"{start} at first sight, but plain rivals explain all of it."
    if given.value < 0.6 * alone.value:
        return f"{start}, but plain rivals explain much of it."
    return f"{start}, and plain rivals do not explain it."


def first(outcome: Outcome, key: str) -> str:
    alone, noun = outcome.alone[key], MEASURES[outcome.measure].noun
    start = f"Over {counted(outcome.images, 'image')}, {noun}"
    if alone.sign == 0:
        return f"{start} goes neither up nor down with the {SCORES[key].name}: rank correlation {alone}."
    way = "rises" if alone.value > 0 else "falls"
    return f"{start} {way} {strength(alone.value)} with the {SCORES[key].name}: rank correlation {alone}."


def rest(outcome: Outcome, key: str) -> list[str]:
    alone, given, rival = outcome.alone[key], outcome.given[key], outcome.best_rival
    said = []
    if given.known:
        names = " and ".join(SCORES[name].name for name in outcome.rivals)
        names = names.replace(" and ", ", ", len(outcome.rivals) - 2)
        said.append(f"With {names} held fixed, {given} is left.")
    if rival:
        other = outcome.rivals[rival]
        if abs(other.value) > abs(alone.value):
            said.append(f"A plain rival, the {SCORES[rival].name}, goes with it more closely: {other}.")
        else:
            said.append(f"The best plain rival, the {SCORES[rival].name}, goes with it less closely: {other}.")
    return said


def plain_verdict(outcome: Outcome, key: str) -> Verdict:
    """Of a score that any VAE has, where no paper makes a claim."""
    best, alone = outcome.best_rival, outcome.alone[key]
    said = [first(outcome, key)]
    if best != key and best is not None:
        said.append(f"The {SCORES[best].name} goes with it more closely: {outcome.alone[best]}.")
    if alone.sign == 0:
        return Verdict(f"The {SCORES[key].name} says nothing of {MEASURES[outcome.measure].noun} here.", said)
    way = "follows" if alone.value > 0 else "runs against"
    name = SCORES[key].name.capitalize()
    return Verdict(f"{name} {strength(alone.value)} {way} {MEASURES[outcome.measure].noun}.", said)


def size(share: float) -> str:
    """How large the uncertainty is beside the encoder's own variance: `share` of it in the median."""
    if share < 0.01:
        return f"It is small: {percent(share)} of the encoder's variance in the median, so it hardly changes q(z|x)."
    return f"Its size: {percent(share)} of the encoder's variance in the median."


def percent(share: float) -> str:
    """Two digits, however small."""
    decimals = max(0, 1 - math.floor(math.log10(100 * share))) if share > 0 else 0
    return f"{100 * share:.{min(decimals, 8)}f} %"


def duration(seconds: float) -> str:
    """A time to wait, as one would say it."""
    if seconds < 90:
        return f"about {counted(max(5, 5 * round(seconds / 5)), 'second')}"
    if seconds < 90 * 60:
        return f"about {counted(round(seconds / 60), 'minute')}"
    return f"about {seconds / 3600:.1f} hours"
