"""Verdicts on the codes, and on q(z) beside the prior."""

from vaecore.text import counted
from vaecore.verdicts.rows import (
    ACTIVE,
    BAD,
    CHOICE,
    COLLAPSED,
    FAINT,
    FULL,
    GOOD,
    HELD,
    LOOK,
    LOW,
    MISMATCH,
    MOMENTS,
    SEVERAL,
    UNCLEAR,
    Row,
    between,
    coded,
    of,
    row,
)


def active_units(report: dict) -> Row:
    count, size = report["active units"], report["latent dimensions"]
    verdict = BAD if count == 0 else GOOD if count > ACTIVE * size or count >= SEVERAL else LOOK
    sentence = f"{count} of {counted(size, 'dimension')} vary with the image."
    usual = f"more than half of {size}" + (f", or {SEVERAL}" if SEVERAL <= ACTIVE * size else "")
    sentence += " The posterior has collapsed." if verdict == BAD else " The rest is unused." if count < size else ""
    source = (
        "Burda et al. 2016, Section 5.2; a standard prior leaves units unused (25 of 40: Xu et al. 2019, Table 8); "
    )
    source += f"how many are few: {CHOICE}"
    return row(report, "active units", (usual, source), verdict, (sentence, coded(report)))


def kl(report: dict) -> Row:
    value = report["KL(q(z|x) || p(z))"]
    verdict = BAD if value < COLLAPSED else LOOK if value < FAINT else GOOD
    sentence = {
        BAD: "q(z|x) is the prior, whatever the image: the posterior has collapsed.",
        LOOK: "A code says hardly more than one yes or no.",
        GOOD: "Codes say something of their image.",
    }[verdict]
    source = f"{CHOICE}: one yes or no is log 2 = 0.69 nats; a KL of 0 is a collapse"
    usual = f"at least {FAINT:g}"
    return row(report, "KL(q(z|x) || p(z))", (usual, source), verdict, (sentence, of(report)))


def information(report: dict) -> Row:
    value, cap = report["mutual information"], report["ceiling of the mutual information"]
    verdict = BAD if value < COLLAPSED else LOOK if value < FAINT else GOOD
    sentence = f"At most {cap:.2f}, the logarithm of the number of images, can be seen."
    if value > FULL * cap:
        sentence = f"It is at its ceiling of {cap:.2f}, the logarithm of the number of images; the truth may be more."
    if verdict == BAD:
        sentence = "A code tells nothing about which image it came from."
    source = f"least: {CHOICE}, as for the KL; most: log N, Hoffman & Johnson 2016; Xu et al. 2019, equation 6"
    usual = f"{FAINT:g} to {cap:.2f}"
    return row(report, "mutual information", (usual, source), verdict, (sentence, coded(report)))


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
    usual = f"0 to {MISMATCH[0] * size:g}: {MISMATCH[0]:g} for each dimension"
    source = f"0 where the VAE is perfect, Xu et al. 2019, equation 6 and above it; how much is much: {CHOICE}"
    return row(report, "KL(q(z) || p(z))", (usual, source), verdict, (sentence, coded(report)))


def moments(report: dict) -> Row | None:
    if not report["prior is N(0, I)"]:
        return None
    size = report["latent dimensions"]
    mean = sum(map(abs, report["mean of q(z)"])) / size
    variance = sum(abs(value - 1) for value in report["variance of q(z)"]) / size
    named = {"moments of q(z)": max(mean, variance)}
    sentence = f"Means are {mean:.2f} from 0 and variances {variance:.2f} from 1, on average over dimensions."
    verdict = between(max(mean, variance), MOMENTS)
    source = f"0 and 1 where q(z) is the prior, Xu et al. 2019, Table B.1; how far is far: {CHOICE}"
    usual = f"0 to {MOMENTS[0]:g} from N(0, I)"
    return row(named, "moments of q(z)", (usual, source), verdict, (sentence, coded(report)))


def low(report: dict) -> Row:
    value, held = report["low posterior share"], report["images held out"]
    images = counted(held, "image")
    verdict = between(value, LOW)
    sentence = f"{100 * value:.1f} % of the prior's samples fall where fewer than 1 % of held-out codes do."
    if held < HELD:
        verdict = UNCLEAR
        sentence = f"The level is the lowest 1 % of the codes of {images}: too few to say where that lies."
    source = f"0.01 where q(z) is the prior; low samples: Rosca et al. 2018, Xu et al. 2019, B.9; limits: {CHOICE}"
    usual = f"0.01 to {LOW[0]:g}"
    return row(report, "low posterior share", (usual, source), verdict, (sentence, f"{images} held out"))
