"""Score stored label maps again, by the definitions of now: no training, no network, no prediction.

A cell whose evaluation has another identity now (see `FoldData.evaluation`) gets rows under the
new one, from the label maps that lie under the old one, and its line in the ledger then names the
new one. What lies under the old one stays. Killed anywhere, the same call goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.data.feeding.folds import FoldData
from benchmark.data.library import DataSet, stored_dataset
from benchmark.errors import BadInput, failure
from benchmark.files.code import Code
from benchmark.plan.wording import named
from benchmark.running.cells import CellName, Cells, scoring_code
from benchmark.running.measure import case_scores
from benchmark.running.outside import outside_code
from benchmark.running.tested import Tested, in_common
from benchmark.scoring.cases import OF_THE_CUT_ARRAY
from benchmark.settings.registry import Registry
from benchmark.settings.resolve import resolve
from benchmark.store.ledger import ON, Entry
from benchmark.store.results import ResultRow, rows_of
from benchmark.store.workspace import Workspace

State = Literal["scored again", "already current", "no label maps", "not scored"]
RUN = "bench run or bench suite makes the cell again"
OTHER_SET = "is another set now than when these masks were imported: import them again"


@dataclass(frozen=True, kw_only=True)
class Rescored:
    """What became of a cell; `why` says it where it has no scores of now."""

    entry: Entry
    state: State
    why: str = ""


def rescore(
    entries: Iterable[Entry],
    workspace: Workspace,
    registry: Registry,
    done: Callable[[Rescored], None] = lambda one: None,
) -> list[Rescored]:
    """Score again the cells that are not of the definitions of now; `done` is told of each cell."""
    cells, found = Cells(open=partial(stored_dataset, workspace.root)), []
    for entry in entries:
        one = _rescored(entry, lambda entry: _now(entry, registry, cells), workspace)
        done(one)
        found.append(one)
    return found


@dataclass(frozen=True, kw_only=True)
class Now:
    """A cell as it would be scored now: its entry, the data of whom it tests, the set on which was
    trained, and the code behind its rows."""

    entry: Entry
    data: FoldData
    trained: DataSet
    code: Code


def _now(entry: Entry, registry: Registry, cells: Cells) -> Now:
    """Return the cell of an entry as it would be run now. Raises `BadInput`."""
    dataset, split = cells.opened(entry.dataset, entry.split if entry.own_split else "")
    if entry.outside:  # its masks are all there is of it
        kept = cells.open(entry.tested_on) if entry.part.startswith(ON) else None
        tested = Tested(dataset=dataset, split=split, kept=kept)
        data = tested.data(entry.fold)
        found = replace(entry, evaluation=tested.evaluation(data), split=split.fingerprint)
        return Now(entry=found, data=data, trained=dataset, code=outside_code())
    row, _, stage = entry.row.partition("@")
    setting = resolve(registry, row, entry.preset, dict(entry.overrides))
    if stage and stage not in setting.stages:
        raise BadInput(f"the row {row} has no stage {stage}")
    cell = cells.of(
        CellName(
            setting=replace(setting, tuned=entry.tuned),
            dataset=entry.dataset,
            fold=entry.fold,
            seed=entry.seed,
            stage=stage,
            part=entry.part,
            split=entry.split if entry.own_split else "",
        )
    )
    code = scoring_code(cell.final)
    return Now(entry=cell.entry(entry.suite), data=cell.data, trained=dataset, code=code)


def _rescored(entry: Entry, now_of: Callable[[Entry], Now], workspace: Workspace) -> Rescored:
    if entry.state == "failed":
        return Rescored(entry=entry, state="no label maps", why=f"it failed: {entry.error}")
    try:
        found = now_of(entry)
        now = found.entry
    except (Exception, SystemExit) as error:  # a method of somebody's own may raise anything
        return Rescored(
            entry=entry, state="not scored", why=failure(error, entry.where, workspace.root)
        )
    if (now.key, now.split) != (entry.key, entry.split):
        why = f"its data set, values or row are others now: {RUN}"
        return Rescored(entry=entry, state="not scored", why=why)
    place = now.key, now.evaluation
    if entry.evaluation == now.evaluation and workspace.results.intact(*place):
        return Rescored(entry=entry, state="already current")
    with workspace.results.lock(*place):
        there = workspace.results.intact(*place)
        lacking = None if there else _score(entry, found, workspace)
    if lacking:
        return lacking
    again = replace(entry, evaluation=now.evaluation)
    workspace.ledger.write(again)
    return Rescored(entry=again, state="scored again")


def _score(entry: Entry, now: Now, workspace: Workspace) -> Rescored | None:
    """Write the rows of now, or return why not. The caller holds the lock."""
    evaluation, data = now.entry.evaluation, now.data
    old = _with_maps(entry, evaluation, workspace)
    if old is None:
        return Rescored(entry=entry, state="no label maps", why=f"none are stored: {RUN}")
    cases = workspace.results.label_cases(entry.key, old)
    other = Rescored(entry=entry, state="not scored", why=f"{entry.tested_on} {OTHER_SET}")
    if entry.part.startswith(ON) and {*cases} != {*data.fold.test}:
        return other
    code, before = now.code, workspace.results.code(entry.key, old)
    changed = workspace.codes.difference(before, code)
    if changed.others:
        why = f"its label maps were made by other code ({named(changed.others)} changed): {RUN}"
        return Rescored(entry=entry, state="not scored", why=why)
    # maps that other code predicted stay known as such, whatever scores them
    noted = before if changed else workspace.codes.note(code)
    rows: list[ResultRow] = []
    labels: dict[str, NDArray[np.uint8]] = {}
    try:
        for case in data.fold.test:
            labels[case] = workspace.results.labels(entry.key, old, case)
            volume = in_common(data.dataset.load(case), now.trained)
            scores = case_scores(volume, labels[case], data)
            rows += rows_of(
                scores, key=entry.key, seed=entry.seed, fold=entry.fold, case=case, code=noted
            )
    except BadInput as error:  # a file of the data set is damaged
        return Rescored(entry=entry, state="not scored", why=str(error))
    if entry.part.startswith(ON) and _truth(rows) != _truth(workspace.results.rows(entry.key, old)):
        return other
    workspace.results.whole(entry.key, evaluation)  # damaged ones are moved out of the way
    workspace.results.commit(entry.key, evaluation, rows, labels)
    return None


def _truth(rows: Iterable[ResultRow]) -> dict[tuple[str, str], int]:
    """How many voxels each organ has; of a set that was kept apart no split tells its contents."""
    return {(row.case, row.organ): row.n_voxels_true for row in rows}


def _with_maps(entry: Entry, evaluation: str, workspace: Workspace) -> str | None:
    """The older evaluation that has the label maps: the one that the ledger names, or, where a run
    was killed before it scored, the one that it came to replace."""
    for old in (entry.evaluation, evaluation.removesuffix(OF_THE_CUT_ARRAY)):
        there = (workspace.results.path(entry.key, old) / "labels.npz").is_file()
        if there and old != evaluation and workspace.results.intact(entry.key, old):
            return old
    return None
