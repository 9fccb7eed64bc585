"""What goes beyond one comparison: Holm over closed families, whether folds differ by more than
their runs, what a design can see, draws of patients and seeds for the bootstrap, and rank stability
by it, as challengeR does (Wiesenfarth et al., Sci. Reports 11, 2021)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from benchmark.errors import BadInput
from benchmark.plan.analysis import Contrast, Family
from benchmark.scoring.statistics.components import (
    PATIENTS_INTERVAL,
    Components,
    Interval,
    components,
)
from benchmark.scoring.statistics.layout import Floats, Integers, RowValues, gain

PATIENTS_MOST = 100_000
SEEDS_MOST = 100
Adjusted = Mapping[Contrast, float | None]  # a family's p after Holm, None where there is none


def holm(p_k: Floats) -> Floats:
    """Return Holm's adjusted p along the last axis (Scand. J. Statistics 6, 1979).

    Equal to statsmodels' `multipletests(method="holm")`, for many families at once.

    >>> holm(np.array([0.01, 0.04, 0.03, 0.005]))
    array([0.03, 0.06, 0.06, 0.02])
    """
    order = np.argsort(p_k, axis=-1)
    k = p_k.shape[-1]
    stepped = np.take_along_axis(p_k, order, axis=-1) * (k - np.arange(k))
    stepped = np.minimum(np.maximum.accumulate(stepped, axis=-1), 1.0)
    adjusted = np.empty_like(stepped)
    np.put_along_axis(adjusted, order, stepped, axis=-1)
    return adjusted


def adjust(family: Family, p: Mapping[Contrast, float | None]) -> Adjusted:
    """Return the family after Holm: contrast -> adjusted p, None where the contrast has no p.

    A contrast without one counts in the correction as if its p were 1: what is missing never makes
    the denominator smaller. Raises `BadInput` for a contrast that the plan does not hold in this
    family: families are closed before the first result.
    """
    strange = [contrast for contrast in p if contrast not in family.contrasts]
    if strange:
        raise BadInput(
            f"{strange[0].row} against {strange[0].reference} in {strange[0].metric} is not "
            f"planned in the family {family.name}"
        )
    known = [p.get(contrast) for contrast in family.contrasts]
    found = holm(np.array([1.0 if value is None else value for value in known]))
    pairs = zip(family.contrasts, known, found.tolist(), strict=True)
    return {c: None if value is None else adjusted for c, value, adjusted in pairs}


def fold_excess_p(gain_nS: Floats, fold_n: Integers) -> float | None:
    """Return the p of "fold means differ as patients and runs explain", from values (n, S).

    What all seeds of a fold share is the luck of its training patients. The primary interval counts
    it; that of the first analysis did not, and would be short.
    The weighted mean square of fold means over their expected variance s_patient^2 / patients +
    s_run^2 / seeds, as an F with folds - 1 and Satterthwaite's degrees of freedom. None with one
    seed (its runs are told by fold means) or one fold.
    """
    folds, n_seeds = np.unique(fold_n), gain_nS.shape[1]
    if n_seeds < 2 or len(folds) < 2:
        return None
    found = components(gain_nS, fold_n, fold_luck=False)
    size_F = np.array([np.count_nonzero(fold_n == fold) for fold in folds])
    mean_F = np.array([gain_nS[fold_n == fold].mean() for fold in folds])
    expected_F = float(found.patient_squared) / size_F + float(found.run_squared) / n_seeds
    if not expected_F.all():
        return None
    centre = np.average(mean_F, weights=1 / expected_F)
    ratio = float(((mean_F - centre) ** 2 / expected_F).sum() / (len(folds) - 1))
    return float(stats.f.sf(ratio, len(folds) - 1, float(found.degrees)))


@dataclass(frozen=True, kw_only=True)
class Needed:
    """So many patients with so many seeds would decide, if estimate and spread stay as they are.

    `seeds` exceeds the present number where no number of patients is enough with the present one:
    the luck of the trainings does not average out over patients. The model is the primary
    interval's (`components`), with folds of equal size."""

    patients: int
    seeds: int


def smallest_detectable(found: Interval, *, margin: float, power: float = 0.8) -> float:
    """Return the least true difference that this design calls "better" with `power`, in the unit of
    the values: max(half, margin - half) + t of the power * SE, `half` being the interval's half
    width. The interval must lie above 0, and its upper end above the `margin`: below it a
    difference is called equivalent, however sure it is.

    >>> from benchmark.scoring.statistics.components import as_interval
    >>> wide, narrow = (as_interval(2.0, se, degrees=8, level=0.95) for se in (0.5, 0.1))
    >>> [round(smallest_detectable(one, margin=1.0), 2) for one in (wide, narrow)]
    [1.6, 0.86]
    """
    half = stats.t.ppf(0.5 + found.level / 2, found.degrees) * found.error
    luck = stats.t.ppf(power, found.degrees) * found.error
    return float(max(half, margin - half) + luck)


def patients_needed(
    distance: float, spread: Components, *, seeds: int, folds: int, level: float = 0.95
) -> Needed | None:
    """Return the least design whose interval's half width is under `distance`.

    Patients come first, up to 100,000, then seeds, up to 100. The luck of the folds stays: neither
    averages it out. None where not even that decides, and where `distance` is not above 0.
    """
    if not distance > 0:
        return None
    run_of_one_seed = float(spread.run_squared) * seeds / float(spread.runs)
    fold = float(spread.fold_squared) / spread.folds
    for n_seeds in range(seeds, SEEDS_MOST + 1):

        def decides(n: int, n_seeds: int = n_seeds) -> bool:
            patient, run = float(spread.patient_squared) / n, run_of_one_seed / n_seeds
            # one seed: runs are told by folds
            df_run = folds * (n_seeds - 1) or max(folds - 1, 1)
            if fold > 0:  # all of it is told by the means of the folds
                quantile = float(stats.t.ppf(0.5 + level / 2, max(folds - 1, 1)))
                return quantile * math.sqrt(patient + run + fold) < distance
            return _half_width(patient, n - folds, run, df_run, level) < distance

        if decides(PATIENTS_MOST):
            return Needed(patients=_least(decides, folds), seeds=n_seeds)
    return None


def _least(decides: Callable[[int], bool], folds: int) -> int:
    """The least number of patients that decides, by halving: the half width falls with it."""
    low, high = max(PATIENTS_INTERVAL, folds + 1) - 1, PATIENTS_MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high


def _half_width(patient: float, df_patient: int, run: float, df_run: int, level: float) -> float:
    """t * SE with Satterthwaite's degrees, from the two parts of SE^2."""
    total = patient + run
    if total == 0:
        return 0.0
    degrees = total**2 / (patient**2 / df_patient + run**2 / df_run)
    return float(stats.t.ppf(0.5 + level / 2, degrees)) * math.sqrt(total)


@dataclass(frozen=True, kw_only=True, eq=False)
class RunWeights:
    """How often each draw b holds a patient (`patient_bn`, sum n) and, in each fold, a seed
    (`seed_bFS`, sum S). Seeds are drawn once per fold: its patients share their trainings.
    `place_n` is a patient's fold as an index of F."""

    patient_bn: Floats
    seed_bFS: Floats
    place_n: Integers

    def patients(self, value_nS: Floats) -> Floats:
        """Return each patient's mean over a draw's seeds, shape (draws, n)."""
        mean_bn = np.empty(self.patient_bn.shape)
        for fold in range(self.seed_bFS.shape[1]):
            members = self.place_n == fold
            mean_bn[:, members] = self.seed_bFS[:, fold] @ value_nS[members].T
        return np.asarray(mean_bn / value_nS.shape[1])

    def means(self, value_nS: Floats) -> Floats:
        """Return each draw's mean over its patients and seeds, shape (draws,)."""
        weighted = self.patient_bn * self.patients(value_nS)
        return np.asarray(weighted.sum(axis=1) / value_nS.shape[0])


def run_weights(
    fold_n: Integers, n_seeds: int, *, draws: int, rng: np.random.Generator
) -> RunWeights:
    """Return `draws` bootstrap samples: patients with replacement, then seeds within folds."""
    folds, place_n = np.unique(fold_n, return_inverse=True)
    seed_bFS = _counts(draws * len(folds), n_seeds, rng).reshape(draws, len(folds), n_seeds)
    return RunWeights(
        patient_bn=_counts(draws, len(fold_n), rng), seed_bFS=seed_bFS, place_n=place_n
    )


def _counts(draws: int, n: int, rng: np.random.Generator) -> Floats:
    """How often each of n things is drawn in n draws with replacement; faster than multinomial."""
    cell = rng.integers(n, size=(draws, n)) + n * np.arange(draws)[:, None]
    counts = np.bincount(cell.ravel(), minlength=draws * n).reshape(draws, n)
    return counts.astype(np.float64)


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
    """The ranks of all rows, and Kendall's tau-b between the ranking and those of
    the draws, on average: 1 is a ranking that never changes; nan where every row ties."""

    ranks: tuple[RowRank, ...]
    kendall_tau: float


def rank_stability(
    rows: Sequence[RowValues],
    *,
    higher_is_better: bool,
    draws: int = 1000,
    seed: int = 0,
) -> RankStability:
    """Return the ranking of rows by their means, and how it holds under a bootstrap of patients and
    seeds. Raises `BadInput` for fewer than two rows, or rows that cannot be paired.
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
    rank_r = _ranks(now_rn[None], np.ones((1, len(fold_n))))[0]
    rank_br = _ranks(drawn_brn, weights.patient_bn)
    low_r, high_r = np.quantile(rank_br, [0.025, 0.975], axis=0, method="inverted_cdf")
    first_r = (rank_br == rank_br.min(axis=1, keepdims=True)).mean(axis=0)
    return RankStability(
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


def _ranks(value_brn: Floats, weight_bn: Floats) -> Floats:
    """The rank of each row's mean in each draw: 1 for the highest, ties share the mean rank."""
    mean_br = (value_brn * weight_bn[:, None]).sum(axis=2)
    # sums of equal numbers in another order are equal: rounding breaks no tie
    return np.asarray(stats.rankdata(-np.round(mean_br, 9), axis=1), dtype=np.float64)


def _mean_tau(rank_r: Floats, rank_br: Floats) -> float:
    """The mean of Kendall's tau-b between one ranking and many, where both have an order."""
    upper = np.triu_indices(len(rank_r), 1)
    now = np.sign(rank_r[upper[0]] - rank_r[upper[1]])
    drawn = np.sign(rank_br[:, upper[0]] - rank_br[:, upper[1]])
    untied = np.sqrt(np.count_nonzero(now) * np.count_nonzero(drawn, axis=1))
    some = untied > 0
    return float(((drawn @ now)[some] / untied[some]).mean()) if some.any() else float("nan")
