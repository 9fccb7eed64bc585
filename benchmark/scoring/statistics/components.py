"""The primary interval: patient, fold and run as random effects.

    y[i, s] = mean + patient[i] + fold[fold(i)] + run[fold(i), s] + rest[i, s]

A run is one training, (fold, seed); its luck is shared by all test patients of the fold, so it
does not average out over patients. A fold's luck, that of its training patients, is shared by
all seeds too, so it does not average out over seeds either. Within a fold, patients and seeds are
crossed, which gives three mean squares: patients, runs, and the rest (two-way analysis of
variance). The means of the folds give a fourth. With

    s_patient^2 = variance of a patient's mean over seeds, within folds
    s_run^2     = max(0, (mean square of runs - mean square of the rest) / patients a fold)
    s_fold^2    = max(0, (mean square of folds - s_patient^2) / patients a fold - s_run^2 / seeds)

the mean over patients has SE^2 = s_patient^2 / n + s_fold^2 / folds + s_run^2 / (folds * seeds),
and its degrees of freedom are Satterthwaite's (Biometrics Bulletin 2, 1946): where s_fold^2 is
above 0, those of the folds (folds - 1 where they are of equal size). One split of the patients can
tell no more. docs/statistics.md shows how often such intervals cover the truth;
docs/decisions/0019 why this one was chosen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from benchmark.errors import BadInput
from benchmark.plan.wording import counted
from benchmark.scoring.statistics.layout import Floats, Integers

PATIENTS_INTERVAL = 6
"""Fewer patients than this give values only: no interval, no p."""
PATIENTS_P = 12
"""Fewer patients than this give no p."""
SEEDS_P = 3
"""Fewer seeds than this give no p: Holm's families would err too often (docs/statistics.md)."""
FOLD_SHARE = 0.4
"""A fold with a larger share of the patients gives values only: the luck of its training patients
is then most of the mean's, and one fold cannot show it."""
Terms = list[tuple[Floats, float]]  # independent mean squares with their degrees of freedom
ROUNDING = 1e-9  # a spread under this share of the largest value is that of rounding


@dataclass(frozen=True, kw_only=True, eq=False)
class Components:
    """The mean over patients and what its uncertainty is made of, in the unit of the values.

    Each field of arrays has the leading shape of the input (a scalar array for one comparison).
    `folds` is their number and `runs` folds * seeds where the folds are of equal size; less where
    they are not. With one seed a fold's luck and a run's are one: `run_squared` holds both.
    """

    mean: Floats
    patient_squared: Floats
    fold_squared: Floats
    run_squared: Floats
    degrees: Floats
    n: int
    folds: float
    runs: float

    @property
    def error(self) -> Floats:
        """The standard error of the mean."""
        luck = self.fold_squared / self.folds + self.run_squared / self.runs
        return np.sqrt(self.patient_squared / self.n + luck)


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


@dataclass(frozen=True, kw_only=True)
class Primary:
    """The primary interval with its components, or None and why not. `spread` is then rough, for
    planning only."""

    spread: Components
    interval: Interval | None
    why_not: str


def components(value_nS: Floats, fold_n: Integers, *, fold_luck: bool = True) -> Components:
    """Return the variance components of values of shape (..., n patients, S seeds).

    With one seed runs are seen between folds only: then s_run^2 comes from the fold means, with
    folds - 1 degrees of freedom. Without `fold_luck` s_fold^2 is 0, as in the first analysis
    (`benchmark.plan.analysis`). Raises `BadInput` where no fold has two patients: such values
    are fold means, or cannot tell patients from runs.
    """
    members = [np.flatnonzero(fold_n == fold) for fold in np.unique(fold_n)]
    n, n_seeds, n_folds = value_nS.shape[-2], value_nS.shape[-1], len(members)
    if len(fold_n) != n or n <= n_folds:
        raise BadInput(
            f"{n} values in {n_folds} folds: statistics need patients, never one mean a fold"
        )
    if n_folds == 1 and n_seeds == 1:
        raise BadInput("one fold and one seed cannot show the luck of a training: add seeds")
    folds = n**2 / float(sum(len(each) ** 2 for each in members))
    runs, df_patient = n_seeds * folds, float(n - n_folds)
    patient, run, rest = _sums_of_squares(value_nS, members)
    patient = patient / df_patient  # of a patient's mean over seeds
    between, size = _between_folds(value_nS, members, n - n / folds)
    # the patients' mean square counts twice, once against itself
    own = patient / n - patient / size / folds
    by_folds: Terms = [(own, df_patient), (between / size / folds, max(n_folds - 1.0, 1.0))]
    if n_seeds > 1:
        df_run, df_rest = n_folds * (n_seeds - 1.0), df_patient * (n_seeds - 1)
        seen, lost = run / df_run * (n_folds / n), rest / df_rest * (n_folds / n)
        by_runs: Terms = [(patient / n, df_patient), (seen / runs, df_run), (-lost / runs, df_rest)]
    else:
        seen, lost, by_runs = between / size, patient / size, by_folds
    run_squared = np.maximum(seen - lost, 0.0)
    fold_squared = np.zeros(patient.shape)
    if fold_luck and n_seeds > 1 and n_folds > 1:
        fold_squared = np.maximum((between - patient) / size - run_squared / n_seeds, 0.0)
    degrees = np.where(seen > lost, _satterthwaite(by_runs), df_patient)
    return Components(
        mean=value_nS.mean(axis=(-1, -2)),
        patient_squared=patient,
        fold_squared=fold_squared,
        run_squared=run_squared,
        degrees=np.where(fold_squared > 0, _satterthwaite(by_folds), degrees),
        n=n,
        folds=folds,
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
        fold_squared=np.zeros(()),
        run_squared=np.zeros(()),
        degrees=np.asarray(float(max(n - 1, 1))),
        n=n,
        folds=float(len(np.unique(fold_n))),
        runs=float(value_nS.shape[1] * len(np.unique(fold_n))),
    )


def primary(
    value_nS: Floats, fold_n: Integers, *, level: float = 0.95, fold_luck: bool = True
) -> Primary:
    """Return the primary interval of the mean over patients, from values of shape (n, S), or why
    there is none.

    None is given for fewer than 6 patients, over 40 % of them in one fold (with `fold_luck`), and
    no spread at all: an interval of width 0 would claim to know what it cannot. Raises `BadInput`
    as `components`.
    """
    n = value_nS.shape[0]
    most = int(np.unique(fold_n, return_counts=True)[1].max())
    why_not = ""
    if n < PATIENTS_INTERVAL:
        why_not = f"{counted(n, 'patient')}: values only, no interval under {PATIENTS_INTERVAL}"
    elif fold_luck and most > FOLD_SHARE * n:
        why_not = (
            f"one fold holds {most} of {n} patients: values only, since the luck of its training "
            f"patients is not seen where a fold holds over {FOLD_SHARE:.0%}"
        )
    if why_not:
        return Primary(spread=rough_components(value_nS, fold_n), interval=None, why_not=why_not)
    found = components(value_nS, fold_n, fold_luck=fold_luck)
    error = float(found.error)
    if error <= ROUNDING * np.abs(value_nS).max():
        why_not = "every patient gains the same: values only, there is no spread to measure"
        return Primary(spread=found, interval=None, why_not=why_not)
    whole = as_interval(float(found.mean), error, float(found.degrees), level=level)
    return Primary(spread=found, interval=whole, why_not="")


def interval(value_nS: Floats, fold_n: Integers, *, level: float = 0.95) -> Interval | None:
    """Return the primary interval from values of shape (n, S); None where `primary` says why."""
    return primary(value_nS, fold_n, level=level).interval


def as_interval(estimate: float, error: float, degrees: float, *, level: float) -> Interval:
    """Return the two-sided t interval of an estimate with its standard error.

    >>> found = as_interval(2.0, 0.5, degrees=8, level=0.95)
    >>> round(found.low, 3), round(found.high, 3)
    (0.847, 3.153)
    """
    half = float(stats.t.ppf(0.5 + level / 2, degrees)) * error
    return Interval(
        estimate=estimate,
        low=estimate - half,
        high=estimate + half,
        error=error,
        degrees=degrees,
        level=level,
    )


def mirrored(found: Interval) -> Interval:
    """Return the interval of the same rows in the other order."""
    return replace(found, estimate=-found.estimate, low=-found.high, high=-found.low)


def p_two_sided(found: Interval) -> float:
    """Return the p of "the mean is 0" that belongs to an interval: under 1 - level exactly where
    the interval leaves 0 out.

    >>> round(p_two_sided(as_interval(2.0, 0.5, degrees=8, level=0.95)), 4)
    0.0039
    """
    return float(2 * stats.t.sf(abs(found.estimate) / found.error, found.degrees))


def p_in_family(found: Interval, folds: int) -> float:
    """Return the p for Holm's correction, of an interval from so many folds.

    A family asks for p far below 5 %. There an interval whose fold luck was estimated as none is
    too sure: five folds cannot show that there is none. So its t distribution has at most
    2 * (folds - 1) degrees of freedom. By simulation families then err in at most 6 %, and in up
    to 13 % without (docs/statistics.md)."""
    return p_two_sided(replace(found, degrees=min(found.degrees, max(2.0 * (folds - 1), 1.0))))


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


def _between_folds(
    value_nS: Floats, members: list[Integers], spread: float
) -> tuple[Floats, float]:
    """The mean square between folds, and how often it holds a fold's variance (patients a fold);
    of a single fold, nothing."""
    mean = value_nS.mean(axis=(-1, -2))
    if len(members) < 2:
        return np.zeros(mean.shape), 1.0
    square = np.zeros(mean.shape)
    for each in members:
        square += len(each) * (value_nS[..., each, :].mean(axis=(-1, -2)) - mean) ** 2
    return square / (len(members) - 1), spread / (len(members) - 1)


def _satterthwaite(terms: Terms) -> Floats:
    """Degrees of freedom of a sum of independent mean squares, each with its sign and its own.

    1 where all are 0: then the interval is a point whatever the degrees."""
    total = sum((term for term, _ in terms), np.zeros(()))
    spread = sum((term**2 / df for term, df in terms), np.zeros(()))
    still = spread == 0
    degrees: Floats = np.where(still, 1.0, total**2 / np.where(still, 1.0, spread))
    return degrees
