"""A row of the table of health, and the limits by which it is judged, none of which is a law."""

from vaecore.text import counted

GOOD, LOOK, BAD = "good", "look", "bad"
UNCLEAR = "unclear"  # the estimate says too little for any of them
COLLAPSED = 0.1  # nats: a code that carries less carries nothing
FAINT = 1.0  # nats: about one yes or no
GAP = (0.2, 0.8)  # of the spread of log p(x): Cohen's small and large
FIT = (0.1, 0.5)  # of the spread of the ELBO, between training and test images: half of small, and medium
SURE = 2.0  # standard errors: a difference below that may be chance
ACTIVE, SEVERAL = 0.5, 5  # more than half of the dimensions, or so many: a VAE with room to spare leaves units unused
MISMATCH = (0.5, 1.5)  # nats of KL(q(z) || p(z)) for each dimension
MOMENTS = (0.3, 1.0)  # how far mean and variance of q(z) may be from 0 and 1, on average over dimensions
LOW = (0.1, 0.5)  # share of prior samples where no codes lie; 0.01 where q(z) = p(z)
HELD = 100  # images held out: of fewer, the lowest 1 % of their codes is no number
FAR = 8.0  # standard deviations of the worst ELBO below the mean
FULL = 0.95  # of the ceiling: the estimate of the mutual information says only that it is at least that
CHOICE = "a choice of VAEscope"
SCALE = f"Cohen 1988, Section 2.2: 0.2 sd are a small, 0.8 a large difference; that sd as the scale: {CHOICE}"
Row = dict[str, str | float | None]


def row(report: dict, name: str, usual: tuple[str, str], verdict: str, said: tuple[str, str]) -> Row:
    """`usual` is what is usual and who says so; `said` the sentence and on what it was measured."""
    error, (expected, source), (sentence, on) = report.get(f"{name} error"), usual, said
    return {
        "name": name,
        "value": report[name],
        "error": error,
        "on": on,
        "usual": expected,
        "source": source,
        "verdict": verdict,
        "sentence": sentence,
    }


def between(value: float, limits: tuple[float, float]) -> str:
    return GOOD if value <= limits[0] else LOOK if value <= limits[1] else BAD


def of(report: dict) -> str:
    return f"{counted(report['images measured'], 'image')}, K = {report['draws']}"


def coded(report: dict) -> str:
    return f"{counted(report['images for the codes'], 'image')}"
