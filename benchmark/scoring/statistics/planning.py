"""What a design can see, and how many patients would decide."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import stats

from benchmark.scoring.statistics.components import PATIENTS_INTERVAL, Components, Interval

PATIENTS_MOST = 100_000
SEEDS_MOST = 100


@dataclass(frozen=True, kw_only=True)
class Needed:
    """So many patients with so many seeds would decide, if estimate and spread stay as they are.

    `seeds` exceeds the present number where no number of patients is enough with the present one:
    the luck of the trainings does not average out over patients."""

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
    """Return the least design whose interval's half width is under `distance` (> 0).

    Patients come first, up to 100,000, then seeds, up to 100. None where not even that decides.
    """
    if not distance > 0:
        return None
    patient, run = float(spread.patient_squared), float(spread.run_squared)
    per_seed = float(spread.runs) / seeds  # runs of one seed: the folds, less where unequal
    for n_seeds in range(seeds, SEEDS_MOST + 1):
        fixed = run / (per_seed * n_seeds)

        def half(n: int, fixed: float = fixed, n_seeds: int = n_seeds) -> float:
            return _half_width(patient / n, fixed, n - folds, folds * (n_seeds - 1), level)

        if half(PATIENTS_MOST) < distance:
            return Needed(patients=_least(half, distance, folds), seeds=n_seeds)
    return None


def _least(half: object, distance: float, folds: int) -> int:
    """The least n with half(n) < distance; the half width falls with n."""
    assert callable(half)
    low, high = max(PATIENTS_INTERVAL, folds + 1) - 1, PATIENTS_MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if half(middle) < distance else (middle, high)
    return high


def _half_width(patient: float, run: float, df_patient: int, df_run: int, level: float) -> float:
    total = patient + run
    if total == 0:
        return 0.0
    spread = patient**2 / df_patient + (run**2 / max(df_run, 1) if run else 0.0)
    degrees = total**2 / spread if spread else df_patient
    return float(stats.t.ppf(0.5 + level / 2, degrees)) * math.sqrt(total)
