"""K-means clusters of codes, their labels by either of two rules, and the accuracy of those (Ma et al. 2019, Table 2).

The paper gives a cluster the label of the training sample closest to its head; its released code takes the majority of
the training members. The two can differ much, so every accuracy names its rule.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vaecore.distinct import SAFE, must_differ
from vaecore.inputs import array_of
from vaecore.text import counted

RULES = ("majority", "closest")


@dataclass(frozen=True, eq=False)
class KMeansFit:
    """Cluster centres [K, D], and the cluster of each code that they were fitted to, [N] int64."""

    centres: np.ndarray
    members: np.ndarray

    def predict(self, codes: ArrayLike) -> np.ndarray:
        """The cluster with the closest centre, [M] int64, for codes [M, D]."""
        from sklearn.metrics import pairwise_distances_argmin

        found = must_be_codes(codes)
        if found.shape[1] != self.centres.shape[1]:
            raise ValueError(
                f"The codes have {counted(found.shape[1], 'dimension')}, and the centres {self.centres.shape[1]}."
            )
        return pairwise_distances_argmin(found, self.centres).astype(np.int64)


def kmeans(codes: ArrayLike, clusters: int, seed: int = 0) -> KMeansFit:
    """scikit-learn's K-means of codes [N, D], with the settings of the paper's code, all explicit.

    Raises ValueError where the codes are all the same, or fewer of them are different than there are clusters.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    found = must_be_codes(codes)
    if not 1 <= clusters <= len(found):
        asked = f"{counted(clusters, 'cluster')} of {counted(len(found), 'code')}"
        raise ValueError(f"{asked}: it must be from 1 to the number of codes.")
    if clusters > 1:
        must_differ(found, "K-means")
    settings = {"init": "k-means++", "n_init": 10, "max_iter": 300, "tol": 1e-4, "algorithm": "lloyd"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # what it warns of is an error below
        fitted = KMeans(clusters, random_state=seed, **settings).fit(found)
    if not np.bincount(fitted.labels_, minlength=clusters).all():
        must_differ(found, f"K-means with K = {clusters}", clusters)
        raise ValueError(f"K-means leaves some of its {counted(clusters, 'cluster')} empty: ask for fewer.")
    return KMeansFit(fitted.cluster_centers_, fitted.labels_.astype(np.int64))


def label_clusters(fit: KMeansFit, codes: ArrayLike, labels: ArrayLike, rule: str = "majority") -> np.ndarray:
    """One label for each cluster, [K] int64, from the codes [N, D] it was fitted to and their labels [N].

    "majority": the most frequent label among the cluster's members, of equally frequent ones the smaller (the paper's
    code); "closest": the label of the code closest to the centre, a member or not (the paper).
    """
    from sklearn.metrics import pairwise_distances_argmin

    if rule not in RULES:
        raise ValueError(f"rule is {rule!r}; it must be one of {', '.join(RULES)}.")
    found, known = must_be_codes(codes), must_be_labels(labels, len(fit.members))
    if len(found) != len(known):
        raise ValueError(f"There are {counted(len(found), 'code')}; the clusters were fitted to {len(known):,}.")
    if rule == "closest":
        return known[pairwise_distances_argmin(fit.centres, found)]
    return confusion(fit.members, known, len(fit.centres), known.max() + 1).argmax(1)


def cluster_accuracy(assigned: ArrayLike, cluster_labels: ArrayLike, labels: ArrayLike) -> float:
    """The share of codes whose cluster, `assigned` [M], has their own label [M]; `cluster_labels` is [K]."""
    chosen = np.asarray(cluster_labels)[np.asarray(assigned)]
    return float((chosen == must_be_labels(labels, len(chosen))).mean())


def confusion(assigned: ArrayLike, labels: ArrayLike, clusters: int, classes: int) -> np.ndarray:
    """How many codes of each class each cluster holds: [clusters, classes] int64."""
    rows = np.asarray(assigned)
    columns = must_be_labels(labels, len(rows))
    if len(rows) and not (0 <= rows.min() <= rows.max() < clusters and 0 <= columns.min() <= columns.max() < classes):
        raise ValueError(f"Clusters must be under {clusters} and labels under {classes}, and none negative.")
    return np.bincount(rows * classes + columns, minlength=clusters * classes).reshape(clusters, classes)


def must_be_codes(codes: ArrayLike) -> np.ndarray:
    found = array_of(codes)
    if found.ndim != 2 or not len(found):
        raise ValueError(f"codes have shape {list(found.shape)}; it must be [N, D], with N at least 1.")
    if not np.isfinite(found).all():
        raise ValueError("The codes hold values that are not finite numbers.")
    # Beyond these the squares of float32 are infinite or zero, and all distances with them.
    return found if 1 / SAFE < np.abs(found).max() < SAFE else found.astype(np.float64)


def must_be_labels(labels: ArrayLike, count: int) -> np.ndarray:
    if labels is None:
        raise ValueError("There are no labels: clusters and probes can be scored on labelled data alone.")
    found = np.asarray(labels)
    if found.shape != (count,):
        raise ValueError(f"labels have shape {list(found.shape)}; there are {counted(count, 'code')}.")
    if not (np.issubdtype(found.dtype, np.number) and (found == np.round(found)).all()):
        raise ValueError(f"The labels, of type {found.dtype}, are not all whole numbers; they number classes from 0.")
    if len(found) and found.min() < 0:
        raise ValueError(f"The labels go down to {found.min()}; they number classes, of which none is negative.")
    return found.astype(np.int64)
