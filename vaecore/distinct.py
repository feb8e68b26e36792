"""Whether codes differ from one another: maps, clusters and probes need it, and a collapsed encoder lacks it."""

import numpy as np

from vaecore.text import counted

ROUNDING = 4 * float(np.finfo(np.float32).eps)  # of the same image's codes in batches of other sizes

SAFE = 1e9  # the squares of codes up to it, and from its inverse on, are float32's


def must_differ(codes: np.ndarray, what: str, least: int = 2) -> None:
    """ValueError where codes [N, D] are all the same but for rounding, or fewer than `least` of them are different.

    Args:
        what: what needs them, to begin a sentence with: "K-means", say.
    """
    if (np.ptp(codes, axis=0) <= ROUNDING * np.abs(codes).max(0)).all():
        raise ValueError(
            f"The codes are all the same: the encoder gives every image the same mean, so that {what} has nothing to "
            "tell apart. Choose or train another checkpoint."
        )
    if least > 2 and (found := len(np.unique(codes, axis=0))) < least:
        raise ValueError(
            f"Only {found:,} of the {counted(len(codes), 'code')} are different, and {what} needs at least {least}: "
            "the encoder gives many images the same mean."
        )
