"""The primary interval: patient and run as crossed random effects (METHODS.md section 7).

    y[i, s] = mean + patient[i] + run[fold(i), s] + rest[i, s]

A run is one training, (fold, seed); its luck is shared by all test patients of the fold, so it
does not average out over patients. Within a fold, patients and seeds are crossed, which gives
three mean squares: patients, runs, and the rest (two-way analysis of variance). With

    s_patient^2 = variance of a patient's mean over seeds, within folds
    s_run^2     = max(0, (mean square of runs - mean square of the rest) / patients a fold)

the mean over patients has SE^2 = s_patient^2 / n + s_run^2 / (folds * seeds), and its degrees of
freedom are Satterthwaite's (Biometrics Bulletin 2, 1946). docs/statistics.md shows how often such
intervals cover the truth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from benchmark.errors import BadInput
from benchmark.scoring.statistics.layout import Floats, Integers

PATIENTS_INTERVAL = 6
"""Fewer patients than this give values only: no interval, no p."""
PATIENTS_P = 12
"""Fewer patients than this give no p."""
SEEDS_P = 3
"""Fewer seeds than this give no p: Holm's families would err too often (docs/statistics.md)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Components:
    """The mean over patients and what its uncertainty is made of, in the unit of the values.

    Each field of arrays has the leading shape of the input (a scalar array for one comparison).
    `runs` is folds * seeds where the folds are of equal size; less where they are not.
    """

    mean: Floats
    patient_squared: Floats
    run_squared: Floats
    degrees: Floats
    n: int
    runs: float

    @property
    def error(self) -> Floats:
        """The standard error of the mean."""
        return np.sqrt(self.patient_squared / self.n + self.run_squared / self.runs)


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A confidence interval of a mean: `estimate` within [`low`, `high`] at `level`.

    `error` is the standard error, `degrees` the degrees of freedom of its t distribution."""

    estimate: float
    low: float
    high: float
    error: float
    degrees: float
    level: float


def components(value_nS: Floats, fold_n: Integers) -> Components:
    """Return the variance components of values of shape (..., n patients, S seeds).

    With one seed runs are seen between folds only: then s_run^2 comes from the fold means, with
    folds - 1 degrees of freedom. Raises `BadInput` where no fold has two patients: such values
    are fold means, or cannot tell patients from runs.
    """
    members = [np.flatnonzero(fold_n == fold) for fold in np.unique(fold_n)]
    n, n_seeds, n_folds = value_nS.shape[-2], value_nS.shape[-1], len(members)
    if len(fold_n) != n or n <= n_folds:
        raise BadInput(
            f"{n} values in {n_folds} folds: statistics need patients, never one mean a fold"
        )
    sum_of_squares = float(sum(len(each) ** 2 for each in members))
    runs = n_seeds * n**2 / sum_of_squares
    patient, run, rest = _sums_of_squares(value_nS, members)
    df_patient = n - n_folds
    patient = patient / df_patient  # of a patient's mean over seeds
    if n_seeds > 1:
        df_run = n_folds * (n_seeds - 1)
        df_rest = df_patient * (n_seeds - 1)
        seen, lost = run / df_run * (n_folds / n), rest / df_rest * (n_folds / n)
        terms = [(patient / n, df_patient), (seen / runs, df_run), (-lost / runs, df_rest)]
    else:
        between, size = _between_folds(value_nS[..., 0], members, n - sum_of_squares / n)
        seen, lost = between / size, patient / size
        # the patients' mean square counts twice, once against itself
        terms = [(patient / n - lost / runs, df_patient), (seen / runs, n_folds - 1)]
    return Components(
        mean=value_nS.mean(axis=(-1, -2)),
        patient_squared=patient,
        run_squared=np.maximum(seen - lost, 0.0),
        degrees=np.where(seen > lost, _satterthwaite(terms), float(df_patient)),
        n=n,
        runs=runs,
    )


def rough_components(value_nS: Floats, fold_n: Integers) -> Components:
    """Return components of one comparison (n, S) with too few patients for an interval.

    All spread counts as the patients'. For planning only: how many patients would be needed."""
    mean_n = value_nS.mean(axis=1)
    n = len(mean_n)
    return Components(
        mean=np.asarray(mean_n.mean()),
        patient_squared=np.asarray(mean_n.var(ddof=1) if n > 1 else np.nan),
        run_squared=np.zeros(()),
        degrees=np.asarray(float(max(n - 1, 1))),
        n=n,
        runs=float(value_nS.shape[1] * len(np.unique(fold_n))),
    )


def interval(value_nS: Floats, fold_n: Integers, *, level: float = 0.95) -> Interval | None:
    """Return the primary interval of the mean over patients, from values of shape (n, S).

    None for fewer than 6 patients. Raises `BadInput` as `components`.
    """
    if value_nS.shape[0] < PATIENTS_INTERVAL:
        return None
    found = components(value_nS, fold_n)
    return as_interval(float(found.mean), float(found.error), float(found.degrees), level=level)


def as_interval(estimate: float, error: float, degrees: float, *, level: float) -> Interval:
    """Return the two-sided t interval of an estimate with its standard error."""
    half = float(stats.t.ppf(0.5 + level / 2, degrees)) * error
    return Interval(
        estimate=estimate,
        low=estimate - half,
        high=estimate + half,
        error=error,
        degrees=degrees,
        level=level,
    )


def p_two_sided(found: Interval) -> float:
    """Return the p of "the mean is 0" that belongs to an interval: under 1 - level exactly where
    the interval leaves 0 out. 1 where the error and the estimate are both 0."""
    if found.error == 0:
        return 1.0 if found.estimate == 0 else 0.0
    return float(2 * stats.t.sf(abs(found.estimate) / found.error, found.degrees))


def mean_of(intervals: list[Interval]) -> Interval:
    """Return the interval of the plain mean of independent means (two data sets), Satterthwaite.

    Raises `BadInput` for an empty list."""
    if not intervals:
        raise BadInput("no interval to take the mean of")
    terms = [(np.asarray(each.error**2 / len(intervals) ** 2), each.degrees) for each in intervals]
    return as_interval(
        float(np.mean([each.estimate for each in intervals])),
        float(np.sqrt(sum(float(term) for term, _ in terms))),
        float(_satterthwaite(terms)),
        level=intervals[0].level,
    )


def _sums_of_squares(value_nS: Floats, members: list[Integers]) -> list[Floats]:
    """Within folds: of the patients' means; of the runs' means, times patients; of the rest."""
    total = [np.zeros(value_nS.shape[:-2]) for _ in range(3)]
    axes = (-1, -2)
    for each in members:
        value_mS = value_nS[..., each, :]
        mean = value_mS.mean(axis=axes, keepdims=True)
        patient = value_mS.mean(axis=-1, keepdims=True) - mean
        run = value_mS.mean(axis=-2, keepdims=True) - mean
        rest = value_mS - mean - patient - run
        total[0] += (patient**2).sum(axes)
        total[1] += len(each) * (run**2).sum(axes)
        total[2] += (rest**2).sum(axes)
    return total


def _between_folds(value_n: Floats, members: list[Integers], spread: float) -> tuple[Floats, float]:
    """The mean square between folds, and how often it holds s_run^2 (patients a fold)."""
    if len(members) < 2:
        raise BadInput("one fold and one seed cannot show the luck of a training: add seeds")
    mean = value_n.mean(axis=-1)
    square = np.zeros(mean.shape)
    for each in members:
        square += len(each) * (value_n[..., each].mean(axis=-1) - mean) ** 2
    return square / (len(members) - 1), spread / (len(members) - 1)


def _satterthwaite(terms: list[tuple[Floats, float]]) -> Floats:
    """Degrees of freedom of a sum of independent mean squares, each with its sign and its own.

    1 where all are 0: then the interval is a point whatever the degrees."""
    total = sum((term for term, _ in terms), np.zeros(()))
    spread = sum((term**2 / df for term, df in terms), np.zeros(()))
    still = spread == 0
    degrees: Floats = np.where(still, 1.0, total**2 / np.where(still, 1.0, spread))
    return degrees
