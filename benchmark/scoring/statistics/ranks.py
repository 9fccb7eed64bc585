"""Rank stability by bootstrap, as challengeR does (Wiesenfarth et al., Sci. Reports 11, 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from benchmark.errors import BadInput
from benchmark.scoring.statistics.corrections import holm, run_weights
from benchmark.scoring.statistics.layout import Floats, RowValues, gain

Method = Literal["mean_then_rank", "rank_then_mean", "test_then_rank"]
METHODS: tuple[Method, ...] = ("mean_then_rank", "rank_then_mean", "test_then_rank")


@dataclass(frozen=True, kw_only=True)
class RowRank:
    """A row's rank (1 is best, ties share their mean), its 95 % bootstrap limits, and the share
    of draws in which it was first, alone or tied."""

    row: str
    rank: float
    low: float
    high: float
    first: float


@dataclass(frozen=True, kw_only=True)
class RankStability:
    """The ranks of all rows by one method, and Kendall's tau-b between the ranking and those of
    the draws, on average: 1 is a ranking that never changes; nan where every row ties."""

    method: Method
    ranks: tuple[RowRank, ...]
    kendall_tau: float


def rank_stability(
    rows: Sequence[RowValues],
    *,
    higher_is_better: bool,
    method: Method = "mean_then_rank",
    draws: int = 1000,
    seed: int = 0,
    alpha: float = 0.05,
) -> RankStability:
    """Return the ranking of rows and how it holds under a bootstrap of patients and seeds.

    `mean_then_rank` ranks the means; `rank_then_mean` ranks in each patient, then the mean ranks;
    `test_then_rank` ranks by the number of rows that a row beats in one-sided Wilcoxon tests
    over patients with Holm over all pairs. Raises `BadInput` for fewer than two rows, or
    rows that cannot be paired.
    """
    if len(rows) < 2:
        raise BadInput("a ranking needs two rows")
    for row in rows[1:]:
        gain(row, rows[0], higher_is_better=True)  # refuses rows that cannot be paired
    sign = 1.0 if higher_is_better else -1.0
    fold_n, n_seeds = rows[0].fold_n, len(rows[0].seeds)
    weights = run_weights(fold_n, n_seeds, draws=draws, rng=np.random.default_rng(seed))
    now_rn = np.stack([sign * row.value_nS.mean(axis=1) for row in rows])
    drawn_brn = np.stack([sign * weights.patients(row.value_nS) for row in rows], axis=1)
    rank_r = _ranks(now_rn[None], np.ones((1, len(fold_n))), method, alpha)[0]
    rank_br = _ranks(drawn_brn, weights.patient_bn, method, alpha)
    low_r, high_r = np.quantile(rank_br, [0.025, 0.975], axis=0, method="inverted_cdf")
    first_r = (rank_br == rank_br.min(axis=1, keepdims=True)).mean(axis=0)
    return RankStability(
        method=method,
        ranks=tuple(
            RowRank(
                row=row.row,
                rank=float(rank_r[r]),
                low=float(low_r[r]),
                high=float(high_r[r]),
                first=float(first_r[r]),
            )
            for r, row in enumerate(rows)
        ),
        kendall_tau=_mean_tau(rank_r, rank_br),
    )


def ranking_fitness(rows: Sequence[RowValues]) -> float:
    """Return the sd between rows over the sd within a row (folds and seeds).

    Below 1 the data set cannot rank these rows (Isensee et al. 2024, arXiv 2404.09556). Run means
    enter less the fold's mean over rows, since which patients a fold got is no property of a row.
    Raises `BadInput` for fewer than two rows or fewer than two runs.
    """
    run_rFS = np.stack(
        [
            np.stack(
                [row.value_nS[row.fold_n == fold].mean(axis=0) for fold in np.unique(row.fold_n)]
            )
            for row in rows
        ]
    )
    if len(rows) < 2 or run_rFS[0].size < 2:
        raise BadInput("the fitness of a data set needs two rows and two runs of each")
    run_rFS = run_rFS - run_rFS.mean(axis=(0, 2), keepdims=True)
    row_r = run_rFS.mean(axis=(1, 2))
    within = float(np.sqrt(run_rFS.var(axis=(1, 2), ddof=1).mean()))
    between = float(row_r.std(ddof=1))
    if within == 0:
        return float("inf") if between else 0.0
    return between / within


def _ranks(value_brn: Floats, weight_bn: Floats, method: Method, alpha: float) -> Floats:
    """The rank of each row in each draw: 1 for the highest value, ties share the mean rank."""
    if method == "mean_then_rank":
        score_br = (value_brn * weight_bn[:, None]).sum(axis=2)
    elif method == "rank_then_mean":
        score_br = -(stats.rankdata(-value_brn, axis=1) * weight_bn[:, None]).sum(axis=2)
    else:
        score_br = _wins(value_brn, weight_bn, alpha)
    # sums of equal numbers in another order are equal: rounding breaks no tie
    return np.asarray(stats.rankdata(-np.round(score_br, 9), axis=1), dtype=np.float64)


def _wins(value_brn: Floats, weight_bn: Floats, alpha: float) -> Floats:
    """How many rows each row beats significantly, per draw."""
    draws, n_rows, n = value_brn.shape
    place_bn = np.repeat(np.tile(np.arange(n), draws), weight_bn.astype(int).ravel())
    drawn = np.take_along_axis(value_brn, place_bn.reshape(draws, 1, n), axis=2)
    pairs = [(a, b) for a in range(n_rows) for b in range(n_rows) if a != b]
    back = {pair: k for k, pair in enumerate(pairs)}
    p_bk = np.ones((draws, len(pairs)))
    for k, (a, b) in enumerate(pairs):
        if a > b:
            continue  # the other side of a normal approximation
        difference = drawn[:, a] - drawn[:, b]
        some = np.any(difference != 0, axis=1)
        if some.any():
            p = stats.wilcoxon(difference[some], axis=1, alternative="greater", method="approx")
            p_bk[some, k], p_bk[some, back[b, a]] = p.pvalue, 1 - p.pvalue
    won_bk = holm(p_bk) <= alpha
    wins = np.zeros((draws, n_rows))
    for k, (a, _) in enumerate(pairs):
        wins[:, a] += won_bk[:, k]
    return wins


def _mean_tau(rank_r: Floats, rank_br: Floats) -> float:
    """The mean of Kendall's tau-b between one ranking and many, where both have an order."""
    upper = np.triu_indices(len(rank_r), 1)
    now = np.sign(rank_r[upper[0]] - rank_r[upper[1]])
    drawn = np.sign(rank_br[:, upper[0]] - rank_br[:, upper[1]])
    untied = np.sqrt(np.count_nonzero(now) * np.count_nonzero(drawn, axis=1))
    some = untied > 0
    return float(((drawn @ now)[some] / untied[some]).mean()) if some.any() else float("nan")
