"""What a design can see, and how many patients would decide."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from scipy import stats

from benchmark.scoring.statistics.components import PATIENTS_INTERVAL, Components, Interval

PATIENTS_MOST = 100_000
SEEDS_MOST = 100


@dataclass(frozen=True, kw_only=True)
class Needed:
    """So many patients with so many seeds would decide, if estimate and spread stay as they are.

    `seeds` exceeds the present number where no number of patients is enough with the present one:
    the luck of the trainings does not average out over patients. The model is the primary
    interval's (`components`), with folds of equal size."""

    patients: int
    seeds: int


def smallest_detectable(found: Interval, *, power: float = 0.8) -> float:
    """Return the least true difference that this design finds with `power`, in the unit of the
    values: (t of the level + t of the power) * SE."""
    level = stats.t.ppf(0.5 + found.level / 2, found.degrees)
    return float((level + stats.t.ppf(power, found.degrees)) * found.error)


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
