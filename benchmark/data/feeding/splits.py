"""Folds that somebody gives for a data set: nnU-Net's `splits_final.json`, or a table case,fold.

They are kept in `data/NAME/splits/FINGERPRINT.json`, so that other processes, and later commands,
find them by the fingerprint that every entry of theirs has.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.data.badfile import BadFile, read_regular
from benchmark.data.feeding.folds import Split, folds_of, subjects
from benchmark.data.library import DataSet, stored_dataset
from benchmark.data.readers.names import is_case_name, safe_names
from benchmark.errors import BadInput
from benchmark.files.atomic import commit_file, read_json, write_json
from benchmark.files.mirror import mirror_of
from benchmark.plan.folds import FOLDS, Fold, given_fingerprint, given_folds
from benchmark.plan.wording import counted, named

INNER = "inner"  # the part of a fold that tuning sees
SHORTEST = 6  # digits by which a person may name a split
MOST_BYTES = 64 * 1024**2
Parts = list[tuple[list[str], list[str]]]  # training and test cases of each fold
FORMS = "write nnU-Net's list of {train, val}, or a CSV table with the columns case and fold"


def read_split(path: Path, dataset: DataSet, say: Callable[[str], None] = lambda _: None) -> Split:
    """Return the folds in a file; the set's own split where they are the same.

    `say` is told of patients that no fold tests. Raises `BadInput` for a file of another form, a
    name that the set has not, a patient who is tested twice, or trained on and tested in one fold,
    and a fold without patients.
    """
    try:
        text = read_regular(path, MOST_BYTES).decode("utf-8-sig")
    except (BadFile, UnicodeDecodeError) as error:
        raise BadInput(f"the split {path}: {error}; {FORMS}") from None
    known = {case.name for case in dataset.cases}
    parts = _from_json(path, text) if text.lstrip()[:1] in "[{" else _from_table(path, text, known)
    called = safe_names({n for part in parts for names in part for n in names}, is_case_name)
    parts = [([called[n] for n in train], [called[n] for n in test]) for train, test in parts]
    _check(path, parts, known, dataset.name)
    tested = {name for _, test in parts for name in test}
    if untested := sorted(known - tested):
        say(
            f"{path.name}: no fold tests {named(untested, 3)} ({counted(len(untested), 'patient')})"
        )
    return _split(dataset, parts)


def _split(dataset: DataSet, parts: Parts) -> Split:
    patients = subjects(dataset)
    folds = given_folds(patients, parts)
    try:
        usual = folds_of(dataset)
        if [(f.train, f.test) for f in folds] == [(f.train, f.test) for f in usual.folds]:
            return usual
    except BadInput:  # the set is too small for folds of its own
        pass
    return Split(folds=folds, fingerprint=given_fingerprint(patients, folds), own=True)


def keep_split(dataset: DataSet, split: Split) -> None:
    """Write a given split down beside its set, once; the set's own needs no file."""
    path = _path(dataset, split.fingerprint)
    if split.own and not path.exists():
        root = dataset.folder.parent.parent
        with commit_file(path, keeper=mirror_of(root)) as temporary:
            write_json(temporary, {"folds": for_nnunet(split.folds)})


def split_of(dataset: DataSet, fingerprint: str = "") -> Split:
    """Return a split of a set: its own ("" or by fingerprint), or one that was kept. Raises
    `BadInput` where the set has no such split, or not any more."""
    if not fingerprint:
        return folds_of(dataset)
    path = _path(dataset, fingerprint)
    try:
        found = _split(dataset, [(f["train"], f["val"]) for f in read_json(path)["folds"]])
    except FileNotFoundError:
        found = folds_of(dataset)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} is damaged ({error}): give the file again with --split") from None
    if found.fingerprint != fingerprint:
        raise BadInput(
            f"data set {dataset.name} has no split {fingerprint[:8]} (its cases changed, or the "
            "split was never kept): give its file again with --split"
        )
    return found


def count_of(root: Path, dataset: str, fingerprint: str) -> int:
    """Return how many folds a split of a data set in a workspace has; the usual number where the
    set or the split is not there any more."""
    try:
        return len(split_of(stored_dataset(root, dataset), fingerprint).folds)
    except BadInput:
        return FOLDS


def fold_at(known: tuple[Fold, ...], index: int, part: str) -> Fold:
    """Return a fold, for `part` "inner" the one within its training patients. Raises `BadInput`."""
    if not 0 <= index < len(known):
        raise BadInput(f"fold {index} is not there: the folds are 0 to {len(known) - 1}")
    if part != INNER:
        return known[index]
    if not (inner := known[index].inner()).train:
        raise BadInput(f"fold {index} has too few patients for tuning: it needs three at least")
    return inner


def splits_of(dataset: DataSet) -> list[str]:
    """Return the fingerprints of a set's own split, where it has one, and of those kept for it."""
    kept = [path.stem for path in sorted((dataset.folder / "splits").glob("*.json"))]
    try:
        return [folds_of(dataset).fingerprint, *kept]
    except BadInput:  # too small for folds of its own
        return kept


def is_kept(dataset: DataSet, fingerprint: str) -> bool:
    """Return whether a split that somebody gave is kept under a fingerprint."""
    return bool(fingerprint) and _path(dataset, fingerprint).is_file()


def known_like(dataset: DataSet, text: str) -> str:
    """Return the fingerprint of the one split, the set's own or a kept one, that begins with a text
    of six digits or more; "" where none or several do."""
    known = splits_of(dataset) if len(text) >= SHORTEST else []
    fitting = {one for one in known if one.startswith(text)}
    return next(iter(fitting)) if len(fitting) == 1 else ""


def for_nnunet(folds: Sequence[Fold]) -> list[dict[str, list[str]]]:
    """Return folds as nnU-Net's `splits_final.json` has them: `val` are the test patients, whom
    nnU-Net predicts by a network that never saw them."""
    return [{"train": list(fold.train), "val": list(fold.test)} for fold in folds]


def _path(dataset: DataSet, fingerprint: str) -> Path:
    return dataset.folder / "splits" / f"{fingerprint}.json"


def _from_json(path: Path, text: str) -> Parts:
    try:
        found: Any = json.loads(text)
        if not isinstance(found, list) or not found:
            raise ValueError("it is not a list of folds")
        return [(_names(fold, "train"), _names(fold, "val")) for fold in found]
    except (ValueError, RecursionError) as error:
        raise BadInput(f"the split {path} cannot be used ({error}): {FORMS}") from None


def _names(fold: Any, part: str) -> list[str]:
    names = fold.get(part) if isinstance(fold, Mapping) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"a fold has no list {part!r} of cases")
    return names


def _from_table(path: Path, text: str, known: set[str]) -> Parts:
    """The folds of a table: each patient is trained on in all folds but the one that tests him;
    who has no fold is trained on in all."""
    dialect = "\t" if "\t" in text.partition("\n")[0] else ","
    table = csv.DictReader(io.StringIO(text), delimiter=dialect)
    heads = [str(head).strip() for head in table.fieldnames or ()]
    if not {"case", "fold"} <= {*heads}:
        raise BadInput(f"the split {path} has the columns {', '.join(heads)}: {FORMS}")
    table.fieldnames = heads
    pairs = [((row["case"] or "").strip(), (row["fold"] or "").strip()) for row in table]
    if bad := next(((case, fold) for case, fold in pairs if fold and not fold.isdecimal()), None):
        raise BadInput(
            f"the split {path}: case {bad[0]!r} is in fold {bad[1]!r}, not 0, 1, ... (nor empty: "
            "only trained on)"
        )
    numbers = sorted({int(fold) for _, fold in pairs if fold})
    if not numbers or numbers != list(range(len(numbers))):
        raise BadInput(f"the split {path} has folds {numbers}: number them 0, 1, 2, ...")
    if twice := [case for case, count in Counter(case for case, _ in pairs).items() if count > 1]:
        raise BadInput(
            f"the split {path}: case {twice[0]} is there twice; a patient is tested once"
        )
    tests = [[case for case, fold in pairs if fold and int(fold) == n] for n in numbers]
    named_here = [case for case, _ in pairs]
    return [([case for case in named_here if case not in test], test) for test in tests]


def _check(path: Path, parts: Parts, known: set[str], dataset: str) -> None:
    told = Counter(name for _, test in parts for name in test)
    strange = sorted({name for part in parts for names in part for name in names} - known)
    if strange:
        raise BadInput(
            f"the split {path} names {named(strange, 3)}, which data set {dataset} has not: its "
            f"cases are {named(sorted(known), 3)}"
        )
    if twice := sorted(name for name, count in told.items() if count > 1):
        raise BadInput(f"the split {path} tests {named(twice, 3)} twice: a patient is tested once")
    for number, (train, test) in enumerate(parts):
        if both := sorted({*train} & {*test}):
            what = f"trains on {named(both, 3)} and tests the same: leave them out of one"
            raise BadInput(f"the split {path}: fold {number} {what}")
        if not train or not test:
            what = "test patients"
            if not train:
                what = "training patients (in a table a case with an empty fold is trained on)"
            raise BadInput(f"the split {path}: fold {number} has no {what}")
