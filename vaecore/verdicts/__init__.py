"""What is usual for a VAE, where that is said, and a plain verdict on each number of its report of health.

The thresholds are choices, and none is a law; "look" asks a person to judge. Nats mean little by themselves: a Gaussian
likelihood of 784 pixels with a small variance makes every difference large. So the encoder's gap and the difference
between training and test images are held against the standard deviation of log p(x) over images, as Cohen's d (1988,
Section 2.2) holds a difference of means against the spread: below a fifth of it is small, above four fifths large.
"""

from collections.abc import Callable

from vaecore.verdicts.bounds import elbo, exact_gap, reconstruction, slack, training
from vaecore.verdicts.latent import active_units, information, kl, low, mismatch, moments
from vaecore.verdicts.rows import BAD, GOOD, LOOK, UNCLEAR, Row

# What a report must have for each, and who judges it.
JUDGES: tuple[tuple[str, Callable[[dict], Row | None]], ...] = (
    ("ELBO", elbo),
    ("ELBO", slack),
    ("exact", exact_gap),
    ("training", training),
    ("ELBO", reconstruction),
    ("active units", active_units),
    ("ELBO", kl),
    ("mutual information", information),
    ("mutual information", mismatch),
    ("active units", moments),
    ("low posterior share", low),
)


def verdicts(report: dict) -> list[Row]:
    """A row for each number that a `health.report` has so far: name, value, error, on (how many images), usual, source
    (who says that it is usual), sentence, and a verdict: good, look, bad, or unclear."""
    rows = [judge(report) for needed, judge in JUDGES if report.get(needed) is not None]
    return [row for row in rows if row is not None]


def overall(rows: list[Row]) -> str:
    """The worst of the verdicts; what is unclear does not count."""
    given = {row["verdict"] for row in rows}
    return next((verdict for verdict in (BAD, LOOK, GOOD) if verdict in given), UNCLEAR)


def headline(rows: list[Row]) -> str:
    """The answer in one sentence."""
    named = {verdict: [row["name"] for row in rows if row["verdict"] == verdict] for verdict in (BAD, LOOK, UNCLEAR)}
    if named[BAD]:
        return f"Not healthy: {', '.join(named[BAD])}."
    if named[LOOK]:
        return f"Mostly healthy; look at {', '.join(named[LOOK])}."
    if named[UNCLEAR]:
        return f"Healthy, as far as it can be judged; not to be judged: {', '.join(named[UNCLEAR])}."
    return "Healthy: every number is as usual."
