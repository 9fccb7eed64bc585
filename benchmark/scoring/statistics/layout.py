"""The values of a row, laid out by patient and seed; what is missing is named, never dropped.

Arrays carry their axes in their names: n patients, S seeds, k stored values.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BadInput
from benchmark.plan.wording import counted

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class ScoredPatient:
    """A test patient: its fold, and the organs that its ground truth holds."""

    case: str
    fold: int
    organs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class RowValues:
    """One tested number per patient and seed of one row: `value_nS`, all finite.

    `fold_n` is the fold in which a patient was tested. The order of patients is that of `cases`.
    """

    row: str
    cases: tuple[str, ...]
    seeds: tuple[int, ...]
    fold_n: Integers
    value_nS: Floats

    def __post_init__(self) -> None:
        shape = (len(self.cases), len(self.seeds))
        if self.value_nS.shape != shape or self.fold_n.shape != shape[:1]:
            raise BadInput(
                f"{self.row}: values {self.value_nS.shape} and folds {self.fold_n.shape} do not "
                f"fit {shape[0]} patients and {shape[1]} seeds"
            )
        if not np.isfinite(self.value_nS).all():
            raise BadInput(f"{self.row}: a value is missing or not finite; use `gather`")


@dataclass(frozen=True, kw_only=True)
class Incomplete:
    """A row without some of its planned values: no statistic is made of the rest."""

    row: str
    missing: tuple[tuple[str, int], ...]

    @property
    def sentence(self) -> str:
        """One line that says what is missing."""
        case, seed = self.missing[0]
        lacks = counted(len(self.missing), "planned value")
        return f"{self.row} is incomplete: it lacks {lacks} (the first: case {case}, seed {seed})"


def endpoint_organs(
    patients: Sequence[ScoredPatient], *, anchor: str = "liver", share: float = 0.8
) -> tuple[str, ...]:
    """Return the organs of the test endpoint: `anchor` where the set has it, and every organ that
    at least `share` of the patients have. Raises `BadInput` where there is none."""
    counts: dict[str, int] = {}
    for patient in patients:
        for organ in patient.organs:
            counts[organ] = counts.get(organ, 0) + 1
    organs = tuple(
        organ
        for organ, count in sorted(counts.items())
        if organ == anchor or count >= share * len(patients)
    )
    if not organs:
        raise BadInput(f"no organ is annotated in {share:.0%} of the {len(patients)} patients")
    return organs


def gather(
    row: str,
    *,
    patients: Sequence[ScoredPatient],
    organs: Collection[str],
    seeds: Sequence[int],
    case_k: Sequence[str] | NDArray[Any],
    organ_k: Sequence[str] | NDArray[Any],
    seed_k: Sequence[int] | NDArray[Any],
    value_k: Sequence[float] | NDArray[Any],
) -> RowValues | Incomplete:
    """Return a row's endpoint per patient and seed, from the stored values of one metric.

    The endpoint is the mean over those of `organs` that the patient's ground truth holds; a
    patient with none of them is not part of the comparison, in no row. nan counts as missing.
    Raises `BadInput` for a case or seed that was not planned and for a value stored twice.
    """
    chosen = [p for p in patients if set(p.organs) & set(organs)]
    places = {
        (p.case, organ): (i, j)
        for i, p in enumerate(chosen)
        for j, organ in enumerate(o for o in sorted(organs) if o in p.organs)
    }
    known = {p.case for p in patients}
    value = np.full((len(chosen), max(len(organs), 1), len(seeds)), np.nan)
    seen = np.zeros(value.shape, dtype=bool)
    place_of = {seed: s for s, seed in enumerate(seeds)}
    for case, organ, seed, number in zip(
        np.asarray(case_k).tolist(),
        np.asarray(organ_k).tolist(),
        np.asarray(seed_k).tolist(),
        np.asarray(value_k, dtype=np.float64).tolist(),
        strict=True,
    ):
        if case not in known or seed not in place_of:
            raise BadInput(f"{row}: case {case} with seed {seed} is not part of this comparison")
        place = places.get((case, organ))
        if place is None:
            continue
        cell = (*place, place_of[seed])
        if seen[cell]:
            raise BadInput(f"{row}: two values of {organ} in case {case} with seed {seed}")
        seen[cell], value[cell] = True, number
    return _row_values(row, chosen, tuple(seeds), value, places)


def _row_values(
    row: str,
    patients: Sequence[ScoredPatient],
    seeds: tuple[int, ...],
    value: Floats,
    places: Mapping[tuple[str, str], tuple[int, int]],
) -> RowValues | Incomplete:
    expected = np.zeros(value.shape[:2], dtype=bool)
    for i, j in places.values():
        expected[i, j] = True
    absent_nS = (~np.isfinite(value) & expected[..., None]).any(axis=1)
    if absent_nS.any():
        missing = tuple((patients[i].case, seeds[s]) for i, s in np.argwhere(absent_nS).tolist())
        return Incomplete(row=row, missing=missing)
    total = np.where(expected[..., None], value, 0.0).sum(axis=1)
    return RowValues(
        row=row,
        cases=tuple(p.case for p in patients),
        seeds=seeds,
        fold_n=np.array([p.fold for p in patients], dtype=np.int64),
        value_nS=total / expected.sum(axis=1)[:, None],
    )


def gain(row: RowValues, reference: RowValues, *, higher_is_better: bool) -> Floats:
    """Return how much better `row` is than `reference`, per patient and seed, shape (n, S).

    Positive is better, for distances too. Raises `BadInput` where patients, folds or seeds differ:
    such rows cannot be paired.
    """
    for name in ("cases", "seeds"):
        if getattr(row, name) != getattr(reference, name):
            raise BadInput(f"{row.row} and {reference.row} cannot be paired: their {name} differ")
    if not np.array_equal(row.fold_n, reference.fold_n):
        raise BadInput(f"{row.row} and {reference.row} cannot be paired: their folds differ")
    difference = row.value_nS - reference.value_nS
    return difference if higher_is_better else -difference
