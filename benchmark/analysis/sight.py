"""What size of difference a table could have shown: one sentence by rule (docs/decisions/0028).

A comparison could have shown the least true difference that a study like it would find with the
plan's power, by the spread of the two rows' own gains (`smallest_detectable`). Of a table the least
and the largest of its comparisons with the plain row are told, each with its row: the largest would
have been seen whichever row it was in. No correction for several comparisons is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmark.analysis.rows import Values, gathered, patients_of, read_cells
from benchmark.errors import BadInput
from benchmark.plan.analysis import AnalysisPlan
from benchmark.plan.wording import counted
from benchmark.scoring.statistics.corrections import smallest_detectable
from benchmark.scoring.statistics.layout import RowValues, endpoint_organs, gain
from benchmark.scoring.statistics.paired import primary_of
from benchmark.store.ledger import Entry
from benchmark.store.workspace import Workspace

METRIC = "dsc"


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What a table could have shown: `points` of DSC, None where that is not known, over so many
    `rows` compared with `reference` ("" where there was nothing to compare), in one sentence."""

    reference: str
    rows: int
    points: float | None
    text: str

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values for a program."""
        return asdict(self)


def sight(values: Mapping[str, Values], plan: AnalysisPlan) -> Sight:
    """Return what a table could have shown, from the endpoint of its rows by their names in it.

    Rows that are not complete do not count. The others are compared with the plan's baseline; where
    the table lacks it, with its first row.
    """
    rows = {name: row for name, row in values.items() if isinstance(row, RowValues)}
    if len(rows) < 2:
        return _unknown("one row" if rows else "no complete row")
    reference = plan.baseline if plan.baseline in rows else next(iter(rows))
    base, points, why_not = rows.pop(reference), dict[str, float](), ""
    margin = next((each.margin for each in plan.metrics if each.name == METRIC), 0.0)
    for name, row in rows.items():
        try:
            found = primary_of(gain(row, base, higher_is_better=True), row.fold_n, plan)
        except BadInput as error:  # one fold with one seed, say
            why_not = why_not or str(error)
            continue
        if found.interval:
            least = smallest_detectable(found.interval, margin=margin, power=plan.power)
            points[name] = least
        why_not = why_not or found.why_not
    if not points:
        return _unknown(why_not)
    design = (
        f"with {counted(len(base.cases), 'patient')}, "
        f"{counted(len(np.unique(base.fold_n)), 'fold')}, {counted(len(base.seeds), 'seed')}"
    )
    text = (
        f"{design} and this spread, {plan.power * 100:.0f} of 100 studies would show a true "
        f"difference to {reference} of {_points(points, len(rows))}"
    )
    return Sight(reference=reference, rows=len(points), points=max(points.values()), text=text)


def _points(points: Mapping[str, float], rows: int) -> str:
    """The least and the largest with their rows, as a row that failed makes the largest large."""
    low, *_, high = sorted(points, key=lambda name: points[name]) * 2
    text = f"{points[low]:.1f} points of DSC"
    if rows == 1:
        return text
    text += f" in {low}"
    text += f" to {points[high]:.1f} in {high}" if high != low else ""
    return text + (f", known in {len(points)} of {rows} rows" if len(points) < rows else "")


def _unknown(why: str) -> Sight:
    text = f"what size of difference this table could have shown is not known: {why}"
    return Sight(reference="", rows=0, points=None, text=text)


def suite_sights(
    workspace: Workspace,
    entries: Iterable[Entry],
    plan: AnalysisPlan,
    named: Callable[[str], str],
) -> dict[str, Sight]:
    """Return what each table of a suite could have shown, by data set, from the cells of the rows
    that lack none; `named` makes a row's name in tables of its label."""
    tables: dict[str, list[Entry]] = {}
    for entry in entries:
        tables.setdefault(entry.dataset, []).append(entry)
    found = {}
    for dataset, members in tables.items():
        try:
            found[dataset] = sight(_values(workspace, members, plan, named), plan)
        except BadInput as error:  # no organ of the endpoint
            found[dataset] = _unknown(str(error))
    return found


def _values(
    workspace: Workspace,
    entries: Sequence[Entry],
    plan: AnalysisPlan,
    named: Callable[[str], str],
) -> dict[str, Values]:
    """The endpoint of each row by its name. Raises `BadInput` where no organ is annotated."""
    labels = list(dict.fromkeys(entry.label for entry in entries))
    cells = [(x.label, x.fold, x.seed, (x.key, x.evaluation)) for x in entries]
    frame, _ = read_cells(workspace.results, cells)
    patients, seeds = patients_of(frame), sorted({entry.seed for entry in entries})
    organs = endpoint_organs(patients, anchor=plan.anchor_organ, share=plan.organ_share)
    frame = frame[(frame["metric"] == METRIC) & frame["organ"].isin(organs)]
    return {
        named(label): gathered(label, frame[frame["row"] == label], patients, organs, seeds)
        for label in labels
    }
