"""K-means of the codes, and probes on them, computed once and kept; and the paper's numbers. Beside session.py."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from app import holes, learned, learned_later
from app.holes import Report
from app.learned_later import Work
from app.session import Checkpoint

FEWEST, MOST = 2, 50  # clusters
RULES = {"majority": "majority", "closest": "closest sample"}
PROBES = {"knn": "KNN", "linear": "linear"}
PAPER_CLUSTERS, PAPER_LABELS = (10, 20, 30), ("100", "1000", "all")
PAPER_DATA = ("mnist", "dynamic_mnist", "static_mnist")


class Grouping(NamedTuple):
    """K and the seed of K-means."""

    clusters: int = 10
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Clusters:
    """Which cluster each training and each test code is in, what label a cluster has by each rule, and how good."""

    members: np.ndarray
    assigned: np.ndarray
    labels: dict[str, np.ndarray]
    accuracy: dict[str, float]  # of the test codes
    confusion: np.ndarray  # [clusters, classes] of the test codes

    def of(self, split: str) -> np.ndarray:
        """Of a split's images [N]."""
        parts = {"test": [self.assigned], "train": [self.members], "all": [self.assigned, self.members]}
        return np.concatenate(parts[split])


def paper_tables() -> dict[str, dict[str, tuple]]:
    """The numbers that the MAE paper prints."""
    from vaecore.learned import TABLES

    return TABLES


def clusters(checkpoint: Checkpoint, grouping: Grouping) -> Work:
    """K-means of the training codes, those held out among them; the test codes go to the closest centre."""
    must_be_scorable(checkpoint)
    key = ("clusters", holes.body(checkpoint.digest, checkpoint), grouping)
    return learned_later.fetch(key, lambda report: grouped(checkpoint, grouping, report))


def grouped(checkpoint: Checkpoint, grouping: Grouping, report: Report) -> Clusters:
    from threadpoolctl import threadpool_limits

    from vaecore.learned import cluster_accuracy, confusion, kmeans, label_clusters

    learned.prepare(checkpoint, "all", lambda share: report(0.8 * share))
    (train, labels), (test, truth) = (known(checkpoint, split) for split in ("train", "test"))
    report(0.85)
    with threadpool_limits(1):  # two threads on busy cores wait for each other
        fit = kmeans(train, grouping.clusters, grouping.seed)
        named = {rule: label_clusters(fit, train, labels, rule) for rule in RULES}
        assigned = fit.predict(test)
    classes = int(max(labels.max(), truth.max())) + 1
    accuracy = {rule: cluster_accuracy(assigned, own, truth) for rule, own in named.items()}
    return Clusters(fit.members, assigned, named, accuracy, confusion(assigned, truth, grouping.clusters, classes))


def must_be_scorable(checkpoint: Checkpoint) -> None:
    """ValueError, with the reason, where training codes or labels cannot be had."""
    if learned.slow(checkpoint):
        learned.stored(checkpoint, "train")
    if learned.labels(checkpoint.dataset, np.arange(1)) is None:
        raise ValueError(f"{checkpoint.dataset} has no labels: clusters and probes cannot be scored.")


def known(checkpoint: Checkpoint, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Codes and labels of a split."""
    rows = learned.rows_of(checkpoint.dataset, split)
    return learned.coded(checkpoint, split)[0], learned.labels(checkpoint.dataset, rows)


def probed(checkpoint: Checkpoint, count: int | None, seed: int) -> Work:
    """The accuracy on the test codes of each probe, trained with so many labels drawn by the seed; None: all."""
    must_be_scorable(checkpoint)
    key = ("probes", holes.body(checkpoint.digest, checkpoint), count, seed)
    return learned_later.fetch(key, lambda report: trained(checkpoint, count, seed, report))


def trained(checkpoint: Checkpoint, count: int | None, seed: int, report: Report) -> dict[str, float]:
    from threadpoolctl import threadpool_limits

    from vaecore.learned import labelled_subset, probe

    learned.prepare(checkpoint, "all", lambda share: report(0.6 * share))
    (train, labels), test = (known(checkpoint, split) for split in ("train", "test"))
    report(0.65)
    rows = np.arange(len(labels)) if count is None else labelled_subset(labels, count, seed)
    with threadpool_limits(1):
        return {kind: probe(kind, train[rows], labels[rows], *test, seed=seed) for kind in PROBES}
