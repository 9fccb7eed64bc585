"""The table of a comparison: a pure pass over ledger entries and rows.

Every number has its n. A missed organ counts as DSC 0 and is counted; it has no ASSD, so
`n_missed` stands beside every mean (docs/methods.md section 7).
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmark.store.ledger import Entry
from benchmark.store.results import ResultRow

HEADLINE = ("liver", "left_kidney")
MEAN = "mean"  # the pseudo-organ: the mean over all organs of the set
KIDNEYS_AND_LIVER = ("liver", "left_kidney", "right_kidney")
MEAN3 = "mean3"
RowsOf = Callable[[Entry], list[ResultRow]]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One number of a table. `mean` and `sd` are None where no case defines the metric.

    `n` counts patients, `n_missed` patients in which the organ is there and nothing was predicted.
    """

    dataset: str
    row: str
    preset: str
    organ: str
    metric: str
    unit: str
    mean: float | None
    sd: float | None
    n: int
    n_missed: int


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A cell that has no rows: the table is incomplete without it."""

    dataset: str
    row: str
    fold: int
    seed: int
    state: str
    error: str


def organ_groups(organs: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return what has a line of its own: each organ, the mean, the headline organs, and `mean3`
    (the paper's three) where a set has them."""
    groups: dict[str, tuple[str, ...]] = {organ: (organ,) for organ in organs}
    groups[MEAN] = tuple(organs)
    groups["headline"] = tuple(organ for organ in HEADLINE if organ in organs)
    if set(KIDNEYS_AND_LIVER) <= set(organs):
        groups[MEAN3] = KIDNEYS_AND_LIVER
    return {name: members for name, members in groups.items() if members}


def table(entries: Iterable[Entry], rows_of: RowsOf) -> tuple[list[Line], list[Missing]]:
    """Return the lines of all rows, and the cells that are missing.

    A patient's value is the mean over the seeds that were run; the mean is over patients, the sd
    too. `mean` and `headline` take the mean over organs of the mean over patients.
    """
    groups: dict[tuple[str, ...], list[Entry]] = defaultdict(list)
    missing = []
    for entry in entries:
        if entry.state == "done":
            groups[_group(entry)].append(entry)
        else:
            missing.append(_missing(entry))
    lines: list[Line] = []
    for (dataset, row, preset, *_), members in groups.items():
        rows = [row for entry in members for row in rows_of(entry)]
        for metric, unit in dict.fromkeys((row.metric, row.unit) for row in rows):
            chosen = [row for row in rows if row.metric == metric]
            lines += _lines(
                chosen, dataset=dataset, row=row, preset=preset, metric=metric, unit=unit
            )
    return lines, missing


def per_patient(rows: Iterable[ResultRow]) -> dict[str, dict[str, float]]:
    """Return organ -> case -> value of one metric, the mean over seeds, defined values only."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if not math.isnan(row.value):
            found[row.organ][row.case].append(row.value)
    return {
        organ: {case: statistics.fmean(values) for case, values in cases.items()}
        for organ, cases in found.items()
    }


def _group(entry: Entry) -> tuple[str, ...]:
    """What shares a line. Patients of the inner split and of the test split never do."""
    return (entry.dataset, entry.label, entry.preset, entry.split, entry.part, entry.suite)


def _lines(
    rows: list[ResultRow], *, dataset: str, row: str, preset: str, metric: str, unit: str
) -> list[Line]:
    organs = list(dict.fromkeys(item.organ for item in rows))
    values = per_patient(rows)
    missed = {organ: _missed(rows, organ) for organ in organs}
    groups: dict[str, tuple[str, ...]] = {organ: (organ,) for organ in organs}
    groups[MEAN] = tuple(organs)
    groups["headline"] = tuple(organ for organ in HEADLINE if organ in organs)
    return [
        Line(
            dataset=dataset,
            row=row,
            preset=preset,
            organ=name,
            metric=metric,
            unit=unit,
            mean=_mean_of_means(values, members),
            sd=_sd(values, members),
            n=len({case for organ in members for case in values.get(organ, {})}),
            n_missed=sum(missed[organ] for organ in members),
        )
        for name, members in groups.items()
        if members
    ]


def _mean_of_means(
    values: Mapping[str, Mapping[str, float]], organs: tuple[str, ...]
) -> float | None:
    """The mean over organs; None where an organ has no defined value at all."""
    means = [statistics.fmean(values[o].values()) for o in organs if values.get(o)]
    return statistics.fmean(means) if means and len(means) == len(organs) else None


def _sd(values: Mapping[str, Mapping[str, float]], organs: tuple[str, ...]) -> float | None:
    """The sd over patients of a patient's mean over the organs; None for fewer than two."""
    cases = {case for organ in organs for case in values.get(organ, {})}
    means = [
        statistics.fmean([values[o][case] for o in organs if case in values.get(o, {})])
        for case in sorted(cases)
    ]
    return statistics.stdev(means) if len(means) > 1 else None


def _missed(rows: list[ResultRow], organ: str) -> int:
    return len({row.case for row in rows if row.organ == organ and row.state == "missed"})


def _missing(entry: Entry) -> Missing:
    return Missing(
        dataset=entry.dataset,
        row=entry.label,
        fold=entry.fold,
        seed=entry.seed,
        state=entry.state,
        error=entry.error,
    )
