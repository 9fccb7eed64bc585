"""The two ceilings beside a table, over the very patients that it is of, and the flag `at_target`.

A ceiling that cannot be given is left out with one sentence why: never a number of other data.
"""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from benchmark.data.ceilings import Ceiling, are_kept, several_ceilings
from benchmark.data.library import DataSet, stored_dataset
from benchmark.errors import BadInput
from benchmark.plan.ground import Ground
from benchmark.plan.wording import counted
from benchmark.reporting.tables import MEAN3, organ_groups
from benchmark.running.folds import folds_of
from benchmark.store.ledger import Entry

if TYPE_CHECKING:
    from benchmark.running.bench import Bench

AT_TARGET = "at_target"  # the name of the flag
AT_TARGET_POINTS = 0.5
WHAT = (
    "target ceiling: the DSC of a perfect copy of the training target, the labels on the training "
    "grid; grid ceiling: that of each organ's exact share of each of its pixels"
)
NATIVE = Ceiling(majority=100.0, area=100.0, n_voxels_true=0)


Row = tuple[str, ...]
Mean = tuple[float, float, int]  # target ceiling and grid ceiling in percent, number of patients


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A defined DSC of a cell, in percent. `n_voxels_true` is None where it is not known."""

    case: str
    organ: str
    value: float
    n_voxels_true: int | None = None


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
    left_out: Mapping[Row, str] = field(default_factory=dict)

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


Cells = Sequence[tuple[Entry, Sequence[Scored]]]


class _LeftOut(Exception):  # noqa: N818 - no error: the reason is printed and the rest goes on
    """Why a row has no ceilings."""


def ceilings_of(
    bench: Bench,
    entries: Iterable[Entry],
    *,
    say: Callable[[str], None] = lambda _: None,
    scored: Callable[[Entry], Sequence[Scored]] | None = None,
    measuring: bool = True,
) -> Ceilings:
    """Return the ceilings of the rows that `entries` are cells of, and the flagged entries.

    What is not kept yet is measured, which `say` is told; without `measuring` it is left out.
    `scored` gives the defined DSC of a cell; None reads its stored rows.
    """
    read = scored or (lambda entry: stored_scores(bench, entry))
    cells = [(entry, read(entry) if entry.state == "done" else []) for entry in entries]
    known = _Known(bench, say, measuring)
    known.open(cells)
    beside = [known.beside(entry, scores) for entry, scores in cells]
    values: dict[Row, dict[tuple[str, str], Ceiling]] = defaultdict(dict)
    flagged = []
    for (entry, _), pairs in zip(cells, beside, strict=True):
        shown = [] if row_of(entry) in known.why else pairs
        values[row_of(entry)] |= {(score.case, score.organ): one for score, one in shown}
        flags = ceiling_flags(shown, _labels(entry))
        flagged.append(replace(entry, flags=(*entry.flags, *flags)))
    labels = {row_of(entry): _labels(entry) for entry, _ in cells}
    return Ceilings(
        lines=tuple(line for row, of in values.items() for line in _lines(row, of, labels[row])),
        entries=tuple(flagged),
        left_out=known.why,
    )


def row_of(entry: Entry) -> Row:
    """Return what shares a line of a table; it begins with data set, label and preset."""
    return (entry.dataset, entry.label, entry.preset, entry.split, entry.part, entry.suite)


def set_ceilings(dataset: DataSet, ground: Ground, say: Callable[[str], None]) -> dict[str, Mean]:
    """Return target ceiling, grid ceiling and number of patients by organ over a whole data set,
    with means as a table takes them. What is not kept yet is measured, which `say` is told.

    Raises `BadInput` where a stored case is missing or damaged.
    """
    labels = getattr(ground, "labels", "majority")
    if ground.size is None:
        known = [(case.name, organ) for case in dataset.cases for organ in case.annotated]
        return _without_mean3(mean_lines(dict.fromkeys(known, NATIVE), labels))
    names = [case.name for case in dataset.cases]
    lacking = [name for name in names if not are_kept(dataset, name, ground.size)]
    _tell(say, dataset.name, len(lacking), ground.size)
    found = several_ceilings(dataset, names, ground.size)
    held = {
        (name, organ): found[name][organ]
        for name in names
        for organ in dataset.organs
        if organ in found[name] and found[name][organ].n_voxels_true
    }
    return _without_mean3(mean_lines(held, labels))


def _without_mean3(means: Mapping[str, Mean]) -> dict[str, Mean]:
    """`mean3` stands in the report alone."""
    return {organ: found for organ, found in means.items() if organ != MEAN3}


def _tell(say: Callable[[str], None], name: str, lacking: int, size: int) -> None:
    if lacking:
        cases = counted(lacking, "case")
        say(f"measuring the ceilings of {cases} of {name} on the grid of {size} pixels, once")


def stored_scores(bench: Bench, entry: Entry) -> list[Scored]:
    """Return the defined DSC of a cell from its rows."""
    return [
        Scored(case=x.case, organ=x.organ, value=x.value, n_voxels_true=x.n_voxels_true)
        for x in bench.results.rows(entry.key, entry.evaluation)
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


def ceiling_text(target: float, grid: float) -> str:
    """Return both ceilings as a line shows them."""
    return f"{target:.1f} and {grid:.1f}"


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


def _lines(row: Row, values: Mapping[tuple[str, str], Ceiling], labels: str) -> list[CeilingLine]:
    dataset, label, preset, *_ = row
    return [
        CeilingLine(
            dataset=dataset, row=label, preset=preset, organ=organ, target=target, grid=grid, n=n
        )
        for organ, (target, grid, n) in mean_lines(values, labels).items()
    ]


def _labels(entry: Entry) -> str:
    return entry.params.get("ground.labels", "majority")


class _Known:
    """Data sets and ceilings, each opened once; `why` says by row what is left out, and why."""

    def __init__(self, bench: Bench, say: Callable[[str], None], measuring: bool) -> None:
        self.why: dict[Row, str] = {}
        self._bench, self._say, self._measuring = bench, say, measuring
        self._sets: dict[str, tuple[DataSet, str]] = {}
        self._cases: dict[tuple[str, int, str], Mapping[str, Ceiling]] = {}

    def open(self, cells: Cells) -> None:
        """Open what the cells need, all of a data set and grid at once."""
        cases: dict[tuple[str, int], set[str]] = defaultdict(set)
        rows: dict[tuple[str, int], list[Row]] = defaultdict(list)
        for entry, scores in cells:
            try:
                if scores and (size := self._size(entry)) is not None:
                    place = self._dataset(entry).name, size
                    cases[place] |= {score.case for score in scores}
                    rows[place].append(row_of(entry))
            except _LeftOut as why:
                self.why[row_of(entry)] = str(why)
        for place, names in cases.items():
            try:
                self._open(*place, sorted(names))
            except _LeftOut as why:
                self.why |= dict.fromkeys(rows[place], str(why))

    def beside(self, entry: Entry, scores: Sequence[Scored]) -> list[tuple[Scored, Ceiling]]:
        """Return each score of a cell with its ceiling; none of a row that is left out."""
        if not scores or row_of(entry) in self.why:
            return []
        size = self._size(entry)
        if size is None:
            return [(score, NATIVE) for score in scores]
        pairs = []
        for score in scores:
            one = self._cases[entry.dataset, size, score.case].get(score.organ)
            if one is None or score.n_voxels_true not in (None, one.n_voxels_true):
                self.why[row_of(entry)] = _other(entry.dataset)
                return []
            pairs.append((score, one))
        return pairs

    def _size(self, entry: Entry) -> int | None:
        """The grid, from the cell's values; of a cell that holds none, from its training."""
        text = entry.params.get("ground.size")
        if text is None and self._bench.objects.has(entry.key):
            text = json.dumps(self._bench.objects.record(entry.key)["ground"]["size"])
        if text is None:
            raise _LeftOut(f"no ceilings of {entry.label}: its training grid is not stored")
        size: int | None = json.loads(text)
        return size

    def _dataset(self, entry: Entry) -> DataSet:
        """The stored set, where it is the one that the cell was tested on."""
        name = entry.dataset
        if name not in self._sets:
            try:
                opened = stored_dataset(self._bench.root, name)
            except BadInput:
                why = f"no ceilings of {name}: the data set is not in the workspace"
                raise _LeftOut(why) from None
            self._sets[name] = opened, folds_of(opened).fingerprint
        found, split = self._sets[name]
        if not entry.own_split and split != entry.split:
            raise _LeftOut(_other(name))
        return found

    def _open(self, name: str, size: int, cases: Sequence[str]) -> None:
        dataset, _ = self._sets[name]
        if not {case.name for case in dataset.cases}.issuperset(cases):
            raise _LeftOut(_other(name))
        try:
            lacking = [case for case in cases if not are_kept(dataset, case, size)]
            if lacking and not self._measuring:
                raise _LeftOut(f"no ceilings of {name}: they were not measured yet")
            _tell(self._say, name, len(lacking), size)
            found = several_ceilings(dataset, cases, size)
        except BadInput:
            raise _LeftOut(
                f"no ceilings of {name}: a stored case is damaged or missing; look with: bench "
                f"data audit {name}"
            ) from None
        self._cases |= {(name, size, case): found[case] for case in cases}


def _other(name: str) -> str:
    return f"no ceilings of {name}: the data set in the workspace is not the one that was tested"
