"""Verdicts on what the ELBO says: how good it is, how far from log p(x), and whether on images never seen."""

from vaecore.text import counted
from vaecore.verdicts.rows import (
    BAD,
    CHOICE,
    COLLAPSED,
    FAR,
    FIT,
    GAP,
    GOOD,
    LOOK,
    SCALE,
    SURE,
    UNCLEAR,
    Row,
    between,
    of,
    row,
)


def elbo(report: dict) -> Row:
    name = "reconstruction gained by the right code"
    gain, error, kl = report[name], report[f"{name} error"], report["KL(q(z|x) || p(z))"]
    verdict = BAD if gain < max(COLLAPSED, SURE * error) else GOOD if gain > kl else LOOK
    sentence = {
        BAD: "The decoder draws as well from another image's code: it ignores z.",
        LOOK: f"The right code gains {gain:.1f} nats over another image's, less than the {kl:.1f} that it costs.",
        GOOD: f"The right code gains {gain:.1f} nats over another image's, more than the {kl:.1f} that it costs.",
    }[verdict]
    usual = "depends on the data; a code gains more nats than its KL"
    source = f"{CHOICE}: codes that cost more than they bring are better left out, which is how posteriors collapse"
    return row(report, "ELBO", (usual, source), verdict, (sentence, of(report)))


def slack(report: dict) -> Row:
    value, spread = report["IWAE - ELBO"], report["spread of log p(x)"]
    verdict = between(value / max(spread, 1e-9), GAP)
    start = f"IWAE is {report['IWAE']:.1f}. The difference is {share(value, spread)} of log p(x) over images"
    sentence = {
        GOOD: f"{start}: weighted samples find little that the ELBO misses.",
        LOOK: f"{start}: q(z|x) is some way from the true posterior.",
        BAD: f"{start}: the ELBO is far too low, q(z|x) misses the true posterior.",
    }[verdict]
    exact = report.get("exact")
    if exact and exact["gap"] > 2 * value and exact["gap"] - value > SURE * exact["gap error"]:
        verdict, sentence = (
            UNCLEAR,
            f"{start}, a lower limit that says little here: the exact gap is {exact['gap']:.1f}.",
        )
    usual = f"0 to {GAP[0] * spread:.1f}: {GAP[0]:g} sd of log p(x)"
    return row(report, "IWAE - ELBO", (usual, SCALE), verdict, (sentence, of(report)))


def exact_gap(report: dict) -> Row | None:
    found = report["exact"]
    spread = found["spread of log p(x)"]
    verdict = between(found["gap"] / max(spread, 1e-9), GAP)
    start = {
        GOOD: "The encoder is near the true posterior",
        LOOK: "The encoder loses some nats to the true posterior",
        BAD: "The encoder is far from the true posterior",
    }[verdict]
    sentence = f"{start}: {share(found['gap'], spread)} of log p(x) over images. Half of the images lose less than "
    sentence += f"{found['median of the gap']:.2f}." + split(found) + overfitted(report)
    named = {"exact gap": found["gap"], "exact gap error": found["gap error"]}
    usual = f"0 to {GAP[0] * spread:.1f}: {GAP[0]:g} sd of log p(x)"
    said = (sentence, f"{counted(found['images'], 'image')}")
    return row(named, "exact gap", (usual, SCALE), verdict, said)


def share(value: float, spread: float) -> str:
    return f"{value / max(spread, 1e-9):.2f} sd"


def split(found: dict) -> str:
    """What of the gap is the encoder's, and what its family's."""
    if "amortization gap" not in found:
        return ""
    return f" {found['amortization gap']:.2f} are the encoder's misses, the rest the Gaussian's shape."


def overfitted(report: dict) -> str:
    """Whether the encoder does better on images that it was trained on."""
    found, known = report["exact"], (report.get("training") or {}).get("exact")
    if not known or found["gap"] - known["gap"] < SURE * (found["gap error"] ** 2 + known["gap error"] ** 2) ** 0.5:
        return ""
    return f" On training images the gap is {known['gap']:.1f} ± {known['gap error']:.1f}: the encoder has overfitted."


def training(report: dict) -> Row:
    found, spread = report["training"], report["spread of the ELBO"]
    value, error = found["training - test"], found["training - test error"]
    verdict, share_of = between(value / max(spread, 1e-9), FIT), share(value, spread)
    if verdict != GOOD and value < SURE * error:
        verdict = UNCLEAR
    sentence = {
        GOOD: "Images that it has never seen fare about as well as those it was trained on.",
        LOOK: f"It does better on images that it was trained on, by {share_of} of the ELBO: it overfits.",
        BAD: f"It has learned its training images by heart: they fare {share_of} of the ELBO better.",
        UNCLEAR: f"Training images fare {share_of} of the ELBO better, but of so few that may be chance.",
    }[verdict]
    gap = found.get("exact") and report.get("exact") and report["exact"]["gap"] - found["exact"]["gap"]
    if gap and verdict in (LOOK, BAD) and gap > 0.5 * value and overfitted(report):
        sentence += f" The encoder has its part in that: its exact gap is {gap:.1f} nats larger on test images."
    usual = f"below {FIT[0] * spread:.1f}: {FIT[0]:g} sd of the ELBO"
    source = f"{CHOICE}: half of what Cohen 1988, Section 2.2, calls small; below {SURE:g} standard errors unclear"
    named = {"overfitting": value, "overfitting error": error}
    on = f"ELBO of {counted(found['images'], 'training image')} less that of as many others, K = {found['draws']}"
    return row(named, "overfitting", (usual, source), verdict, (sentence, on))


def reconstruction(report: dict) -> Row:
    spread, worst = report["spread of the ELBO"], report["worst images"][0]
    far = (report["ELBO"] - worst["ELBO"]) / max(spread, 1e-9)
    verdict = GOOD if far <= FAR else LOOK
    sentence = f"Image {worst['image']} has the least ELBO, {far:.1f} standard deviations below the mean"
    sentence += "." if verdict == GOOD else ": look at the worst images."
    source = f"{CHOICE}: so far out lies at most 1 image in {FAR**2:g}, whatever the distribution (Chebyshev)"
    usual = f"no image more than {FAR:g} sd below the mean ELBO"
    return row(report, "reconstruction", (usual, source), verdict, (sentence, of(report)))
