"""Rank correlations of many columns at once, with bootstrap intervals and with rivals held fixed.

Spearman's correlation asks whether two columns order the rows alike, whatever their scales. Everything here goes by the
matrix of such correlations: its resampled copies give intervals, and its inverse gives partial correlations.
"""

import numpy as np

CHUNK = 25  # resamples at once: what fits a processor's cache with ten thousand rows


def ranks(values: np.ndarray) -> np.ndarray:
    """The ranks 1 to N of values [N]; those that tie share their mean rank."""
    _, group, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[group]


def correlations(table: np.ndarray) -> np.ndarray:
    """Spearman's correlation of each pair of columns of `table` [N, V]: [V, V]; nan beside a constant column."""
    placed = np.stack([ranks(column) for column in must_be_table(table).T])
    return scaled((placed - placed.mean(1, keepdims=True)) @ (placed - placed.mean(1, keepdims=True)).T)


def bootstrap(table: np.ndarray, resamples: int = 1000, seed: int = 0) -> np.ndarray:
    """`correlations` of `resamples` tables whose rows are drawn from `table` with replacement: [resamples, V, V].

    No resample is sorted. Each column is sorted once; how often each of its values was drawn then gives the ranks.
    """
    count, generator = len(must_be_table(table)), np.random.default_rng(seed)
    columns = [np.unique(column, return_inverse=True) for column in table.T]
    orders = [np.argsort(group, kind="stable") for _, group in columns]
    starts = [
        np.searchsorted(group[order], np.arange(len(distinct)))
        for (distinct, group), order in zip(columns, orders, strict=True)
    ]
    found = []
    for first in range(0, resamples, CHUNK):
        size = min(CHUNK, resamples - first)
        rows = generator.integers(0, count, (size, count)) + count * np.arange(size)[:, None]
        drawn = np.bincount(rows.ravel(), minlength=size * count).reshape(size, count).astype(np.float32)
        centred = np.empty((size, len(columns), count), np.float32)
        for v, ((distinct, group), order, start) in enumerate(zip(columns, orders, starts, strict=True)):
            times = np.take(drawn, order, axis=1)
            if len(distinct) < count:
                times = np.add.reduceat(times, start, axis=1)
            # The mean rank of a resample is (N + 1) / 2, whatever was drawn.
            mean_rank = np.cumsum(times, axis=1) - (times + count) / 2
            np.take(mean_rank, group, axis=1, out=centred[:, v])
        found.append(scaled(((centred * drawn[:, None]) @ centred.swapaxes(1, 2)).astype(np.float64)))
    return np.concatenate(found)


def scaled(products: np.ndarray) -> np.ndarray:
    """Sums of products of centred columns [..., V, V] as correlations."""
    deviation = np.sqrt(np.diagonal(products, axis1=-2, axis2=-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return products / (deviation[..., :, None] * deviation[..., None, :])


def partial(matrix: np.ndarray, first: int, second: int, given: list[int]) -> np.ndarray:
    """The correlation of two columns that is left once both are regressed on the columns `given`.

    Args:
        matrix: correlations [..., V, V].
        given: columns whose share is taken out; one that is constant has none.

    Returns:
        [...], in [-1, 1]; nan where one of the two is constant, or is a linear function of those given.
    """
    single = matrix.reshape(-1, *matrix.shape[-2:])
    kept = [column for column in given if np.isfinite(single[:, column, column]).all()]
    chosen = [first, second, *kept]
    among = single[:, chosen][:, :, chosen]
    usable = np.isfinite(among).all((1, 2))
    # The part of the two columns' covariance that those given do not explain: Schur's complement.
    own, cross, rest = among[usable][:, :2, :2], among[usable][:, :2, 2:], among[usable][:, 2:, 2:]
    left = own - cross @ np.linalg.pinv(rest, hermitian=True) @ cross.swapaxes(1, 2) if kept else own
    spread = left[:, 0, 0] * left[:, 1, 1]
    sound = (left[:, 0, 0] > 1e-9) & (left[:, 1, 1] > 1e-9)
    found = np.full(len(single), np.nan)
    found[usable] = np.where(sound, left[:, 0, 1] / np.sqrt(np.where(sound, spread, 1.0)), np.nan)
    return found.reshape(matrix.shape[:-2])


def interval(samples: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval of bootstrap samples [R]; those that are nan are left out."""
    finite = samples[np.isfinite(samples)]
    if not len(finite):
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def must_be_table(table: np.ndarray) -> np.ndarray:
    if table.ndim != 2 or len(table) < 3 or not np.isfinite(table).all():
        raise ValueError(f"Ranks need a table of finite numbers with at least 3 rows; this one is {table.shape}.")
    return table
