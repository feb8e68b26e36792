"""Accuracies of clusters and probes over several runs."""

from collections.abc import Callable
from statistics import fmean, stdev

import numpy as np

from vaecore.clusters import RULES, cluster_accuracy, kmeans, label_clusters
from vaecore.learned.probes import labelled_subset, probe
from vaecore.learned.protocol import Protocol

Coded = tuple[np.ndarray, np.ndarray]  # codes [N, D] and labels [N]


def clustered(train: Coded, test: Coded, count: int, protocol: Protocol, tick: Callable[[], None]) -> list[dict]:
    """A row for each rule of labelling; every rule labels the same clusters."""
    runs: dict[str, list[float]] = {rule: [] for rule in RULES}
    for seed in range(protocol.runs):
        fit = kmeans(train[0], count, seed)
        assigned = fit.predict(test[0])
        for rule in RULES:
            runs[rule].append(cluster_accuracy(assigned, label_clusters(fit, *train, rule), test[1]))
        tick()
    return [{"clusters": count, "rule": rule, **summary(values)} for rule, values in runs.items()]


def probed(
    kind: str,
    count: int | None,
    sets: tuple[Coded, Coded, Coded],
    own: int,
    protocol: Protocol,
    tick: Callable[[], None],
) -> dict:
    """One probe with `count` labels, or all: the linear one's come from the `own` first codes, not from validation."""
    (z, y), valid, test = sets
    there = min(own, len(y)) if kind == "linear" else len(y)
    wanted = there if count is None else count
    taken = min(wanted, protocol.svm_labels or wanted) if kind.startswith("svm") else wanted
    # All labels are one subset: of these probes only the linear one has randomness of its own.
    runs = protocol.runs if taken < there or kind == "linear" else 1
    found = []
    for seed in range(runs):
        rows = labelled_subset(y[:there], taken, seed)
        found.append(probe(kind, z[rows], y[rows], *test, seed, valid=valid))
    tick()
    return {"probe": kind, "labels": taken, "asked": "all" if count is None else count, **summary(found)}


def summary(runs: list[float]) -> dict:
    """Mean and sample standard deviation of the runs; one run has none."""
    return {"mean": fmean(runs), "std": stdev(runs) if len(runs) > 1 else None, "runs": runs}
