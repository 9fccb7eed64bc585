"""Where the ceilings and references beside a table come from: the stored sets, each opened once, or
nowhere."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmark.analysis.tables import line_of
from benchmark.data.ceilings import Ceiling, are_kept, several_ceilings
from benchmark.data.feeding.folds import Split, folds_of
from benchmark.data.feeding.splits import is_kept, split_of
from benchmark.data.library import DataSet, stored_dataset
from benchmark.data.references import Reference, fold_references, not_kept
from benchmark.errors import BadInput
from benchmark.plan.folds import Fold
from benchmark.plan.wording import counted
from benchmark.store.ledger import Entry

if TYPE_CHECKING:
    from benchmark.store.workspace import Workspace

NATIVE = Ceiling(majority=100.0, area=100.0, n_voxels_true=0)
RowKey = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A defined DSC of a cell, in percent. `n_voxels_true` is None where it is not known."""

    case: str
    organ: str
    value: float
    n_voxels_true: int | None = None


Cells = Sequence[tuple[Entry, Sequence[Scored]]]
Place = tuple[str, int | None, int, str]  # data set, grid, fold, split
BLIND = "mean shape and constant predictor"
NOT_THERE = "the data set is not in the workspace"
OTHER = "the data set in the workspace is not the one that was tested"
NOT_YET = "they were not measured yet"


class _LeftOut(Exception):  # noqa: N818 - no error: the reason is printed and the rest goes on
    """Why a row has no ceilings, or no references."""


class KnownCeilings:
    """Data sets and what is known of them, each opened once. `why` says by row why it has no
    ceilings, `why_blind` why it has none of what predictions score that never look at the CT."""

    def __init__(self, workspace: Workspace, say: Callable[[str], None], measuring: bool) -> None:
        self.why: dict[RowKey, str] = {}
        self.why_blind: dict[RowKey, str] = {}
        self._bench, self._say, self._measuring = workspace, say, measuring
        self._sets: dict[str, tuple[DataSet, Split]] = {}
        self._cases: dict[tuple[str, int, str], Mapping[str, Ceiling]] = {}
        self._blind: dict[tuple[Place, str], Mapping[str, Reference]] = {}
        self._merged: dict[tuple[Place, str, str], Ceiling] = {}

    def open(self, cells: Cells) -> None:
        """Open what the cells need, all of a data set and grid at once."""
        cases: dict[tuple[str, int], set[str]] = defaultdict(set)
        rows: dict[tuple[str, int], list[RowKey]] = defaultdict(list)
        for entry, scores in cells:
            try:
                if scores and (size := self._size(entry)) is not None:
                    place = self._dataset(entry).name, size
                    cases[place] |= {score.case for score in scores}
                    rows[place].append(line_of(entry))
            except _LeftOut as why:
                self.why[line_of(entry)] = f"no ceilings of {why}"
        for place, names in cases.items():
            try:
                self._open(*place, sorted(names))
            except _LeftOut as why:
                self.why |= dict.fromkeys(rows[place], f"no ceilings of {why}")
        self._open_all_blind(cells)

    def beside(self, entry: Entry, scores: Sequence[Scored]) -> list[tuple[Scored, Ceiling]]:
        """Return each score of a cell with its ceiling; none of a row that is left out."""
        if not scores or line_of(entry) in self.why:
            return []
        size = self._size(entry)
        place = entry.dataset, size, entry.fold, entry.split
        blind = line_of(entry) not in self.why_blind
        pairs = []
        for score in scores:
            one = self._ceiling(entry.dataset, size, score)
            if one is None:
                self.why[line_of(entry)] = f"no ceilings of {entry.dataset}: {OTHER}"
                return []
            pairs.append((score, self._with_blind(one, place, score) if blind else one))
        return pairs

    def _ceiling(self, name: str, size: int | None, score: Scored) -> Ceiling | None:
        """The ceiling of a score; None where the truth has other voxels than what was tested."""
        if size is None:
            return NATIVE
        one = self._cases[name, size, score.case].get(score.organ)
        known = one and score.n_voxels_true in (None, one.n_voxels_true)
        return one if known else None

    def _with_blind(self, one: Ceiling, place: Place, score: Scored) -> Ceiling:
        """The ceiling with its case's references, where those are known; each made once."""
        where = place, score.case, score.organ
        if where not in self._merged:
            known = self._blind.get((place, score.case), {}).get(score.organ)
            self._merged[where] = (
                replace(one, mean_shape=known.mean_shape, constant=known.constant) if known else one
            )
        return self._merged[where]

    def _size(self, entry: Entry) -> int | None:
        """The grid, from the cell's values; of a cell that holds none, from its training."""
        text = entry.params.get("ground.size")
        if text is None and self._bench.objects.has(entry.key):
            text = json.dumps(self._bench.objects.record(entry.key)["ground"]["size"])
        if text is None:
            why = (
                "another tool predicted it" if entry.outside else "its training grid is not stored"
            )
            raise _LeftOut(f"{entry.label}: {why}")
        size: int | None = json.loads(text)
        return size

    def _dataset(self, entry: Entry) -> DataSet:
        """The stored set, where it is the one that the cell was tested on."""
        name = entry.dataset
        if name not in self._sets:
            try:
                opened = stored_dataset(self._bench.root, name)
            except BadInput:
                raise _LeftOut(f"{name}: {NOT_THERE}") from None
            self._sets[name] = opened, folds_of(opened)
        found, split = self._sets[name]
        if not entry.own_split and split.fingerprint != entry.split:
            raise _LeftOut(f"{name}: {OTHER}")
        return found

    def _open(self, name: str, size: int, cases: Sequence[str]) -> None:
        dataset, _ = self._sets[name]
        if not {case.name for case in dataset.cases}.issuperset(cases):
            raise _LeftOut(f"{name}: {OTHER}")
        try:
            if not self._measuring and not all(are_kept(dataset, case, size) for case in cases):
                raise _LeftOut(f"{name}: {NOT_YET}")
            found = measured_ceilings(dataset, cases, size, self._say)
        except BadInput:
            raise _LeftOut(_damaged(name)) from None
        self._cases |= {(name, size, case): found[case] for case in cases}

    def _open_all_blind(self, cells: Cells) -> None:
        """Open the references of rows that have ceilings, all of a data set, grid and fold at
        once."""
        cases: dict[Place, set[str]] = defaultdict(set)
        rows: dict[Place, list[RowKey]] = defaultdict(list)
        for entry, scores in cells:
            if not scores or line_of(entry) in self.why:
                continue
            try:
                place = self._blind_place(entry)
                cases[place] |= {score.case for score in scores}
                rows[place].append(line_of(entry))
            except _LeftOut as why:
                self.why_blind[line_of(entry)] = f"no {BLIND} of {why}"
        for place, names in cases.items():
            try:
                self._open_blind(place, sorted(names))
            except _LeftOut as why:
                self.why_blind |= dict.fromkeys(rows[place], f"no {BLIND} of {why}")

    def _blind_place(self, entry: Entry) -> Place:
        """Where the references of a cell come from."""
        if entry.part != "test":  # a patient may be validated in several folds
            raise _LeftOut("inner validation patients: they are of test patients alone")
        dataset, size = self._dataset(entry), self._size(entry)
        if entry.own_split and not is_kept(dataset, entry.split):
            raise _LeftOut(f"{entry.dataset}: the training patients of this split are not stored")
        return dataset.name, size, entry.fold, entry.split

    def _open_blind(self, place: Place, cases: Sequence[str]) -> None:
        name, size, index, split = place
        dataset, _ = self._sets[name]
        fold = split_of(dataset, split).folds[index]
        if not set(fold.test).issuperset(cases):
            raise _LeftOut(f"{name}: {OTHER}")
        try:
            if not self._measuring and not_kept(dataset, fold, cases, size):
                raise _LeftOut(f"{name}: {NOT_YET}")
            found = measured_references(dataset, fold, cases, size, self._say)
        except BadInput:
            raise _LeftOut(_damaged(name)) from None
        self._blind |= {(place, case): found[case] for case in cases}


def _damaged(name: str) -> str:
    return f"{name}: a stored case is damaged or missing; look with: bench data audit {name}"


def measured_ceilings(
    dataset: DataSet, cases: Sequence[str], size: int, say: Callable[[str], None]
) -> Mapping[str, Mapping[str, Ceiling]]:
    """Return the ceilings by case and organ. What is not kept yet is measured, which `say` is
    told. Raises `BadInput` where a stored case is missing or damaged."""
    if lacking := sum(not are_kept(dataset, case, size) for case in cases):
        where = f"{counted(lacking, 'case')} of {dataset.name} on the grid of {size} pixels"
        say(f"measuring the ceilings of {where}, once")
    return several_ceilings(dataset, cases, size)


def measured_references(
    dataset: DataSet, fold: Fold, cases: Sequence[str], size: int | None, say: Callable[[str], None]
) -> Mapping[str, Mapping[str, Reference]]:
    """Return the references of a fold's test cases by case and organ. What is not kept yet is
    measured, which `say` is told. Raises `BadInput` where a stored case is missing or damaged."""
    if lacking := not_kept(dataset, fold, cases, size):
        where = f"{counted(lacking, 'case')} of {dataset.name}, fold {fold.index}"
        say(f"measuring {BLIND} of {where}, once")
    return fold_references(dataset, fold, cases, size)
