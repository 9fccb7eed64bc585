"""Rows that another tool predicted: masks are checked whole, scored, and noted as cells.

Nothing is trained, and nothing is known of the tool but what a person says (`source`). A cell's key
is the hash of what was predicted, of the data set, the split, the fold and the source: the same
masks are the same cell. It stands in a suite, with its preset and in every seed of it: the masks
are one set of predictions, the same whichever of our seeds they are compared with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from benchmark.analysis.naming import split_choice
from benchmark.analysis.suites import chosen_suite
from benchmark.data.badfile import BadFile
from benchmark.data.feeding.folds import FoldData, GridCache, Split
from benchmark.data.feeding.splits import fold_at
from benchmark.data.library import DataSet
from benchmark.data.readers.predictions import Numbers, prediction_files, read_prediction
from benchmark.data.source import in_few_lines
from benchmark.data.volume import Label
from benchmark.errors import BadInput
from benchmark.files.code import Code
from benchmark.files.source import code_of
from benchmark.plan.folds import Fold
from benchmark.plan.ground import Ground
from benchmark.plan.keys import digest
from benchmark.plan.presets import preset_named
from benchmark.plan.wording import named
from benchmark.running.measure import case_scores
from benchmark.settings.registry import NAME, load_registry
from benchmark.store.ledger import SCRATCH, Entry, shown_suite
from benchmark.store.results import ResultRow, rows_of
from benchmark.store.workspace import Workspace

NET = "outside"  # what stands for a network in the identity of the scoring
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
class Place:
    """Where the row is to stand: beside which rows."""

    suite: str
    preset: str
    seeds: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A fold's cell; `state` is "imported" or "already there"."""

    entry: Entry
    state: str


def place_for(
    workspace: Workspace,
    dataset: DataSet,
    split: Split,
    *,
    suite: str | None,
    preset: str | None,
    seed: int | None,
) -> Place:
    """Return where a row of a data set and split stands: in the suite that readers take, beside its
    preset and seeds. Raises `BadInput` where these are of other folds, or of several presets."""
    known = bool(workspace.plans.suites() or workspace.ledger.newest())
    name = chosen_suite(workspace, suite).name if known or suite else SCRATCH
    plan = workspace.plans.latest(name)
    beside = [
        entry
        for entry in workspace.ledger.entries(name)
        if (entry.dataset, entry.part) == (dataset.name, "test") and not entry.outside
    ]
    if plan:
        presets, splits = {plan.preset}, {plan.splits.get(dataset.name, "")}
        seeds = plan.seeds
    else:
        presets, splits = {e.preset for e in beside}, {e.split for e in beside}
        alike = [e for e in beside if e.split == split.fingerprint and preset in (None, e.preset)]
        seeds = tuple(sorted({e.seed for e in alike}))
    shown = f"suite {shown_suite(name)}"
    if plan and dataset.name not in plan.splits:
        raise BadInput(f"{shown} has no rows on {dataset.name}: choose another with --suite")
    if splits and split.fingerprint not in splits:
        raise BadInput(
            f"{shown} has rows on {dataset.name} in other folds than these: say in which folds the "
            f"masks were predicted, --split FILE ({split_choice(sorted(splits))}: the rows' own), "
            "or predict in ours (bench export splits)"
        )
    if preset is None and len(presets) > 1:
        raise BadInput(f"{shown} has presets {', '.join(sorted(presets))}: choose with --preset")
    found = preset or next(iter(presets), "quick")
    if plan and found != plan.preset:
        raise BadInput(f"{shown} is planned with --preset {plan.preset}, not {found}")
    if plan and seed is not None and seed not in plan.seeds:
        raise BadInput(f"--seed {seed}: {shown} is planned with seeds {named(map(str, seeds), 9)}")
    return Place(suite=name, preset=found, seeds=(seed,) if seed is not None else seeds or (0,))


def import_row(
    workspace: Workspace,
    dataset: DataSet,
    split: Split,
    order: Order,
    place: Place,
    say: Callable[[str], None],
) -> list[Imported]:
    """Check all masks, then score and note them, fold by fold. Nothing is written where one of them
    is wrong, or where other masks stand under the row's name; raises `BadInput` then."""
    _check_name(order.row)
    cells = {
        number: outside_data(dataset, fold_at(split.folds, number, "test"))
        for number in order.folders
    }
    hashes = _checked(cells, order, say)
    entries = {n: _entries(data, split, order, place, hashes[n]) for n, data in cells.items()}
    _check_free(workspace, [entry for each in entries.values() for entry in each], order)
    return [
        _imported(workspace, cells[number], order, each, hashes[number])
        for number, each in entries.items()
    ]


def outside_data(dataset: DataSet, fold: Fold) -> FoldData:
    """Return a fold whose masks came from outside: nothing is put on a training grid."""
    cache = GridCache(dataset=dataset, ground=Ground())
    return FoldData(fold=fold, dataset=dataset, ground=Ground(), cache=cache)


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
    cells: Mapping[int, FoldData], order: Order, say: Callable[[str], None]
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


def _entries(
    data: FoldData, split: Split, order: Order, place: Place, hashes: Hashes
) -> list[Entry]:
    """The fold's cells, one for each seed of the place: they share their rows."""
    maps = sorted((data.dataset.case(case).sha256, found) for case, found in hashes.items())
    fold = data.fold.index
    content = [maps, data.dataset.fingerprint, split.fingerprint, fold, order.source]
    first = Entry(
        suite=place.suite,
        dataset=data.dataset.name,
        row=order.row,
        label=order.row,
        preset=place.preset,
        preset_hash=preset_named(place.preset).hash,
        overrides={},
        fold=fold,
        seed=0,
        part="test",
        key=digest({"outside": content}),
        evaluation=data.evaluation(NET),
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
        where = f"fold {there.fold} of {there.row} on {there.dataset}"
        if there.fold not in order.folders and there.outside != order.source:
            raise BadInput(
                f"{where} is of another source ({there.outside}), and a row has one: give the same "
                "--source, or another --row"
            )
    for entry in entries:
        known = workspace.ledger.stored(entry)
        if known and known.key != entry.key and known.state == "done" and not order.replaces:
            raise BadInput(
                f"fold {entry.fold} of {entry.row} on {entry.dataset} holds other masks already "
                f"({known.outside}): give --replace to put these in their place, or another --row"
            )


def _imported(
    workspace: Workspace,
    data: FoldData,
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
            rows, labels = _scored(data, order, first, hashes, workspace)
            workspace.results.commit(*place, rows, labels)
    if there and done:
        return Imported(entry=first, state="already there")
    for entry in entries:
        workspace.ledger.write(replace(entry, state="done"))
    return Imported(entry=first, state="imported")


def _scored(
    data: FoldData, order: Order, entry: Entry, hashes: Hashes, workspace: Workspace
) -> tuple[list[ResultRow], dict[str, Label]]:
    files = prediction_files(order.folders[data.fold.index])
    noted = workspace.codes.note(outside_code())
    rows: list[ResultRow] = []
    labels: dict[str, Label] = {}
    for case in data.fold.test:
        labels[case] = _read(files[case], case, data, order, [])
        if sha256(labels[case].tobytes()).hexdigest() != hashes[case]:
            raise BadInput(f"{files[case].name} changed while it was read: try again")
        scores = case_scores(data.dataset.load(case), labels[case], data)
        rows += rows_of(
            scores, key=entry.key, seed=entry.seed, fold=entry.fold, case=case, code=noted
        )
    return rows, labels
