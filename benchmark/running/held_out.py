"""Trained rows on a test set that was kept apart: another data set, which no fold of theirs has.

Each network of a row predicts all its patients, once; the scores are kept as cells of the part `on
SET`, which no table of folds reads. Every command that shows them is a look, and looks are counted
in the workspace: what steers a choice is no test any more.

looks/SET.jsonl      a line a look: when, and at which rows
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from benchmark.analysis.own import own_of
from benchmark.analysis.tables import ScoreLine, table
from benchmark.data.feeding.folds import FoldData
from benchmark.data.feeding.splits import count_of
from benchmark.data.library import DataSet
from benchmark.errors import BadInput
from benchmark.files.locks import brief_lock
from benchmark.files.mirror import mirror_of
from benchmark.running.bench import Bench
from benchmark.running.cells import Cell, scoring_code
from benchmark.running.execute import load_networks
from benchmark.running.measure import case_scores, predicted_label_map
from benchmark.running.tested import in_common, kept_data, kept_evaluation
from benchmark.store.ledger import ON, Entry
from benchmark.store.results import ResultRow, rows_of


@dataclass(frozen=True, kw_only=True)
class Apart:
    """What a set that was kept apart says of a command's rows, in the `organs` that both have;
    `all_organs`: these are all that the rows know. The scores are means over the networks of
    `folds`, of the `of_folds` that the split has. `looks` counts all that there were in this
    workspace, this one too."""

    dataset: str
    organs: tuple[str, ...]
    all_organs: bool
    folds: tuple[int, ...]
    of_folds: int
    lines: tuple[ScoreLine, ...]
    looks: int


def check_apart(dataset: DataSet, other: DataSet) -> None:
    """Raise `BadInput` where a set cannot be a test for rows that train on another one: it shares
    a patient with it, or no organ."""
    if not set(dataset.organs) & set(other.organs):
        raise BadInput(
            f"--test-on {other.name}: it has {', '.join(other.organs)}, and {dataset.name} has "
            f"{', '.join(dataset.organs)}; choose a set with an organ in common"
        )
    ours = {_image(dataset, case.name): case.name for case in dataset.cases}
    for case in other.cases:
        if known := ours.get(_image(other, case.name)):
            raise BadInput(
                f"--test-on {other.name}: its case {case.name} is case {known} of {dataset.name}, "
                "and a test set shares no patient with what is trained on; take it out of one"
            )


def scored_on(
    cells: Sequence[Cell], entries: Iterable[Entry], other: DataSet, bench: Bench
) -> Apart:
    """Score the networks of finished cells on all patients of a set, where that was not done yet;
    count the look, and return the scores."""
    done = {entry.name: entry for entry in entries if entry.state == "done"}
    found = []
    for cell in cells:
        name = cell.entry("").name
        if name in done:
            found.append(_scored(cell, done[name], other, bench))
    own = own_of(bench, found)
    lines, _ = table(found, lambda entry: own.rows(bench, entry))
    rows = list(dict.fromkeys(entry.label for entry in found))
    trained = cells[0].data.dataset.organs
    shared = tuple(organ for organ in trained if organ in other.organs)
    looks = look(bench.root, other.name, rows)
    return Apart(
        dataset=other.name,
        organs=shared,
        all_organs=shared == trained,
        folds=tuple(sorted({entry.fold for entry in found})),
        of_folds=count_of(bench.root, cells[0].data.dataset.name, cells[0].entry("").split),
        lines=tuple(lines),
        looks=looks,
    )


def look(root: Path, dataset: str, rows: Sequence[str]) -> int:
    """Note a look at a set that was kept apart; return how many there were, this one too. Raises
    `BadInput` where it cannot be noted: then there is no look."""
    path = root / "looks" / f"{dataset}.jsonl"
    line = json.dumps({"at": datetime.now(UTC).isoformat(timespec="seconds"), "rows": list(rows)})
    try:
        if mirror := mirror_of(root):  # a note a look: nobody can append to one there
            mirror.note(f"looks/{dataset}/{uuid4().hex}.json", line)
            return mirror.notes(f"looks/{dataset}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        with brief_lock(path):
            with path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
            return len(path.read_text(encoding="utf-8").splitlines())
    except OSError as error:
        why = error.strerror or str(error)
        raise BadInput(f"a look at {dataset} cannot be noted in {path} ({why})") from None


def _image(dataset: DataSet, case: str) -> str:
    return str(dataset.record(case)["files"]["image.npy"])


def _scored(cell: Cell, entry: Entry, other: DataSet, bench: Bench) -> Entry:
    """The cell's entry on the other set, with rows in the store."""
    data = kept_data(other, entry.fold, cell.data.ground)
    evaluation = kept_evaluation(data, cell.final.net, cell.data.dataset)
    apart = replace(
        entry, part=f"{ON}{other.name}", evaluation=evaluation, probes=(), flags=(), seconds=0.0
    )
    with bench.results.lock(entry.key, evaluation):
        if not bench.results.whole(entry.key, evaluation):
            rows, labels = _measured(cell, apart, data, bench)
            bench.results.commit(entry.key, evaluation, rows, labels)
    bench.ledger.write(apart)
    return apart


def _measured(
    cell: Cell, entry: Entry, data: FoldData, bench: Bench
) -> tuple[list[ResultRow], dict[str, NDArray[np.uint8]]]:
    final, trained = cell.final, cell.data.dataset
    network = load_networks(final.node, entry.key, cell.data, bench)[final.net]
    code = bench.codes.note(scoring_code(final))
    rows: list[ResultRow] = []
    labels: dict[str, NDArray[np.uint8]] = {}
    for case in data.fold.test:
        volume = data.dataset.load(case)
        found = predicted_label_map(network, volume, data, bench.hardware)
        labels[case] = _in_numbers_of(data.dataset, found, trained)
        scores = case_scores(in_common(volume, trained), labels[case], data)
        rows += rows_of(
            scores, key=entry.key, seed=entry.seed, fold=entry.fold, case=case, code=code
        )
    return rows, labels


def _in_numbers_of(other: DataSet, label: NDArray[np.uint8], trained: DataSet) -> NDArray[np.uint8]:
    """A label map of the trained organs in the other set's numbers; what that set has not is
    background there."""
    numbers = [0, *(other.organs.index(o) + 1 if o in other.organs else 0 for o in trained.organs)]
    return np.asarray(numbers, np.uint8)[label]
