"""Rank stability: planted orders and ties."""

import numpy as np
import pytest
from planted_rows import row
from scipy import stats

from benchmark.errors import BadInput
from benchmark.scoring.statistics.corrections import _mean_tau, rank_stability, ranking_fitness

FAR = [row("c", 88.0), row("a", 94.0), row("b", 91.0)]


def test_a_clear_order_is_stable():
    found = rank_stability(FAR, higher_is_better=True, draws=100)
    assert [(r.row, r.rank, r.low, r.high, r.first) for r in found.ranks] == [
        ("c", 3, 3, 3, 0), ("a", 1, 1, 1, 1), ("b", 2, 2, 2, 0)
    ]  # fmt: skip
    assert found.kendall_tau == 1.0


def test_a_distance_ranks_the_other_way():
    found = rank_stability(FAR, higher_is_better=False, draws=20)
    assert [r.rank for r in found.ranks] == [1, 3, 2]


def test_rows_without_a_difference_change_places():
    rows = [row(name, 90 + k / 1000) for k, name in enumerate("abcd")]
    found = rank_stability(rows, higher_is_better=True, draws=500)
    assert all(r.low == 1 and r.high == 4 for r in found.ranks)
    assert all(0.1 < r.first < 0.5 for r in found.ranks)
    assert found.kendall_tau < 0.4


def test_the_luck_of_trainings_is_drawn_too():
    """One good seed of one row: over patients alone its rank would never change."""
    lucky, other = row("a", 90.0, seeds=3, rest_sd=0, run_sd=0), row("b", 90.5, seeds=3, run_sd=0)
    lucky.value_nS[:, 0] += 9
    other.value_nS[:] = lucky.value_nS.mean(axis=1, keepdims=True) - 1
    found = rank_stability([lucky, other], higher_is_better=True, draws=500)
    assert found.ranks[0].rank == 1
    assert 0.6 < found.ranks[0].first < 0.999


def test_kendall_tau_is_scipys():
    rng = np.random.default_rng(0)
    now, drawn = np.array([1, 2.5, 2.5, 4, 5]), rng.integers(1, 4, (9, 5)).astype(float)
    expected = [stats.kendalltau(now, each).statistic for each in drawn]
    assert _mean_tau(now, drawn) == pytest.approx(np.nanmean(expected), abs=1e-12)


def test_rows_that_cannot_be_ranked():
    with pytest.raises(BadInput, match="two rows"):
        rank_stability(FAR[:1], higher_is_better=True)
    with pytest.raises(BadInput, match="cannot be paired"):
        rank_stability([FAR[0], row("d", patients=19)], higher_is_better=True)


def test_fitness_of_a_data_set_to_rank():
    assert ranking_fitness(FAR) > 5
    assert ranking_fitness([row(name, 90.0, run_sd=1) for name in "abc"]) < 1
    with pytest.raises(BadInput, match="two rows"):
        ranking_fitness(FAR[:1])
