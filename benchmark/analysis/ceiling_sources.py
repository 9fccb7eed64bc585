"""Where the ceilings beside a table come from: the stored sets, each opened once, or nowhere."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.analysis.tables import line_of
from benchmark.data.ceilings import Ceiling, are_kept, several_ceilings
from benchmark.data.feeding.folds import folds_of
from benchmark.data.library import DataSet, stored_dataset
from benchmark.errors import BadInput
from benchmark.plan.wording import counted
from benchmark.store.ledger import Entry

if TYPE_CHECKING:
    from benchmark.store.workspace import Workspace

NATIVE = Ceiling(majority=100.0, area=100.0, n_voxels_true=0)
Row = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A defined DSC of a cell, in percent. `n_voxels_true` is None where it is not known."""

    case: str
    organ: str
    value: float
    n_voxels_true: int | None = None


Cells = Sequence[tuple[Entry, Sequence[Scored]]]


class _LeftOut(Exception):  # noqa: N818 - no error: the reason is printed and the rest goes on
    """Why a row has no ceilings."""


class Known:
    """Data sets and ceilings, each opened once; `why` says by row what is left out, and why."""

    def __init__(self, workspace: Workspace, say: Callable[[str], None], measuring: bool) -> None:
        self.why: dict[Row, str] = {}
        self._bench, self._say, self._measuring = workspace, say, measuring
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
                    rows[place].append(line_of(entry))
            except _LeftOut as why:
                self.why[line_of(entry)] = str(why)
        for place, names in cases.items():
            try:
                self._open(*place, sorted(names))
            except _LeftOut as why:
                self.why |= dict.fromkeys(rows[place], str(why))

    def beside(self, entry: Entry, scores: Sequence[Scored]) -> list[tuple[Scored, Ceiling]]:
        """Return each score of a cell with its ceiling; none of a row that is left out."""
        if not scores or line_of(entry) in self.why:
            return []
        size = self._size(entry)
        if size is None:
            return [(score, NATIVE) for score in scores]
        pairs = []
        for score in scores:
            one = self._cases[entry.dataset, size, score.case].get(score.organ)
            if one is None or score.n_voxels_true not in (None, one.n_voxels_true):
                self.why[line_of(entry)] = _other(entry.dataset)
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
            tell(self._say, name, len(lacking), size)
            found = several_ceilings(dataset, cases, size)
        except BadInput:
            raise _LeftOut(
                f"no ceilings of {name}: a stored case is damaged or missing; look with: bench "
                f"data audit {name}"
            ) from None
        self._cases |= {(name, size, case): found[case] for case in cases}


def _other(name: str) -> str:
    return f"no ceilings of {name}: the data set in the workspace is not the one that was tested"


def tell(say: Callable[[str], None], name: str, lacking: int, size: int) -> None:
    """Tell that ceilings are measured, where any are lacking."""
    if lacking:
        cases = counted(lacking, "case")
        say(f"measuring the ceilings of {cases} of {name} on the grid of {size} pixels, once")
