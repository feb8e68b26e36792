"""What the page of priors says in words: of the low posterior samples, of one z, of the comparison with the paper."""

from dataclasses import dataclass

import numpy as np

from app.plain import plain
from app.words import nats
from vaecore.text import counted

LITTLE = 0.5  # nats: a median that moves by less has not moved
CLEAR = 3.0  # nats between log q and log p at one z: from here on it is called a hole, or overfull


@dataclass(frozen=True, eq=False)
class Said:
    """What one checkpoint says of the lowest samples: its name, kind, source, and nats [K] of each."""

    name: str
    kind: str
    source: str
    log_p: np.ndarray
    elbo: np.ndarray


def draws(log_q: np.ndarray, keep: int) -> str:
    """What the ranking found, from log q(z) of all samples."""
    lowest = np.sort(log_q)[:keep]
    return (
        f"Of {counted(len(log_q), 'draw')} the {keep} lowest in q(z): their median log q(z) is "
        f"{nats(float(np.median(lowest)))} nats, that of all draws {nats(float(np.median(log_q)))}."
    )


def lessons(rows: list[Said]) -> list[str]:
    """How each learned prior compares with the standard one, and whether that is what the paper found."""
    standard = next((row for row in rows if row.kind == "standard"), None)
    if standard is None:
        return ["Add a checkpoint with a standard prior to compare with."] if rows else []
    others = [row for row in rows if row.kind != "standard"]
    if not others:
        return ["Add a checkpoint with a learned prior (recipe `rnvp-p`) of this data set to compare with."]
    return [post_hoc(row, standard) if row.source == standard.source else apart(row, standard) for row in others]


def post_hoc(row: Said, standard: Said) -> str:
    """The same z and x under both priors: differences pair by pair."""
    prior, elbo = row.log_p - standard.log_p, row.elbo - standard.elbo
    rise, higher, fewer = float(np.median(prior)), float(np.median(elbo)), f"{int((prior < 0).sum())} of {len(prior)}"
    if rise < -LITTLE:
        first = (
            f"**{plain(row.name)}** knows better than N(0, I) that no data lie there: it gives {fewer} of these z a "
            f"lower density, {nats(-rise)} nats lower in the median, as the paper finds."
        )
    else:
        first = (
            f"**{plain(row.name)}** gives {fewer} of these z a lower density than N(0, I) does; in the median it is "
            f"{change(rise)}. The paper finds a much lower one; here that is not so."
        )
    paper = "as the paper finds, too" if higher < -LITTLE else "where the paper finds it slightly lower"
    return f"{first} The ELBO of the same images is {change(higher)} in the median, {paper}."


def apart(row: Said, standard: Said) -> str:
    """Samples of its own prior: medians side by side."""
    prior, elbo = (float(np.median(getattr(row, m)) - np.median(getattr(standard, m))) for m in ("log_p", "elbo"))
    verdict = {
        2: "Both are higher, as the paper finds for joint training.",
        1: "The paper finds both higher for joint training; here only one is.",
        0: "The paper finds both higher for joint training; here neither is.",
    }[(prior > LITTLE) + (elbo > LITTLE)]
    return (
        f"**{plain(row.name)}** draws z from its own prior. Beside {plain(standard.name)}'s, the median log p(z) of "
        f"its lowest is {change(prior)}, the ELBO {change(elbo)}. {verdict}"
    )


def change(value: float) -> str:
    side = "higher" if value > 0 else "lower"
    if abs(value) < LITTLE:
        return f"hardly different ({nats(abs(value))} nats {side})"
    return f"{nats(abs(value))} nats {side}"


def verdict(log_q: float, log_p: float, prior: str) -> str:
    """One z in one sentence."""
    difference = log_q - log_p
    size = nats(abs(difference))
    if abs(difference) < LITTLE:
        return f"{prior} is right here to within {nats(max(abs(difference), 0.01))} nats."
    if difference < 0:
        return f"{'A hole: ' if difference < -CLEAR else ''}{prior} gives this z {size} nats more than the data do."
    return f"{'Overfull: ' if difference > CLEAR else ''}{prior} gives this z {size} nats less than the data do."


def made_of(effective: float, top: float) -> str:
    """What the weighted mean is made of."""
    if effective < 1.05:
        return f"The weighted mean is one training image: the nearest has {percent(top)} of the weight."
    return f"The weighted mean is made of about {effective:,.1f} training images; the first weighs {percent(top)}."


def percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.1f} %"


def clipped(end: float, beyond: dict[str, float]) -> str:
    """What the map's scale cuts off."""
    if not beyond["share"]:
        return f"The scale ends at ±{end:g} nats; nothing that is shown lies beyond."
    return (
        f"The scale ends at ±{end:g} nats; {percent(beyond['share'])} of the coloured area lies beyond and is drawn "
        f"like its end (from {nats(beyond['least'])} to {nats(beyond['most'])})."
    )


def comparable(moments: dict[str, tuple[np.ndarray, np.ndarray]]) -> str:
    """Whether the widths and distances of several models compare, from mean and variance of each q(z)."""
    off = [
        name
        for name, (mean, variance) in moments.items()
        if np.abs(mean).max() > TOLERANCE or np.abs(variance - 1).max() > TOLERANCE
    ]
    rule = "Widths and distances compare only between models whose q(z) has mean 0 and variance 1 in every dimension"
    if not off:
        return f"{rule}, as {'all of these have' if len(moments) > 1 else 'this one has'}."
    return (
        f"{rule}, which training with the regulariser of the paper's Figure 3 brings about. Here that is not so of "
        f"{' and '.join(off)}: compare the shapes of the first two pictures with care. The third, in standard "
        "deviations, does not depend on a common scale."
    )


TOLERANCE = 0.15


def between_nodes(step: float, width: float) -> str:
    """What the map's grid may miss: `step` between its nodes, `width` the median standard deviation of q(z|x)."""
    if width >= step:
        return ""
    return (
        f" Its grid is coarser ({step:.2f}) than most posteriors are wide ({width:.2f}): single codes may lie between "
        "its nodes."
    )
