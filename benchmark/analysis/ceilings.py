"""The two ceilings beside a table, over the very patients that it is of, and the flag `at_target`.

A ceiling that cannot be given is left out with one sentence why: never a number of other data.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from benchmark.analysis.ceiling_sources import (
    NATIVE,
    KnownCeilings,
    RowKey,
    Scored,
    measured_ceilings,
)
from benchmark.analysis.tables import MEAN3, line_of, organ_groups
from benchmark.data.ceilings import Ceiling
from benchmark.data.library import DataSet
from benchmark.plan.ground import MAJORITY, Ground
from benchmark.store.ledger import Entry
from benchmark.store.results import ResultRow

if TYPE_CHECKING:
    from benchmark.store.workspace import Workspace

AT_TARGET = "at_target"  # the name of the flag
AT_TARGET_POINTS = 0.5
WHAT = (
    "target ceiling: the DSC of a perfect copy of the training target; grid ceiling: that of each "
    "organ's share of every pixel of the training grid"
)
NAMES = ("target ceiling", "grid ceiling")
Texts = TypeVar("Texts")
Mean = tuple[float, float, int]  # target ceiling and grid ceiling in percent, number of patients


@dataclass(frozen=True, kw_only=True)
class CeilingLine:
    """Both ceilings of an organ beside a row, DSC in percent: means over the row's `n` patients."""

    dataset: str
    row: str
    preset: str
    organ: str
    target: float
    grid: float
    n: int


@dataclass(frozen=True, kw_only=True)
class Ceilings:
    """What stands beside a table. `lines` are those of all rows with ceilings, `entries` the
    table's cells with the flag `at_target` where it holds, `left_out` why rows have none."""

    lines: tuple[CeilingLine, ...] = ()
    entries: tuple[Entry, ...] = ()
    left_out: Mapping[RowKey, str] = field(default_factory=dict)

    @property
    def why_not(self) -> tuple[str, ...]:
        """Why rows have no ceilings, each reason once."""
        return tuple(dict.fromkeys(self.left_out.values()))

    def on(self, dataset: str) -> Ceilings:
        """Return what is of one data set."""
        return Ceilings(
            lines=tuple(line for line in self.lines if line.dataset == dataset),
            entries=tuple(entry for entry in self.entries if entry.dataset == dataset),
            left_out={row: why for row, why in self.left_out.items() if row[0] == dataset},
        )

    def of(self, row: str, dataset: str) -> dict[str, CeilingLine]:
        """Return the lines of a row on a data set by organ; empty where there are none."""
        return {x.organ: x for x in self.lines if (x.row, x.dataset) == (row, dataset)}

    def as_json(self) -> list[dict[str, Any]]:
        """Return the lines as plain values for a program."""
        return [asdict(line) for line in self.lines if line.organ != MEAN3]


def ceilings_of(
    workspace: Workspace,
    entries: Iterable[Entry],
    *,
    say: Callable[[str], None] = lambda _: None,
    scored: Callable[[Entry], Sequence[Scored]] | None = None,
    measuring: bool = True,
) -> Ceilings:
    """Return the ceilings of the rows that `entries` are cells of, and the flagged entries.

    What is not kept yet is measured, which `say` is told; without `measuring` it is left out.
    `scored` gives the defined DSC of any cell; None reads the stored rows of those that are done.
    """
    read = scored or (lambda x: stored_scores(workspace, x) if x.state == "done" else [])
    cells = [(entry, read(entry)) for entry in entries]
    known = KnownCeilings(workspace, say, measuring)
    known.open(cells)
    beside = [known.beside(entry, scores) for entry, scores in cells]
    values: dict[RowKey, dict[tuple[str, str], Ceiling]] = defaultdict(dict)
    flagged = []
    for (entry, _), pairs in zip(cells, beside, strict=True):
        shown = [] if line_of(entry) in known.why else pairs
        values[line_of(entry)] |= {(score.case, score.organ): one for score, one in shown}
        flags = ceiling_flags(shown, _labels(entry))
        flagged.append(replace(entry, flags=(*entry.flags, *flags)))
    labels = {line_of(entry): _labels(entry) for entry, _ in cells}
    return Ceilings(
        lines=tuple(line for row, of in values.items() for line in _lines(row, of, labels[row])),
        entries=tuple(flagged),
        left_out=known.why,
    )


def set_ceilings(dataset: DataSet, ground: Ground, say: Callable[[str], None]) -> dict[str, Mean]:
    """Return target ceiling, grid ceiling and number of patients by organ over a whole data set,
    with means as a table takes them. What is not kept yet is measured, which `say` is told.

    Raises `BadInput` where a stored case is missing or damaged.
    """
    if ground.size is None:
        held = {(case.name, organ): NATIVE for case in dataset.cases for organ in case.annotated}
    else:
        measured = measured_ceilings(dataset, [x.name for x in dataset.cases], ground.size, say)
        held = {
            (name, organ): found[organ]
            for name, found in measured.items()
            for organ in dataset.organs
            if organ in found and found[organ].n_voxels_true
        }
    means = mean_lines(held, ground.labels)
    return {organ: mean for organ, mean in means.items() if organ != MEAN3}  # the report's alone


def stored_scores(workspace: Workspace, entry: Entry) -> list[Scored]:
    """Return the defined DSC of a cell from its rows."""
    return scored_in(workspace.results.rows(entry.key, entry.evaluation))


def scored_in(rows: Iterable[ResultRow]) -> list[Scored]:
    """Return the defined DSC among the rows of a cell."""
    return [
        Scored(case=x.case, organ=x.organ, value=x.value, n_voxels_true=x.n_voxels_true)
        for x in rows
        if x.metric == "dsc" and x.value == x.value
    ]


def ceiling_flags(pairs: Iterable[tuple[Scored, Ceiling]], labels: str) -> tuple[str, ...]:
    """Return a flag for each organ in which a cell, by its mean over patients, is less than half a
    point under the target ceiling, or above it: there rows have no room to differ."""
    gaps: dict[str, list[float]] = defaultdict(list)
    for score, ceiling in pairs:
        gaps[score.organ].append(ceiling.target(labels) - score.value)
    means = {organ: statistics.fmean(each) for organ, each in gaps.items()}
    return tuple(
        f"at_target: {organ} {abs(gap):.1f} points {'above' if gap < 0 else 'under'} what a "
        "perfect copy of the training target scores"
        for organ, gap in means.items()
        if gap <= AT_TARGET_POINTS
    )


def alike(found: Iterable[tuple[str, Texts]]) -> list[tuple[str, Texts]]:
    """Return the ceilings of several rows, each once: with "" where all rows have the same, else
    with " of ROW, ROW". `found` are names of rows and their ceilings, as texts."""
    rows: dict[Texts, list[str]] = {}
    for row, texts in found:
        rows.setdefault(texts, []).append(row)
    return [("" if len(rows) == 1 else f" of {', '.join(x)}", texts) for texts, x in rows.items()]


def ceiling_text(target: float, grid: float) -> str:
    """Return both ceilings as a line shows them."""
    return f"{target:.1f} and {grid:.1f}"


def ceiling_texts(line: CeilingLine | None) -> tuple[str, str]:
    """Return target and grid ceiling as a table shows them, "-" where there is none."""
    return ("-", "-") if line is None else (f"{line.target:.1f}", f"{line.grid:.1f}")


def ceiling_words(ceilings: Ceilings) -> list[str]:
    """Return what the ceilings of a table are, and why rows have none."""
    return [*([WHAT] if ceilings.lines else []), *ceilings.why_not]


def mean_lines(values: Mapping[tuple[str, str], Ceiling], labels: str) -> dict[str, Mean]:
    """Return target ceiling, grid ceiling and number of patients by organ, as a table takes means:
    over patients, then over the organs of `mean`, `headline` and `mean3`. `values` are by case and
    organ."""
    by_organ: dict[str, list[tuple[float, float]]] = defaultdict(list)
    cases: dict[str, set[str]] = defaultdict(set)
    for (case, organ), one in values.items():
        by_organ[organ].append((one.target(labels), one.area))
        cases[organ].add(case)
    mean = {organ: _mean(pairs) for organ, pairs in by_organ.items()}
    return {
        name: (*_mean([mean[x] for x in members]), len(set().union(*(cases[x] for x in members))))
        for name, members in organ_groups(list(by_organ)).items()
    }


def _mean(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    targets, grids = zip(*pairs, strict=True)
    return statistics.fmean(targets), statistics.fmean(grids)


def _lines(
    row: RowKey, values: Mapping[tuple[str, str], Ceiling], labels: str
) -> list[CeilingLine]:
    dataset, label, preset, *_ = row
    return [
        CeilingLine(
            dataset=dataset, row=label, preset=preset, organ=organ, target=target, grid=grid, n=n
        )
        for organ, (target, grid, n) in mean_lines(values, labels).items()
    ]


def _labels(entry: Entry) -> str:
    return entry.params.get("ground.labels", MAJORITY)
