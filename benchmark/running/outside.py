"""Rows that another tool predicted: masks are checked whole, scored, and noted as cells.

Nothing is trained, and nothing is known of the tool but what a person says (`source`). A cell's key
is the hash of what was predicted, of the data set, the split, the fold and the source, and of the
set that was kept apart where its patients were predicted: the same masks are the same cell. It
stands in a suite, with its preset and in every seed of it: the masks are one set of predictions,
the same whichever of our seeds they are compared with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from benchmark.data.badfile import BadFile
from benchmark.data.feeding.folds import FoldData
from benchmark.data.readers.predictions import Numbers, prediction_files, read_prediction
from benchmark.data.source import in_few_lines
from benchmark.data.volume import Label
from benchmark.errors import BadInput
from benchmark.files.code import Code
from benchmark.files.source import code_of
from benchmark.plan.keys import digest
from benchmark.plan.presets import preset_named
from benchmark.plan.wording import named
from benchmark.running.measure import case_scores
from benchmark.running.places import Place
from benchmark.running.tested import Tested, in_common
from benchmark.settings.registry import NAME, load_registry
from benchmark.store.ledger import Entry
from benchmark.store.results import ResultRow, rows_of
from benchmark.store.workspace import Workspace

SHOWN = 12  # faults that are listed
Hashes = Mapping[str, str]  # of each case's label map


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be imported: the row's name, where its masks of each fold lie, what their numbers
    mean and what made them; `replaces` lets them take the place of others."""

    row: str
    folders: Mapping[int, Path]
    numbers: Numbers
    source: str
    replaces: bool = False


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A fold's cell; `state` is "imported" or "already there"."""

    entry: Entry
    state: str


def import_row(
    workspace: Workspace, tested: Tested, order: Order, place: Place, say: Callable[[str], None]
) -> list[Imported]:
    """Check all masks, then score and note them, fold by fold. Nothing is written where one of them
    is wrong, or where other masks stand under the row's name; raises `BadInput` then."""
    _check_name(order.row)
    cells = {number: tested.data(number) for number in order.folders}
    hashes = _checked(cells, tested, order, say)
    entries = {n: _entries(data, tested, order, place, hashes[n]) for n, data in cells.items()}
    _check_free(workspace, [entry for each in entries.values() for entry in each], order)
    return [
        _imported(workspace, cells[number], tested, order, each, hashes[number])
        for number, each in entries.items()
    ]


def outside_code() -> Code:
    """Return the code behind the rows of masks that came from outside."""
    return code_of((), (case_scores,))


def _check_name(row: str) -> None:
    if not re.fullmatch(NAME, row):
        raise BadInput(f"--row {row!r}: a row's name has letters, digits, '.', '_', '-'")
    registry = load_registry()
    if row in registry.rows or row in registry.refused:
        raise BadInput(f"--row {row}: that is the name of a row which bench trains; give another")


def _checked(
    cells: Mapping[int, FoldData], tested: Tested, order: Order, say: Callable[[str], None]
) -> dict[int, dict[str, str]]:
    """The hash of every label map by fold and case. Raises `BadInput` with all that is wrong."""
    bad: list[tuple[str, str]] = []
    odd: list[tuple[str, str]] = []
    hashes: dict[int, dict[str, str]] = {}
    for number, data in cells.items():
        files = prediction_files(order.folders[number])
        bad += list(_misplaced(files, data))
        hashes[number] = {}
        for case in (case for case in data.fold.test if case in files):
            said: list[str] = []
            try:
                label = _read(files[case], case, data, order, said)
                hashes[number][case] = sha256(label.tobytes()).hexdigest()
                said += _not_scored(files[case], label, data, tested)
            except BadFile as error:
                bad.append((case, f"fold {number}: {error}"))
            odd += [(case, line) for line in said]
    if bad:
        lines = in_few_lines(bad, sum(len(data.fold.test) for data in cells.values()))
        more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
        raise BadInput("\n".join([*lines[:SHOWN], *more, "nothing was imported: put it right"]))
    for line in in_few_lines(odd, sum(len(data.fold.test) for data in cells.values())):
        say(line)
    return hashes


def _misplaced(files: Mapping[str, Path], data: FoldData) -> Iterator[tuple[str, str]]:
    """What is wrong with the names of a fold's masks."""
    fold, known = data.fold, {case.name for case in data.dataset.cases}
    for case in sorted(files.keys() - {*fold.test}):
        where = f"fold {fold.index}: {files[case].name} is"
        if case in fold.train:
            what = "of a training patient of this fold: only its test patients may lie there"
        elif case in known:
            what = f"of a patient whom this fold does not test: it tests {named(fold.test, 3)}"
        else:
            what = f"of no case of {data.dataset.name}; it has {named(sorted(known), 3)}"
        yield case, f"{where} {what}"
    for case in sorted({*fold.test} - files.keys()):
        yield case, f"fold {fold.index}: there is no mask of this test patient: predict it, too"


def _read(path: Path, case: str, data: FoldData, order: Order, said: list[str]) -> Label:
    geometry = data.dataset.case(case).geometry
    return read_prediction(path, geometry, order.numbers, data.dataset.organs, said)


def _not_scored(path: Path, label: Label, data: FoldData, tested: Tested) -> list[str]:
    """What is odd: an organ that the set which was trained on does not have."""
    strange = [
        organ
        for number, organ in enumerate(data.dataset.organs, start=1)
        if organ not in tested.dataset.organs and (label == number).any()
    ]
    what = f"which {tested.dataset.name} does not have: not scored"
    return [f"{path.name}: it holds {', '.join(strange)}, {what}"] if strange else []


def _entries(
    data: FoldData, tested: Tested, order: Order, place: Place, hashes: Hashes
) -> list[Entry]:
    """The fold's cells, one for each seed of the place: they share their rows."""
    dataset, split = tested.dataset, tested.split
    maps = sorted((data.dataset.case(case).sha256, found) for case, found in hashes.items())
    fold = data.fold.index
    content = [maps, dataset.fingerprint, split.fingerprint, fold, order.source]
    apart = {"on": tested.kept.fingerprint} if tested.kept else {}
    first = Entry(
        suite=place.suite,
        dataset=dataset.name,
        row=order.row,
        label=order.row,
        preset=place.preset,
        preset_hash=preset_named(place.preset).hash,
        overrides={},
        fold=fold,
        seed=0,
        part=tested.part,
        key=digest({"outside": content, **apart}),
        evaluation=tested.evaluation(data),
        split=split.fingerprint,
        own_split=split.own,
        nodes=(),
        outside=order.source,
    )
    return [replace(first, seed=seed) for seed in place.seeds]


def _check_free(workspace: Workspace, entries: Sequence[Entry], order: Order) -> None:
    """Raise `BadInput` where other masks stand under the name, unless they are to be replaced, and
    where other folds of it are of another source: a row has one."""
    first = entries[0]
    place = first.dataset, first.label, first.preset, first.split
    for there in workspace.ledger.entries(first.suite):
        if (there.dataset, there.label, there.preset, there.split) != place:
            continue
        where = f"fold {there.fold} of {there.row} on {there.tested_on}"
        ours = there.part == first.part and there.fold in order.folders
        if not ours and there.outside != order.source:
            raise BadInput(
                f"{where} is of another source ({there.outside}), and a row has one: give the same "
                "--source, or another --row"
            )
    for entry in entries:
        known = workspace.ledger.stored(entry)
        if known and known.key != entry.key and known.state == "done" and not order.replaces:
            raise BadInput(
                f"fold {entry.fold} of {entry.row} on {entry.tested_on} holds other masks already "
                f"({known.outside}): give --replace to put these in their place, or another --row"
            )


def _imported(
    workspace: Workspace,
    data: FoldData,
    tested: Tested,
    order: Order,
    entries: Sequence[Entry],
    hashes: Hashes,
) -> Imported:
    first = entries[0]
    place = first.key, first.evaluation
    stored = [workspace.ledger.stored(entry) for entry in entries]
    done = all(found and found.key == first.key and found.state == "done" for found in stored)
    with workspace.results.lock(*place):
        there = workspace.results.whole(*place)
        if not there:
            rows, labels = _scored(data, tested, order, first, hashes, workspace)
            workspace.results.commit(*place, rows, labels)
    if there and done:
        return Imported(entry=first, state="already there")
    for entry in entries:
        workspace.ledger.write(replace(entry, state="done"))
    return Imported(entry=first, state="imported")


def _scored(
    data: FoldData,
    tested: Tested,
    order: Order,
    entry: Entry,
    hashes: Hashes,
    workspace: Workspace,
) -> tuple[list[ResultRow], dict[str, Label]]:
    files = prediction_files(order.folders[data.fold.index])
    noted = workspace.codes.note(outside_code())
    rows: list[ResultRow] = []
    labels: dict[str, Label] = {}
    for case in data.fold.test:
        labels[case] = _read(files[case], case, data, order, [])
        if sha256(labels[case].tobytes()).hexdigest() != hashes[case]:
            raise BadInput(f"{files[case].name} changed while it was read: try again")
        volume = in_common(data.dataset.load(case), tested.dataset)
        scores = case_scores(volume, labels[case], data)
        rows += rows_of(
            scores, key=entry.key, seed=entry.seed, fold=entry.fold, case=case, code=noted
        )
    return rows, labels
