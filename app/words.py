"""Numbers as a person reads them: nats with fitting decimals, and a plain sentence for each."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.figures import GREEN, border
from app.numbers import nats
from vaecore.text import a, counted

if TYPE_CHECKING:
    from app.session import Look

BEST = (GREEN, border("dash"))  # the line of the best Gaussian in every picture
SURE = 0.05  # nats: an uncertainty over this is said in words


@dataclass(frozen=True)
class Number:
    """A row of the panel: a name, an amount in nats with its error where that is estimated, and what it means here."""

    name: str
    amount: float
    error: float | None
    meaning: str
    colour: str = ""
    line: str = "solid"  # as CSS names it

    @property
    def value(self) -> str:
        return nats(self.amount, self.error or 0.0)


def headline(look: "Look") -> str:
    """The answer for this image in one sentence."""
    gap, parts = look.gap, (look.amortization, look.approximation)
    if look.q.family:
        return rivalry(look)
    if gap < 0.05:
        return f"Here the encoder is right: its posterior is within {nats(max(gap, 0.01))} nats of the true one."
    start = f"Here the encoder loses {nats(gap)} nats"
    share = min(99, max(1, round(100 * parts[0] / max(sum(parts), 1e-9))))
    if share >= 60:
        return f"{start}, {share} % of it because its guess for this image is not the best Gaussian."
    if share <= 40:
        return f"{start}, {100 - share} % of it because no diagonal Gaussian fits the true posterior."
    return f"{start}: about half because its guess misses, about half because no diagonal Gaussian would fit."


def rivalry(look: "Look") -> str:
    """The answer where q is no diagonal Gaussian: how it does beside the best one."""
    start = f"Here the encoder's {look.q.family} loses {nats(max(look.gap, 0.0))} nats"
    ahead = look.approximation - look.gap
    if abs(ahead) < max(SURE, look.gap_error):
        return f"{start}, as much as the best diagonal Gaussian would."
    side = "less than the best diagonal Gaussian could" if ahead > 0 else "more than the best diagonal Gaussian would"
    return f"{start}, {nats(abs(ahead))} {side}."


def numbers(look: "Look", colour: str) -> list[Number]:
    """The panel's rows; `colour` is that of q in the picture."""
    bound = f"The bound that training raises: {nats(look.gap)} below log p(x)."
    gap = "KL(q(z|x) || p(z|x)), how wrong the encoder is: the sum of the next two."
    first = [
        Number("log p(x)", look.log_evidence, look.error, evidence(look)),
        Number("ELBO", look.elbo, look.error, bound),
        Number("IWAE(100)", look.iwae, None, importance(look)),
    ]
    if look.q.family:
        own = f"KL(q(z|x) || p(z|x)), how wrong the encoder is; q is {a(look.q.family)}."
        return [
            *first,
            Number("gap of q", look.gap, look.gap_error, own, colour),
            Number("gap of the best diagonal Gaussian", look.approximation, None, yardstick(look), *BEST),
        ]
    return [
        *first,
        Number("gap", look.gap, look.gap_error, gap),
        Number("amortization gap", look.amortization, look.gap_error, amortization(look), colour),
        Number("approximation gap", look.approximation, look.gap_error, approximation(look), *BEST),
    ]


def yardstick(look: "Look") -> str:
    """Why the gap is not split where q is no diagonal Gaussian."""
    if look.gap < look.approximation:
        return "A yardstick, and no bound here: q has shapes that no diagonal Gaussian has, and uses them."
    return "A yardstick: some diagonal Gaussian does at least as well, so the shape of q is not what fails here."


def evidence(look: "Look") -> str:
    if look.error > SURE:
        return f"How well the model explains this image; the integral is uncertain by about {nats(look.error)} nats."
    return "How well the model explains this image: p(x|z) p(z), integrated over all z."


def importance(look: "Look") -> str:
    short = look.log_evidence - look.iwae
    if abs(short) < 0.05:
        return "The usual estimate from 100 weighted samples of q: here as good as exact."
    side = "too low" if short > 0 else "too high, by chance"
    return f"The usual estimate from 100 weighted samples of q: here {nats(abs(short))} {side}."


def amortization(look: "Look") -> str:
    if look.amortization < 0.05:
        return "The encoder's mean and widths are as good as any upright Gaussian's."
    shift = math.hypot(*((look.q_loc - look.best_loc) / look.best_scale))
    wide, high = look.best_scale / look.q_scale
    return (
        f"The best Gaussian lies {shift:.1f} of its sd away; its sd are {wide:.1f} and {high:.1f} times the encoder's."
    )


def approximation(look: "Look") -> str:
    if look.approximation < 0.05:
        return "The true posterior is very nearly an upright Gaussian."
    if look.modes > 1:
        return f"The true posterior has {counted(look.modes, 'mode')}; one upright Gaussian cannot cover them."
    return "The true posterior is tilted or bent; no upright Gaussian has its shape."
