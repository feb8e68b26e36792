"""Rank correlations against scipy's, against direct formulas, and their intervals against many fresh samples."""

import time

import numpy as np
import pytest
from scipy import stats

from vaecore import ranks


@pytest.fixture
def table() -> np.ndarray:
    """Four columns: two related, one with many ties, one that is noise."""
    rng = np.random.default_rng(0)
    first = rng.normal(size=300)
    second = np.exp(first + rng.normal(size=300))
    return np.stack([first, second, np.round(first + second), rng.normal(size=300)], 1)


def test_ties_share_their_mean_rank() -> None:
    assert ranks.ranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [3.5, 1.0, 3.5, 2.0]


def test_correlations_are_scipys(table: np.ndarray) -> None:
    assert ranks.correlations(table) == pytest.approx(stats.spearmanr(table).statistic)


def test_a_constant_column_has_no_correlation(table: np.ndarray) -> None:
    table[:, 2] = 7.0
    found = ranks.correlations(table)
    assert np.isnan(found[2]).all()
    assert np.isfinite(found[np.ix_([0, 1, 3], [0, 1, 3])]).all()
    again = ranks.bootstrap(table, 50)
    assert np.isnan(again[:, 2]).all()
    assert ranks.partial(found, 0, 1, [2]) == pytest.approx(found[0, 1])
    assert np.isnan(ranks.partial(found, 0, 2, [3]))
    assert np.isnan(ranks.interval(again[:, 0, 2])).all()


def test_each_resample_is_ranked_anew(table: np.ndarray) -> None:
    rows = np.random.default_rng(5).integers(0, len(table), (1, len(table)))
    assert ranks.bootstrap(table, 1, seed=5)[0] == pytest.approx(ranks.correlations(table[rows[0]]), abs=1e-5)


def test_partial_correlation_by_the_textbook_formula(table: np.ndarray) -> None:
    r = ranks.correlations(table)
    above = r[0, 1] - r[0, 2] * r[1, 2]
    assert ranks.partial(r, 0, 1, [2]) == pytest.approx(above / np.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2)))


def test_partial_correlation_is_that_of_the_regressions_rests(table: np.ndarray) -> None:
    placed = np.stack([stats.rankdata(column) for column in table.T], 1)
    rivals = np.column_stack([np.ones(len(placed)), placed[:, 2:]])
    rests = placed[:, :2] - rivals @ np.linalg.lstsq(rivals, placed[:, :2], rcond=None)[0]
    expected = np.corrcoef(rests.T)[0, 1]
    assert ranks.partial(ranks.correlations(table), 0, 1, [2, 3]) == pytest.approx(expected)
    many = ranks.bootstrap(table, 40)
    assert ranks.partial(many, 0, 1, [2, 3])[7] == pytest.approx(ranks.partial(many[7], 0, 1, [2, 3]))


def test_two_rivals_that_are_the_same_count_once(table: np.ndarray) -> None:
    doubled = np.column_stack([table, table[:, 2]])
    once = ranks.partial(ranks.correlations(table), 0, 1, [2])
    assert ranks.partial(ranks.correlations(doubled), 0, 1, [2, 4]) == pytest.approx(once)


def test_what_the_rivals_determine_is_not_a_number(table: np.ndarray) -> None:
    doubled = np.column_stack([table, table[:, 0]])
    assert np.isnan(ranks.partial(ranks.correlations(doubled), 0, 1, [4]))


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng, truth, held = np.random.default_rng(1), 6 / np.pi * np.arcsin(0.3), 0  # Pearson 0.6
    for _ in range(150):
        first = rng.normal(size=120)
        pair = np.stack([first, 0.6 * first + 0.8 * rng.normal(size=120)], 1)
        low, high = ranks.interval(ranks.bootstrap(pair, 200)[:, 0, 1])
        held += low < truth < high
    assert 0.87 < held / 150 < 0.99


def test_the_same_seed_gives_the_same_interval(table: np.ndarray) -> None:
    assert (ranks.bootstrap(table, 10, seed=3) == ranks.bootstrap(table, 10, seed=3)).all()
    assert (ranks.bootstrap(table, 10, seed=3) != ranks.bootstrap(table, 10, seed=4)).any()


def test_a_thousand_resamples_of_ten_thousand_images_are_quick() -> None:
    pair = np.random.default_rng(0).normal(size=(10_000, 2))
    start = time.process_time()
    ranks.bootstrap(pair, 1000)
    assert time.process_time() - start < 3  # under a second on an idle core


def test_a_wrong_table_is_named() -> None:
    with pytest.raises(ValueError, match="at least 3 rows"):
        ranks.correlations(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="finite"):
        ranks.bootstrap(np.array([[0.0, np.nan]] * 5))
