"""The lines of a table: one number a row, metric and organ, from ledger entries or from a group.

Every number has its n. A missed organ counts as DSC 0 and is counted; it has no ASSD, so
`n_missed` stands beside every mean (docs/methods.md section 7).
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from benchmark.analysis.rows import Scores
from benchmark.analysis.suites import Missing, missing_cell, planned_cell
from benchmark.plan.wording import listed
from benchmark.scoring.cases import METRIC_UNITS
from benchmark.store.ledger import Entry
from benchmark.store.results import ResultRow
from benchmark.store.workspace import Workspace

HEADLINE = ("liver", "left_kidney")
MEAN = "mean"  # the pseudo-organ: the mean over all organs of the set
KIDNEYS_AND_LIVER = ("liver", "left_kidney", "right_kidney")
MEAN3 = "mean3"
MOST_ORGANS = 6  # that are named one by one
RowsOf = Callable[[Entry], list[ResultRow]]
PerPatient = dict[str, dict[str, float]]  # organ -> case -> mean over seeds


@dataclass(frozen=True, kw_only=True)
class ScoreLine:
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


def organ_groups(organs: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return what has a line of its own: each organ, the mean, the headline organs, and `mean3`
    (the paper's three) where a set has them."""
    groups: dict[str, tuple[str, ...]] = {organ: (organ,) for organ in organs}
    groups[MEAN] = tuple(organs)
    groups["headline"] = tuple(organ for organ in HEADLINE if organ in organs)
    if set(KIDNEYS_AND_LIVER) <= set(organs):
        groups[MEAN3] = KIDNEYS_AND_LIVER
    return {name: members for name, members in groups.items() if members}


def over_text(name: str, organs: Sequence[str]) -> str:
    """Return in words what a number of `organ_groups` is of: `left kidney`, or `mean over liver and
    left kidney`."""
    if name in organs:
        return name.replace("_", " ")
    return f"mean over {organs_text(organ_groups(organs).get(name, ()))}"


def organs_text(organs: Sequence[str]) -> str:
    """Return organs as a list in a sentence; many are counted."""
    if len(organs) > MOST_ORGANS:
        return f"{len(organs)} organs"
    return listed(organs).replace("_", " ")


def table(entries: Iterable[Entry], rows_of: RowsOf) -> tuple[list[ScoreLine], list[Missing]]:
    """Return the lines of all rows but `mean3`, and the cells that are missing.

    A patient's value is the mean over the seeds that were run; the mean is over patients, the sd
    too. `mean` and `headline` take the mean over organs of the mean over patients.
    """
    groups: dict[tuple[str, ...], list[Entry]] = defaultdict(list)
    missing = []
    for entry in entries:
        if entry.state == "done":
            groups[line_of(entry)].append(entry)
        else:
            missing.append(missing_cell(planned_cell(entry), entry))
    lines: list[ScoreLine] = []
    for place, members in groups.items():
        rows = [row for entry in members for row in rows_of(entry)]
        for metric, unit in dict.fromkeys((row.metric, row.unit) for row in rows):
            chosen = [row for row in rows if row.metric == metric]
            lines += _lines(place, metric, unit, per_patient(chosen), _missed(chosen))
    return [line for line in lines if line.organ != MEAN3], missing


def lines_of(scores: Scores) -> list[ScoreLine]:
    """Return the lines of all rows of a group, in a fixed order, from its frame of a million rows:
    what `table` gives, and `mean3`."""
    group, frame = scores.group, scores.frame
    by = ["row", "metric", "organ", "case"]
    values = _nested(frame.dropna(subset=["value"]).groupby(by, observed=True)["value"].mean())
    missed = _nested(frame[frame["state"] == "missed"].groupby(by, observed=True).size())
    units = frame[["metric", "unit"]].drop_duplicates().astype(str)
    unit_of = dict(zip(units["metric"], units["unit"], strict=True))
    seen = set(frame[["row", "metric"]].drop_duplicates().astype(str).itertuples(index=False))
    lines: list[ScoreLine] = []
    for row, metric in seen:
        place = (group.dataset, row, group.preset)
        found, lost = values.get((row, metric), {}), missed.get((row, metric), {})
        counts = {organ: len(lost.get(organ, ())) for organ in scores.organs}
        lines += _lines(place, metric, unit_of[metric], found, counts)
    metrics = list(dict.fromkeys([*METRIC_UNITS, *sorted(unit_of)]))
    organs, rows = list(organ_groups(scores.organs)), list(group.rows)
    order = ({name: n for n, name in enumerate(names)} for names in (rows, metrics, organs))
    row_at, metric_at, organ_at = order
    return sorted(lines, key=lambda x: (row_at[x.row], metric_at[x.metric], organ_at[x.organ]))


def number_text(line: ScoreLine | None, metric: str) -> str:
    """Return a mean with its sd as a table shows it, "-" where there is none."""
    if line is None or line.mean is None:
        return "-"
    digits = 1 if metric == "dsc" else 2
    sd = "" if line.sd is None else f" +- {line.sd:.{digits}f}"
    return f"{line.mean:.{digits}f}{sd}"


def per_patient(rows: Iterable[ResultRow]) -> PerPatient:
    """Return organ -> case -> value of one metric, the mean over seeds, defined values only."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if not math.isnan(row.value):
            found[row.organ][row.case].append(row.value)
    return {
        organ: {case: statistics.fmean(values) for case, values in cases.items()}
        for organ, cases in found.items()
    }


def means(rows: Iterable[ResultRow]) -> dict[str, float]:
    """Return the mean over patients of each metric of probe rows, defined values only."""
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if not math.isnan(row.value):
            found[row.metric].append(row.value)
    return {metric: statistics.fmean(values) for metric, values in found.items()}


def probe_means(workspace: Workspace, entry: Entry) -> dict[str, float]:
    """Return what the probes of a cell measured, as means over its patients."""
    found: dict[str, float] = {}
    for _, key, evaluation in entry.probes:
        if workspace.results.intact(key, evaluation):
            found |= means(workspace.results.rows(key, evaluation))
    return found


def line_of(entry: Entry) -> tuple[str, ...]:
    """Return what shares a line: it begins with data set, label and preset. Patients of the inner
    split and of the test split never do."""
    return (entry.dataset, entry.label, entry.preset, entry.split, entry.part, entry.suite)


def _lines(
    place: Sequence[str], metric: str, unit: str, values: PerPatient, missed: Mapping[str, int]
) -> list[ScoreLine]:
    """The lines of a row (data set, label, preset, ...) in a metric; `missed` has every organ."""
    dataset, row, preset, *_ = place
    return [
        ScoreLine(
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
        for name, members in organ_groups(list(missed)).items()
    ]


def _mean_of_means(values: PerPatient, organs: tuple[str, ...]) -> float | None:
    """The mean over organs; None where an organ has no defined value at all."""
    means = [statistics.fmean(values[o].values()) for o in organs if values.get(o)]
    return statistics.fmean(means) if means and len(means) == len(organs) else None


def _sd(values: PerPatient, organs: tuple[str, ...]) -> float | None:
    """The sd over patients of a patient's mean over the organs; None for fewer than two."""
    cases = {case for organ in organs for case in values.get(organ, {})}
    means = [
        statistics.fmean([values[o][case] for o in organs if case in values.get(o, {})])
        for case in sorted(cases)
    ]
    return statistics.stdev(means) if len(means) > 1 else None


def _missed(rows: Iterable[ResultRow]) -> dict[str, int]:
    """The number of patients in which each organ was missed."""
    cases: dict[str, set[str]] = {}
    for row in rows:
        cases.setdefault(row.organ, set()).update([row.case] if row.state == "missed" else [])
    return {organ: len(found) for organ, found in cases.items()}


def _nested(values: pd.Series) -> dict[tuple[str, str], PerPatient]:
    """(row, metric) -> organ -> case -> value."""
    found: dict[tuple[str, str], PerPatient] = defaultdict(lambda: defaultdict(dict))
    for (row, metric, organ, case), value in zip(values.index, values.tolist(), strict=True):
        found[row, metric][organ][case] = value
    return found
