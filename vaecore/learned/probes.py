"""Simple classifiers on codes: how well labels can be read off them (Ma et al. 2019, Tables 2 and 5)."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from vaecore.clusters import must_be_codes, must_be_labels
from vaecore.distinct import SAFE, must_differ
from vaecore.text import counted

Labelled = tuple[ArrayLike, ArrayLike]  # codes [N, D] and labels [N]
Classify = Callable[[np.ndarray], np.ndarray]
NEIGHBOURS = 10
RATE, BATCH, CHECK, PATIENCE, HALVINGS = 0.01, 128, 500, 3, 4  # of the linear probe


def probe(
    kind: str,
    train_codes: ArrayLike,
    train_labels: ArrayLike,
    test_codes: ArrayLike,
    test_labels: ArrayLike,
    seed: int = 0,
    *,
    valid: Labelled | None = None,
) -> float:
    """The share of test codes [M, D] whose label the probe, fitted to the training codes [N, D], finds.

    kind: "knn", 10 neighbours weighted by 1 / distance; "linear", see `linear`, which alone uses `seed` and `valid`;
    "svm-linear" and "svm-rbf", scikit-learn's SVC with C = 1, gamma = 1 / D. SVC's time grows with the square of the
    training codes, to minutes for 60,000: hand over a `labelled_subset` where that is too long.
    Raises ValueError for another kind, for codes or labels all alike, and for fewer codes than KNN has neighbours.
    """
    if kind not in PROBES:
        raise ValueError(f"kind is {kind!r}; it must be one of {', '.join(PROBES)}.")
    z, test = must_be_codes(train_codes), must_be_codes(test_codes)
    y, truth = must_be_labels(train_labels, len(z)), must_be_labels(test_labels, len(test))
    if z.shape[1] != test.shape[1]:
        raise ValueError(
            f"The training codes have {counted(z.shape[1], 'dimension')} and the test codes {test.shape[1]}."
        )
    if (y == y[0]).all():
        all_labels = counted(len(y), "training label")
        raise ValueError(f"All {all_labels} are {y[0]}: a probe needs two classes to tell apart.")
    must_differ(z, "a probe")
    if (reach := np.abs(z).max()) > SAFE:
        raise ValueError(f"The codes reach {reach:.3g}, where no probe learns: this encoder's means have gone astray.")
    if kind == "linear":
        others = must_be_codes(z if valid is None else valid[0])
        classify = linear(z, y, seed, (others, must_be_labels(y if valid is None else valid[1], len(others))))
    else:
        classify = PROBES[kind](z, y)
    return float((classify(test) == truth).mean())


def knn(z: np.ndarray, y: np.ndarray) -> Classify:
    from sklearn.neighbors import KNeighborsClassifier

    if len(z) < NEIGHBOURS:
        raise ValueError(f"KNN asks {counted(NEIGHBOURS, 'neighbour')}; there are {counted(len(z), 'training code')}.")
    settings = {"weights": "distance", "algorithm": "auto", "leaf_size": 30, "metric": "minkowski", "p": 2}
    return KNeighborsClassifier(NEIGHBOURS, **settings).fit(z, y).predict


def svm(kernel: str) -> Callable[[np.ndarray, np.ndarray], Classify]:
    def fit(z: np.ndarray, y: np.ndarray) -> Classify:
        from sklearn.svm import SVC

        settings = {"shrinking": True, "tol": 1e-3, "max_iter": -1, "decision_function_shape": "ovr", "cache_size": 500}
        return SVC(C=1.0, kernel=kernel, gamma=1 / z.shape[1], class_weight=None, **settings).fit(z, y).predict

    return fit


def linear(z: np.ndarray, y: np.ndarray, seed: int, valid: tuple[np.ndarray, np.ndarray]) -> Classify:
    """One linear layer to class scores, by the schedule of the paper's code.

    SGD of rate 0.01 on the batch's summed cross-entropy, batches of 128. Every 500 steps the accuracy on `valid` is
    taken; from the third time on that it does not beat the best, in a row, each further one halves the rate, and the
    fourth halving ends it. The last weights are kept (so, in effect, does the code). It differs in two things: the
    codes are shuffled anew in each epoch, where the code shuffles fixed batches, and `probe` without a `valid` takes
    the training codes' own accuracy.
    """
    random, classes = np.random.default_rng(seed), int(y.max()) + 1
    reach = z.shape[1] ** -0.5
    weight = random.uniform(-reach, reach, (z.shape[1] + 1, classes)).astype(np.float32)
    z, held_out = with_one(z), with_one(valid[0])
    rate, best, bad, halvings, step = RATE, 0.0, 0, 0, 0
    while halvings < HALVINGS:
        order = random.permutation(len(z))
        for start in range(0, len(z), BATCH):
            rows = order[start : start + BATCH]
            weight -= rate * slope(weight, z[rows], y[rows])
            step += 1
            if step % CHECK:
                continue
            accuracy = ((held_out @ weight).argmax(1) == valid[1]).mean()
            best, bad = (accuracy, 0) if accuracy > best else (best, bad + 1)
            if bad >= PATIENCE:
                rate, halvings = rate / 2, halvings + 1
                if halvings == HALVINGS:
                    break
    return lambda codes: (with_one(codes) @ weight).argmax(1)


def with_one(codes: np.ndarray) -> np.ndarray:
    """Codes [N, D] to [N, D + 1] float32: the last column stands before the bias."""
    return np.column_stack([codes, np.ones(len(codes))]).astype(np.float32)


def slope(weight: np.ndarray, z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The gradient of the summed cross-entropy by `weight` [D + 1, classes]."""
    scores = z @ weight
    share = np.exp(scores - scores.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    share[np.arange(len(y)), y] -= 1
    return z.T @ share


def labelled_subset(labels: ArrayLike, count: int, seed: int = 0) -> np.ndarray:
    """Which `count` of the labels [N] are taken, [count] int64: at random, not balanced by class, as the paper's code.

    Raises ValueError for more than there are.
    """
    found = np.asarray(labels)
    if not 1 <= count <= len(found):
        raise ValueError(f"{counted(count, 'label')} cannot be drawn: there are {len(found):,}.")
    return np.random.default_rng(seed).permutation(len(found))[:count]


PROBES: dict[str, Callable] = {
    "knn": knn,
    "linear": linear,
    "svm-linear": svm("linear"),
    "svm-rbf": svm("rbf"),
}
