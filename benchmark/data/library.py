"""The data sets of a workspace: `ROOT/data/NAME/{dataset.json, cases/CASE/...}`.

A set appears whole, by one rename, or not at all. It holds no absolute path and nothing of a
source's header but the geometry, so that a workspace can be moved and shared. `dataset.json`
holds the checksum of every `case.json`, which holds those of its two arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.embedded import check_not_ours, embedded, load_embedded, refused_names
from benchmark.data.intake import take_in
from benchmark.data.judging.checks import NAME, check_name
from benchmark.data.source import OTHER_READERS, READERS, Source, refusal
from benchmark.data.volume import Case, Label, Volume, slices_of
from benchmark.errors import BadInput, near
from benchmark.files.arrays import load_array
from benchmark.files.atomic import commit_folder, read_json, sha256_file, write_json
from benchmark.files.locks import brief_lock
from benchmark.files.mirror import is_here, mirror_of, names_in
from benchmark.files.values import read_as
from benchmark.plan.folds import FOLDS
from benchmark.plan.keys import content_hash

FORMAT = 1
FORMAT_UNKNOWN = 2  # of a set with unknown voxels, which earlier versions would take for background
UNKNOWN = "unknown.npy"
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A stored set; `origin` says what it was made from (never an absolute path)."""

    name: str
    organs: tuple[str, ...]
    cases: tuple[Case, ...]
    folder: Path
    origin: Mapping[str, Any]

    @property
    def fingerprint(self) -> str:
        """The hash of the organs and of all cases' contents, whatever their names and order."""
        return content_hash([list(self.organs), sorted(case.sha256 for case in self.cases)])

    def case(self, name: str) -> Case:
        """Returns the case of that name; raises BadInput with the known ones."""
        known = {case.name: case for case in self.cases}
        if name not in known:
            raise BadInput(
                f"data set {self.name!r} has no case {name!r}; it has {', '.join(known)}"
            )
        return known[name]

    def derived_key(self, case: str, made_by: Mapping[str, Any]) -> str:
        """Returns the key, 40 hexadecimal digits, of what is made from a case's content and the
        organs by `made_by`: whoever writes it under its key writes the same."""
        known = self.case(case)
        made_from = [known.sha256, known.box, self.record(case)["files"], list(self.organs)]
        return content_hash([made_from, made_by])[:40]

    def record(self, case: str) -> dict[str, Any]:
        """Returns `case.json` as plain values: `checks`, `forced`, `files`, `source_sha256`...
        Raises BadInput for an unknown case and for a file that cannot be read."""
        path = self.folder / "cases" / self.case(case).name / "case.json"
        try:
            return dict(read_json(path))
        except (OSError, ValueError) as error:
            raise _damaged(self.folder, path, error, self.origin) from None

    def load(self, case: str) -> Volume:
        """Returns the volume. Raises BadInput when a stored file is missing or was changed."""
        known, record = self.case(case), self.record(case)
        return Volume(
            case=case,
            image=self._array(case, "image.npy", record),
            label=self._array(case, "label.npy", record),
            annotated=known.annotated,
            geometry=known.geometry,
            source=known.source,
            source_sha256=record["source_sha256"],
            box=known.box,
            read_by=record.get("read_by", ""),
            unknown=self._array(case, UNKNOWN, record) if UNKNOWN in record["files"] else None,
        )

    def label(self, case: str) -> Label:
        """Returns the label map alone, cut to its crop box. Raises BadInput like `load`."""
        array: Label = self._array(case, "label.npy", self.record(case))
        return array[slices_of(self.case(case).box)]

    def unknown(self, case: str) -> NDArray[np.bool_] | None:
        """Returns the unknown voxels, cut to the crop box, None for none. Raises like `load`."""
        record = self.record(case)
        if UNKNOWN not in record["files"]:
            return None
        whole: NDArray[np.bool_] = self._array(case, UNKNOWN, record)
        return whole[slices_of(self.case(case).box)]

    def _array(self, case: str, name: str, record: Mapping[str, Any]) -> Any:
        path = self.folder / "cases" / case / name
        try:
            if sha256_file(path) != record["files"][name]:
                raise ValueError("its checksum differs")
            return load_array(path)
        except (OSError, ValueError, KeyError) as error:
            raise _damaged(self.folder, path, error, self.origin) from None


def add(
    root: Path,
    name: str,
    source: Source,
    *,
    skip_bad: bool = False,
    force: Collection[str] = (),
    command: str = "",
    workers: int = 1,
    folds: int = 0,
    say: Say = lambda _: None,
) -> DataSet:
    """Store a source under a name and return the set; `say` gets warnings as single lines.

    A set of that name from the same source is returned as it is. Bad cases are all listed in one
    BadInput and nothing is added; `skip_bad` leaves them out instead; for the cases in `force`
    what a person judged is recorded, not refused. `command` is what adds the set again, for the
    message when it is found damaged. `workers` processes read a reader's cases. `folds` is the
    number of folds, 0 the usual one. Raises BadInput too for more folds than cases, another set
    under the same name, an unknown case in `force`, and a workspace that cannot be written.
    """
    check_name(name)
    if command:
        check_not_ours(name)
    final = root / "data" / name
    try:
        with brief_lock(final):
            if not _is_here(root, name):
                with commit_folder(final, keeper=mirror_of(root)) as folder:
                    given = command, workers, folds
                    _write(folder, source, skip_bad, frozenset(force), given, say)
                return _open(final)
    except FileExistsError:  # another machine was faster
        _is_here(root, name)
    except OSError as error:
        if not final.is_dir():  # else another process was faster
            what = f"cannot write in the workspace {root}: {error.strerror or error}"
            raise BadInput(f"{what}; choose another with --root") from None
    return _same(final, source, frozenset(force), folds, say)


def open_dataset(root: Path, name: str, *, say: Say = lambda _: None) -> DataSet:
    """Return a set of the workspace, else make it from the entry point of that name.

    `say` gets one line when an embedded set is written for the first time, and a warning when a
    stored one is not what its package makes now. Raises BadInput with the known names for an
    unknown one, and for a set that is damaged.
    """
    point = embedded().get(name)
    if name in refused_names():
        say(f"warning: {refused_names()[name]}")
    if _is_here(root, name):
        stored = _open(root / "data" / name)
        if point and not stored.origin.get("command"):  # written from the entry point
            _warn_if_outdated(stored, point, say)
        return stored
    if point is None:
        known = known_names(root)
        there = f"{near(name, known)}known: {', '.join(known) or 'none'}"
        raise BadInput(f"no data set {name!r}; {there}. See 'bench data add folder PATH'")
    source = load_embedded(point)
    say(f"the embedded data set {name!r} is written to the workspace, once")
    return add(root, name, source, say=say)


def stored_dataset(root: Path, name: str) -> DataSet:
    """Return a set that lies in the workspace; writes nothing. Raises BadInput where it is not
    there, and where it is damaged."""
    if not _is_here(root, name):
        raise BadInput(f"the data set {name!r} is not in the workspace: bench data add")
    return _open(root / "data" / name)


def _warn_if_outdated(stored: DataSet, point: EntryPoint, say: Say) -> None:
    with suppress(BadInput):  # its package is broken or gone: the stored set is still good
        if load_embedded(point).fingerprint != stored.origin.get("fingerprint"):
            again = f"to renew it, remove {stored.folder} and give the same command again"
            say(f"warning: data set {stored.name!r} was made by another recipe; {again}")


def list_datasets(root: Path, *, say: Say = lambda _: None) -> list[DataSet]:
    """Return the sets of the workspace by name; `say` gets a line for each damaged one."""
    sets = []
    for name in _stored_names(root):
        try:
            _is_here(root, name)
            sets.append(_open(root / "data" / name))
        except BadInput as error:
            say(str(error))
    return sets


def known_names(root: Path) -> list[str]:
    """Return the names of all sets that `open_dataset` finds, sorted; loads none."""
    return sorted({*_stored_names(root), *embedded()})


def _write(
    folder: Path,
    source: Source,
    skip_bad: bool,
    force: frozenset[str],
    given: tuple[str, int, int],
    say: Say,
) -> None:
    """Fill `folder` with all good cases of the source; raises BadInput as `add` says."""
    command, workers, folds = given
    stamp = getattr(source, "stamp", "")  # before: what changes meanwhile is noticed next time
    found = take_in(folder, source, force, workers)
    if (found.bad and not skip_bad) or not found.cases:
        raise BadInput(refusal(found.bad, len(found.cases) + len(found.bad), found.forcible))
    if folds > len(found.cases):
        raise BadInput(
            f"--folds {folds}: there are {len(found.cases)} good cases; give fewer folds"
        )
    for line in [*found.warnings, *found.left_out()]:
        say(line)
    origin = dict(getattr(source, "origin", {}), command=command, skipped=found.bad, stamp=stamp)
    origin |= {"fingerprint": source.fingerprint, "warnings": found.warnings}
    some = any((folder / "cases" / case / UNKNOWN).exists() for case in found.cases)
    form = FORMAT_UNKNOWN if some else FORMAT
    values = {"format": form, "organs": list(source.organs), "cases": found.cases}
    origin |= {"folds": folds} if folds else {}  # see `fold_count`
    write_json(folder / "dataset.json", values | {"origin": origin | {"readers": READERS}})


def _open(folder: Path) -> DataSet:
    """Return the stored set in `folder`; raises BadInput naming the file that is damaged."""
    path, origin = folder / "dataset.json", {}
    try:
        values = read_json(path)
        origin = dict(values["origin"])
        if values["format"] not in (FORMAT, FORMAT_UNKNOWN):
            raise ValueError(f"format {values['format']} is not known: is it of a newer bench?")
        cases = []
        for name, checksum in sorted(values["cases"].items()):
            path = folder / "cases" / name / "case.json"
            if sha256_file(path) != checksum:
                raise ValueError("its checksum differs")
            cases.append(read_as(Case, {**read_json(path), "name": name}, more=True))
        organs, name = tuple(values["organs"]), folder.name
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(folder, path, error, origin) from None
    return DataSet(name=name, organs=organs, cases=tuple(cases), folder=folder, origin=origin)


def fold_count(dataset: DataSet) -> int:
    """Return a set's own number of folds: as asked for, else five, or one a patient if fewer."""
    return int(dataset.origin.get("folds", 0)) or min(FOLDS, len(dataset.cases))


def _same(final: Path, source: Source, force: frozenset[str], folds: int, say: Say) -> DataSet:
    """Return the stored set when it came from this source; else raise BadInput."""
    stored, stamp = _open(final), getattr(source, "stamp", "")
    untouched = stamp and stamp == stored.origin.get("stamp")  # sizes and times of all files
    if not untouched and stored.origin.get("fingerprint") != source.fingerprint:
        what = "exists and holds another source (or the files changed since)"
    elif left_out := sorted(force & set(stored.origin.get("skipped", ()))):
        what = f"exists and was added without {', '.join(left_out)}"
    elif folds and folds != fold_count(stored):
        what = "exists with another number of folds (one set has one)"
    else:
        if stored.origin.get("readers", 1) != READERS:
            say(OTHER_READERS.format(folder=final))
        return stored
    raise BadInput(f"data set {final.name!r} {what}: choose another --name, or remove {final}")


def _damaged(folder: Path, path: Path, error: Exception, origin: Mapping[str, Any]) -> BadInput:
    command = origin.get("command")
    again = f"add it again: {command}" if command else "an embedded set is then written again"
    reason = getattr(error, "strerror", None) or error
    return BadInput(f"{path} is damaged ({reason}); remove {folder}, then {again}")


def _is_here(root: Path, name: str) -> bool:
    return bool(NAME.fullmatch(name)) and is_here(root, f"data/{name}", "dataset.json")


def _stored_names(root: Path) -> list[str]:
    return [name for name in names_in(root, "data", "dataset.json") if NAME.fullmatch(name)]
