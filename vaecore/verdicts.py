"""What is usual for a VAE, and a plain verdict on each number of its report of health.

The thresholds below are choices of VAEscope, and none is a law; "look" asks a person to judge. What they lean on: a
unit is active above a variance of 0.01 (Burda et al. 2016), and where q(z) is the prior, KL(q(z) || p(z)) is 0.
"""

from collections.abc import Callable

GOOD, LOOK, BAD = "good", "look", "bad"
UNCLEAR = "unclear"  # the estimate says too little for any of them
COLLAPSED = 0.1  # nats: a code that carries less carries nothing
FAINT = 1.0  # nats: about one yes or no
SLACK = (6.0, 20.0)  # nats of IWAE above ELBO: good up to the first, bad above the second
GAP = (3.0, 10.0)  # nats of the exact gap
ACTIVE, SEVERAL = 0.5, 5  # more than half of the dimensions, or so many: a VAE with room to spare leaves units unused
MISMATCH = (0.5, 1.5)  # nats of KL(q(z) || p(z)) for each dimension
MOMENTS = (0.3, 1.0)  # how far mean and variance of q(z) may be from 0 and 1, on average over dimensions
LOW = (0.1, 0.5)  # share of prior samples where no codes lie; 0.01 where q(z) = p(z)
FAR = 8.0  # standard deviations of the worst ELBO below the mean
FULL = 0.95  # of the ceiling: the estimate of the mutual information says only that it is at least that
Row = dict[str, str | float | None]


def verdicts(report: dict) -> list[Row]:
    """A row for each number of a `health.report`: name, value, error, usual, sentence, and a verdict: good, look, bad,
    or unclear."""
    rows = [judge(report) for judge in JUDGES]
    return [row for row in rows if row is not None]


def overall(rows: list[Row]) -> str:
    """The worst of the verdicts; what is unclear does not count."""
    given = {row["verdict"] for row in rows}
    return next(verdict for verdict in (BAD, LOOK, GOOD) if verdict in given)


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


def row(report: dict, name: str, usual: str, verdict: str, sentence: str) -> Row:
    error = report.get(f"{name} error")
    return {
        "name": name,
        "value": report[name],
        "error": error,
        "usual": usual,
        "verdict": verdict,
        "sentence": sentence,
    }


def between(value: float, limits: tuple[float, float]) -> str:
    return GOOD if value <= limits[0] else LOOK if value <= limits[1] else BAD


def elbo(report: dict) -> Row:
    gain, kl = report["reconstruction gained by the right code"], report["KL(q(z|x) || p(z))"]
    verdict = BAD if gain < COLLAPSED else GOOD if gain > kl else LOOK
    sentence = {
        BAD: "The decoder draws as well from another image's code: it ignores z.",
        LOOK: "The right code costs more nats than the decoder gains by it over another image's.",
        GOOD: f"The right code gains {gain:.1f} nats over another image's, more than the {kl:.1f} it costs.",
    }[verdict]
    return row(report, "ELBO", "depends on the data; the code gains more than its KL", verdict, sentence)


def slack(report: dict) -> Row:
    verdict = between(report["IWAE - ELBO"], SLACK)
    sentence = {
        GOOD: "Weighted samples find little that the ELBO misses.",
        LOOK: "Weighted samples find clearly more than the ELBO: q(z|x) is some way from the true posterior.",
        BAD: "The ELBO is far too low: q(z|x) misses the true posterior.",
    }[verdict]
    return row(report, "IWAE - ELBO", f"0 to {SLACK[0]:g}", verdict, sentence)


def exact_gap(report: dict) -> Row | None:
    if not (found := report["exact"]):
        return None
    verdict, split = between(found["gap"], GAP), ""
    if "amortization gap" in found:
        split = f" {found['amortization gap']:.2f} are the encoder's misses, the rest the Gaussian's shape."
    sentence = {
        GOOD: "The encoder is near the true posterior.",
        LOOK: "The encoder loses some nats to the true posterior.",
        BAD: "The encoder is far from the true posterior.",
    }[verdict]
    named = {"exact gap": found["gap"], "exact gap error": found["gap error"]}
    return row(named, "exact gap", f"0 to {GAP[0]:g}", verdict, sentence + split)


def reconstruction(report: dict) -> Row:
    spread, worst = report["spread of the ELBO"], report["worst images"][0]
    far = (report["ELBO"] - worst["ELBO"]) / max(spread, 1e-9)
    verdict = GOOD if far <= FAR else LOOK
    said = f"Image {worst['image']} has the least ELBO, {far:.1f} standard deviations below the mean"
    return row(
        report,
        "reconstruction",
        f"no image more than {FAR:g} sd below the mean ELBO",
        verdict,
        f"{said}." if verdict == GOOD else f"{said}: look at the worst images.",
    )


def active_units(report: dict) -> Row:
    count, size = report["active units"], report["latent dimensions"]
    verdict = BAD if count == 0 else GOOD if count > ACTIVE * size or count >= SEVERAL else LOOK
    sentence = f"{count} of {size} dimensions vary with the image."
    usual = f"more than half of {size}" + (f", or {SEVERAL}" if SEVERAL <= ACTIVE * size else "")
    sentence += " The posterior has collapsed." if verdict == BAD else " The rest is unused." if count < size else ""
    return row(report, "active units", usual, verdict, sentence)


def kl(report: dict) -> Row:
    value = report["KL(q(z|x) || p(z))"]
    verdict = BAD if value < COLLAPSED else LOOK if value < FAINT else GOOD
    sentence = {
        BAD: "q(z|x) is the prior, whatever the image: the posterior has collapsed.",
        LOOK: "A code says hardly more than one yes or no.",
        GOOD: "Codes say something of their image.",
    }[verdict]
    return row(report, "KL(q(z|x) || p(z))", f"at least {FAINT:g}", verdict, sentence)


def information(report: dict) -> Row:
    value, cap = report["mutual information"], report["ceiling of the mutual information"]
    verdict = BAD if value < COLLAPSED else LOOK if value < FAINT else GOOD
    sentence = f"At most {cap:.2f}, the logarithm of the number of images, can be seen."
    if value > FULL * cap:
        sentence = f"It is at its ceiling of {cap:.2f}, the logarithm of the number of images; the truth may be more."
    if verdict == BAD:
        sentence = "A code tells nothing about which image it came from."
    return row(report, "mutual information", f"{FAINT:g} to {cap:.2f}", verdict, sentence)


def mismatch(report: dict) -> Row:
    size, value = report["latent dimensions"], report["KL(q(z) || p(z))"]
    verdict = between(value / size, MISMATCH)
    # The KL is then its average less the ceiling: a number of how many images there are, not of q(z).
    full = report["mutual information"] > FULL * report["ceiling of the mutual information"]
    sentence = {
        GOOD: "All codes together lie about where the prior says.",
        LOOK: "All codes together differ from the prior: its samples may be poor.",
        BAD: "All codes together lie elsewhere than the prior says.",
    }[verdict]
    if full:
        verdict = UNCLEAR
        sentence = "It is an upper limit: the mutual information is at its ceiling, so more images would lower it."
    return row(report, "KL(q(z) || p(z))", f"0 to {MISMATCH[0] * size:g}", verdict, sentence)


def moments(report: dict) -> Row | None:
    if not report["prior is N(0, I)"]:
        return None
    size = report["latent dimensions"]
    mean = sum(map(abs, report["mean of q(z)"])) / size
    variance = sum(abs(value - 1) for value in report["variance of q(z)"]) / size
    named = {"moments of q(z)": max(mean, variance)}
    sentence = f"Means are {mean:.2f} from 0 and variances {variance:.2f} from 1, on average over dimensions."
    verdict = between(max(mean, variance), MOMENTS)
    return row(named, "moments of q(z)", f"0 to {MOMENTS[0]:g} from N(0, I)", verdict, sentence)


def low(report: dict) -> Row:
    value = report["low posterior share"]
    verdict = between(value, LOW)
    sentence = f"{100 * value:.1f} % of the prior's samples fall where fewer than 1 % of held-out codes do."
    return row(report, "low posterior share", f"0.01 to {LOW[0]:g}", verdict, sentence)


JUDGES: tuple[Callable[[dict], Row | None], ...] = (
    elbo,
    slack,
    exact_gap,
    reconstruction,
    active_units,
    kl,
    information,
    mismatch,
    moments,
    low,
)
