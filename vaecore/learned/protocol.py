"""By which protocol the MAE paper's numbers are measured: the choices, their checks, and their words."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from vaecore.datasets import Dataset
from vaecore.learned.density import BATCH, PART
from vaecore.learned.probes import NEIGHBOURS, PROBES
from vaecore.text import counted

VALID = 2000  # images that tell the linear probe when to stop, as many as the paper's code has


@dataclass(frozen=True)
class Protocol:
    """What is measured; None means all. The defaults are quick, `PAPER` is the paper's."""

    images: int | None = 2048  # test images for RE, KL, MPD and STD
    nll_images: int | None = 100
    samples: int = 1024  # importance samples for the NLL
    binarisations: int = 1  # of the test images of a dynamically binarised set
    draws: int = 0  # codes: 0 is the mean of q(z|x), else the average of so many samples
    train_images: int | None = 10_000  # images whose codes are clustered, and carry the labels
    labels: tuple[int, ...] = (100, 1000)  # beside all
    svm_labels: int | None = None  # the most that an SVM is given, for its time grows with their square
    clusters: tuple[int, ...] = (10, 20, 30)
    runs: int = 5
    seed: int = 0


PAPER = Protocol(images=None, nll_images=None, samples=4096, binarisations=5, draws=50, train_images=None)


K_MEANS = (
    "K-means (k-means++, n_init 10, max_iter 300, tol 1e-4, lloyd) of the training codes, seeds from 0, {runs} runs; "
    "majority: a cluster's label is its members' most frequent one (released code); closest: that of the training code "
    "closest to its centre (paper); accuracy on the test codes"
)
PROBED = (
    "labels drawn at random, not balanced by class, {runs} runs, one where nothing is random; KNN: 10 neighbours, "
    "weighted by 1 / distance; linear: SGD on training images alone, stopped by validation images; SVM: C = 1, "
    "gamma = 1 / D; accuracy on the test codes"
)


def must_suffice(splits: Mapping[str, Dataset], protocol: Protocol) -> None:
    """ValueError where the images or the labels are too few for what is asked, before any work."""
    if protocol.draws < 0:
        raise ValueError(f"draws is {protocol.draws}; it must be at least 0, which is the mean of q(z|x).")
    name, labels = splits["train"].name, splits["train"].labels
    if labels is None:
        return
    there = min(len(splits["train"]) + len(splits["valid"]), protocol.train_images or math.inf)
    lowest = min(there, len(splits["train"]))
    for what, counts, most in (("labels", protocol.labels, lowest), ("clusters", protocol.clusters, there)):
        if counts and max(counts) > most:
            there_are = f"there are {counted(most, 'labelled training image')} of {name}"
            raise ValueError(f"{max(counts):,} {what} are asked, and {there_are}: ask for fewer.")
    least = min((*protocol.labels, lowest, protocol.svm_labels or lowest))
    if least < NEIGHBOURS:
        raise ValueError(f"{counted(least, 'label')} are too few: KNN asks {counted(NEIGHBOURS, 'neighbour')}.")


def steps(splits: Mapping[str, Dataset], protocol: Protocol) -> int:
    """How often `measure` ticks."""
    count = len(splits["test"])
    images, others = (protocol.binarisations * min(n or count, count) for n in (protocol.images, protocol.nll_images))
    total = math.ceil(images / BATCH) + math.ceil(others / PART)
    if splits["test"].labels is None:
        return total
    return total + 3 + len(protocol.clusters) * protocol.runs + len(PROBES) * (len(protocol.labels) + 1)


def protocol_of_codes(splits: Mapping[str, Dataset], protocol: Protocol, count: int) -> str:
    test, taken = splits["test"], "the mean of q(z|x)"
    if protocol.draws:
        taken = f"the average of {counted(protocol.draws, 'sample')} of q(z|x), seed {protocol.seed}"
    which = "images" if test.grey is None else "images thresholded at 0.5"
    return f"{test.name}: codes of {count:,} training and {len(test):,} test {which}, each {taken}"
