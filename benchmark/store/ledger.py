"""The ledger: which label, fold and seed of which suite is which key. Names live here alone.

ledger/SUITE/CELL.json      one small file a cell, replaced by one rename
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmark.files.atomic import commit_file, read_json, write_json
from benchmark.files.mirror import Mirror
from benchmark.files.values import read_as
from benchmark.plan.keys import canonical, digest
from benchmark.plan.presets import known_as, lasting_name

MAIN = "main"  # the suite that `bench suite` fills without --name
SCRATCH = "default"  # where `bench run` notes what is tried out; people read and type `scratch`
HEAL = "the next run of its row writes it again"
ON = "on "  # start of the part of what was scored on another data set, kept apart
SWEEPS = "sweep-"  # start of the suites in which sweeps note their trials: no rows of a comparison


def shown_suite(name: str) -> str:
    """Return a suite's name as people read it. Folders, JSON and MLflow keep the stored one: all
    that lies in older workspaces has it (docs/decisions/0023)."""
    return "scratch" if name == SCRATCH else name


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One cell: a row's label in one fold with one seed, and where its result lies.

    `part` is "test", or "inner" for the inner validation patients that tuning sees. `state` is
    started, done or failed (with `error`). `preset` is the name under which the values of
    `preset_hash` are known now. `own_split` says that `split` is somebody's own, not the one that
    the data set has by itself. `nodes` are the keys of all its trainings in order,
    `probes` the (name, key, evaluation) of what was measured afterwards. `tuned` names the tuning
    that chose the overrides, for each fold its own: the cells are one row all the same. `outside`
    says what predicted the masks where bench did not: nothing was trained then.
    """

    dataset: str
    row: str
    label: str
    preset: str
    overrides: Mapping[str, Any]
    fold: int
    seed: int
    part: str
    key: str
    evaluation: str
    split: str
    nodes: tuple[str, ...]
    suite: str = SCRATCH
    state: str = "started"
    error: str = ""
    flags: tuple[str, ...] = ()
    probes: tuple[tuple[str, str, str], ...] = ()
    params: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    tuned: str = ""
    preset_hash: str = ""
    own_split: bool = False
    outside: str = ""

    @property
    def name(self) -> str:
        """The name of the cell's file: a hash of what a person would call it by; `xi=1` and
        `xi=1.0` are one. Other values of a preset, and another split, have files of their own."""
        values = {} if self.tuned else canonical(self.overrides)
        preset = lasting_name(self.preset, self.preset_hash)
        named = [self.dataset, self.label, preset, values, self.fold, self.seed, self.part]
        return digest([*named, self.split] if self.own_split else named)

    @property
    def where(self) -> str:
        """The cell on its data set, for people."""
        return f"{self.label} fold {self.fold} seed {self.seed}"

    @property
    def tested_on(self) -> str:
        """The data set whose patients are scored: its own, or one that was kept apart."""
        return self.part.removeprefix(ON) if self.part.startswith(ON) else self.dataset

    @property
    def definition(self) -> str:
        """The definition of distance by which the cell is scored: "" is the first one."""
        return self.evaluation.partition("-")[2]


def compared(entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries of suites that compare rows: the trials of sweeps are left out."""
    return [entry for entry in entries if not entry.suite.startswith(SWEEPS)]


class Ledger:
    """All entries under `folder`. A damaged file takes no other cell along: `warn` is told of it
    once, and its cell counts as missing."""

    def __init__(
        self,
        folder: Path,
        warn: Callable[[str], None] = lambda text: None,
        mirror: Mirror | None = None,
    ) -> None:
        self.folder = folder
        self._warn = warn
        self._mirror = mirror
        self._told: set[Path] = set()

    def write(self, entry: Entry) -> None:
        """Write or replace the file of an entry's cell, by one rename. Raises `OSError` where the
        disk does not take it; then the file of before is whole."""
        writing = self._mirror.writing() if self._mirror else nullcontext()
        with writing, commit_file(self.file(entry), keeper=self._mirror) as temporary:
            write_json(temporary, asdict(entry))

    def remove(self, entry: Entry) -> None:
        """Take a cell's file away; one that is not there is no error."""
        if self._mirror:
            self._mirror.forget(self.file(entry))
        self.file(entry).unlink(missing_ok=True)

    def refresh(self) -> None:
        """See what other machines wrote meanwhile; without a bucket that is seen anyway."""
        if self._mirror:
            self._mirror.refresh("ledger/")

    def compared(self) -> list[Entry]:
        """Return the entries of all suites that compare rows: the trials of sweeps are left out."""
        return compared(self.entries())

    def newest(self) -> dict[str, float]:
        """Return when each suite's cells were last written to (Unix seconds), sweeps left out."""
        found: dict[str, float] = {}
        for path in self.folder.glob("*/*.json"):
            suite = path.parent.name
            if not suite.startswith(SWEEPS) and not path.name.startswith("."):
                found[suite] = max(found.get(suite, 0.0), path.stat().st_mtime)
        return found

    def entries(self, suite: str | None = None) -> list[Entry]:
        """Return the entries of one suite, or of all, in a fixed order, without damaged ones."""
        found = [entry for path in self._files(suite) if (entry := self.at(path))]
        return sorted(found, key=lambda e: (e.suite, e.dataset, e.label, e.preset, e.seed, e.fold))

    def stored(self, entry: Entry) -> Entry | None:
        """Return what is written of a cell, whatever its state; None where nothing can be read."""
        path = self.file(entry)
        return self.at(path) if path.is_file() else None

    def written(self, suite: str = "*") -> dict[Path, tuple[int, ...]]:
        """Return the files of a suite's cells, or of all, each with what tells whether it was
        written again since. Nothing is read."""
        found: dict[Path, tuple[int, ...]] = {}
        for path in self._files(suite):
            with suppress(OSError):
                state = path.stat()
                found[path] = state.st_mtime_ns, state.st_size, state.st_ino
        return found

    def file(self, entry: Entry) -> Path:
        """Return where an entry is written."""
        return self.folder / entry.suite / f"{entry.name}.json"

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield (SUITE/FILE, "" or what is wrong) for every entry; changes nothing."""
        for path in sorted(self._files()):
            try:
                _read(path)
                yield self._name(path), ""
            except ValueError as error:
                yield self._name(path), str(error)

    def damaged(self) -> list[str]:
        """Return the files that cannot be read, as SUITE/FILE."""
        return [name for name, fault in self.faults() if fault]

    def _files(self, suite: str | None = None) -> Iterator[Path]:
        return self.folder.glob(f"{suite or '*'}/*.json")

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def at(self, path: Path) -> Entry | None:
        """Return the entry in one of the files; None where nothing can be read."""
        try:
            return _read(path)
        except ValueError as error:
            if path not in self._told:
                self._told.add(path)
                self._warn(f"{path} is damaged ({error}): its cell counts as missing; {HEAL}")
            return None


def _read(path: Path) -> Entry:
    """Return the entry in a file; raises `ValueError` for what is none."""
    try:
        entry = read_as(Entry, read_json(path), more=True)  # a newer bench may have written it
        _ = entry.name  # raises for values that no name can be made of, NaN among them
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error
    except (TypeError, OverflowError) as error:
        raise ValueError(str(error)) from error
    preset, preset_hash = known_as(entry.preset, entry.preset_hash)
    if (preset, preset_hash) == (entry.preset, entry.preset_hash):
        return entry
    return replace(entry, preset=preset, preset_hash=preset_hash)
