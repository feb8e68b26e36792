"""Accuracies of clusters and probes over several runs."""

from collections.abc import Callable
from statistics import fmean, stdev

import numpy as np

from vaecore.clusters import RULES, cluster_accuracy, kmeans, label_clusters
from vaecore.learned.probes import labelled_subset, probe
from vaecore.learned.protocol import Protocol

Coded = tuple[np.ndarray, np.ndarray]  # codes [N, D] and labels [N]


def clustered(train: Coded, test: Coded, count: int, protocol: Protocol, tick: Callable[[], None]) -> list[dict]:
    """A row for each rule of labelling; every rule labels the same clusters. Where there are none, the reason."""
    runs, reason = [], ""
    for seed in range(protocol.runs):
        try:
            fit = kmeans(train[0], count, seed)
            assigned, labels = fit.predict(test[0]), [label_clusters(fit, *train, rule) for rule in RULES]
            runs.append([cluster_accuracy(assigned, own, test[1]) for own in labels])
        except ValueError as error:
            reason = str(error)
        tick()
    columns = [[run[place] for run in runs] for place in range(len(RULES))]
    return [
        {"clusters": count, "rule": rule, **summary(column, reason)}
        for rule, column in zip(RULES, columns, strict=True)
    ]


def probed(
    kind: str,
    count: int | None,
    sets: tuple[Coded, Coded, Coded],
    own: int,
    protocol: Protocol,
    tick: Callable[[], None],
) -> dict:
    """One probe with `count` labels, or all: the linear one's come from the `own` first codes, not from validation.

    Where it cannot be trained, the reason stands in place of its numbers.
    """
    (z, y), valid, test = sets
    there = min(own, len(y)) if kind == "linear" else len(y)
    wanted = there if count is None else count
    taken = min(wanted, protocol.svm_labels or wanted) if kind.startswith("svm") else wanted
    # All labels are one subset: of these probes only the linear one has randomness of its own.
    runs = protocol.runs if taken < there or kind == "linear" else 1
    found, reason = [], ""
    for seed in range(runs):
        rows = labelled_subset(y[:there], taken, seed)
        try:
            found.append(probe(kind, z[rows], y[rows], *test, seed, valid=valid))
        except ValueError as error:
            reason = str(error)
    tick()
    return {"probe": kind, "labels": taken, "asked": "all" if count is None else count, **summary(found, reason)}


def summary(runs: list[float], reason: str = "") -> dict:
    """Mean and sample standard deviation of the runs, of which one has none; the reason where a run could not be."""
    if reason:
        return {"mean": None, "std": None, "runs": [], "reason": reason}
    return {"mean": fmean(runs), "std": stdev(runs) if len(runs) > 1 else None, "runs": runs}
