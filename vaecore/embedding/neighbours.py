"""t-SNE and UMAP on one core, with their progress, an end when it is asked for, and the same places for a seed."""

import io
import re
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout

import numpy as np
import torch
from torch import Tensor

from vaecore.distinct import SAFE, must_differ
from vaecore.inputs import array_of

METHODS = ("tsne", "umap")
FEWEST, MOST = 50, 10_000  # points
NAMES = {"tsne": "t-SNE", "umap": "UMAP"}
NEIGHBOURS, PERPLEXITY, ITERATIONS, EPOCHS = 15, 30.0, 1000, 500
STEPS = {"tsne": ITERATIONS, "umap": EPOCHS}


def embed(
    codes: Tensor,
    method: str,
    seed: int = 0,
    on_event: Callable[[dict], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Tensor | None:
    """Places [N, 2] of codes [N, D] by t-SNE (van der Maaten & Hinton 2008) or UMAP (McInnes et al. 2018).

    On one core, so that the same seed gives the same places however many there are. Equal codes have one place: they
    are embedded once, for UMAP would spread them and t-SNE push them apart.

    Args:
        method: tsne (PCA to begin with, perplexity 30, 1000 iterations) or umap (15 neighbours, 500 epochs).
        on_event: called with {"event": "step", "step": k, "steps": n} as it goes on.
        stop: asked as often; once it is true, the result is None.

    Raises ValueError for codes that have no map: two-dimensional, not finite, or fewer than 50 different ones.
    """
    codes = torch.from_numpy(array_of(codes))
    check(codes, method, seed)
    values, back = distinct(codes)
    report = on_event or (lambda event: None)
    report({"event": "step", "step": 1, "steps": STEPS[method]})  # neighbours come first, and take their time
    try:
        places = (tsne if method == "tsne" else umap)(values, seed, report, stop)
    except Stopped:
        return None
    report({"event": "step", "step": STEPS[method], "steps": STEPS[method]})  # t-SNE may have settled early
    return torch.from_numpy(np.asarray(places, np.float32)[back])


def distinct(codes: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The different ones of codes [N, D], in their order, float32 [M, D], and which of them each code is, [N]."""
    values = codes.double().numpy()
    # Neither map depends on the unit of the codes, and the squares of huge and tiny ones are infinite or zero.
    reach = np.abs(values - values.mean(0)).max()
    if not 1 / SAFE < reach < SAFE:
        values = (values - values.mean(0)) / reach
    values = values.astype(np.float32)
    _, first, back = np.unique(values, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    standing = np.empty_like(order)
    standing[order] = np.arange(len(order))
    return values[first[order]], standing[back.reshape(-1)]


def check(codes: Tensor, method: str, seed: int) -> None:
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; it must be one of {', '.join(METHODS)}.")
    if codes.ndim != 2 or not FEWEST <= len(codes) <= MOST:
        raise ValueError(f"codes have shape {list(codes.shape)}; it must be [N, D], N from {FEWEST} to {MOST:,}.")
    if codes.shape[1] <= 2:
        raise ValueError("Codes of one or two dimensions are a map already: they are drawn as they are, not embedded.")
    if not codes.isfinite().all():
        raise ValueError("Some codes are not finite numbers, so they have no place in a map.")
    must_differ(codes.numpy(), NAMES[method], FEWEST)
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed is {seed}; it must be from 0 to 2**32 - 1.")


class Stopped(Exception):  # noqa: N818  no error: it was asked for
    """Ends a computation from within."""


class Listener(io.TextIOBase):
    """Where a library prints how far it is: finds the steps in what is printed, hands them on, and ends it if asked."""

    def __init__(self, pattern: str, steps: int, report: Callable[[dict], None], stop: Callable[[], bool]) -> None:
        self.pattern, self.steps, self.report, self.stop, self.ended = re.compile(pattern), steps, report, stop, False

    def write(self, text: str) -> int:
        for found in self.pattern.findall(text):
            self.report({"event": "step", "step": max(1, int(found)), "steps": self.steps})
        if not self.ended and self.stop():
            self.ended = True
            raise Stopped
        return len(text)


def tsne(codes: np.ndarray, seed: int, report: Callable[[dict], None], stop: Callable[[], bool]) -> np.ndarray:
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    found = TSNE(
        perplexity=min(PERPLEXITY, (len(codes) - 1) / 3),
        learning_rate="auto",
        max_iter=ITERATIONS,
        init="pca",
        early_exaggeration=12.0,
        method="barnes_hut",
        angle=0.5,
        random_state=seed,
        n_jobs=1,
        verbose=2,
    )
    # It says how far it is every 50 iterations, and only in print.
    with threadpool_limits(1), redirect_stdout(Listener(r"Iteration (\d+):", ITERATIONS, report, stop)):
        return found.fit_transform(codes)


def umap(codes: np.ndarray, seed: int, report: Callable[[dict], None], stop: Callable[[], bool]) -> np.ndarray:
    from sklearn.neighbors import NearestNeighbors
    from threadpoolctl import threadpool_limits

    neighbours = min(NEIGHBOURS, len(codes) - 1)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the absent Tensorflow, of one core for a seed, of no transform later
        from umap import UMAP

        distances, indices = NearestNeighbors(n_neighbors=neighbours, algorithm="brute").fit(codes).kneighbors(codes)
        listener = Listener(r"(\d+)/\d+ ", EPOCHS, report, stop)
        found = UMAP(
            n_neighbors=neighbours,
            min_dist=0.1,
            n_epochs=EPOCHS,
            random_state=seed,
            n_jobs=1,
            precomputed_knn=(indices, distances, None),
            force_approximation_algorithm=True,  # else few points would find their neighbours anew
            verbose=True,
            tqdm_kwds={"file": listener, "mininterval": 0, "miniters": 10, "bar_format": "{n_fmt}/{total_fmt} "},
        )
        with redirect_stdout(io.StringIO()):
            return found.fit_transform(codes)
