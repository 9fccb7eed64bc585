"""The ledger: which label, fold and seed of which suite is which key. Names live here alone.

ledger/SUITE/CELL.json      one small file a cell, replaced by one rename
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from benchmark.errors import BadInput
from benchmark.files.atomic import commit_file, read_json, write_json
from benchmark.plan.keys import canonical, digest
from benchmark.plan.presets import known_as, lasting_name

DEFAULT_SUITE = "default"
SWEEPS = "sweep-"  # start of the suites in which sweeps note their trials: no rows of a comparison


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One cell: a row's label in one fold with one seed, and where its result lies.

    `part` is "test", or "inner" for the inner validation patients that tuning sees. `state` is
    started, done or failed (with `error`). `preset` is the name under which the values of
    `preset_hash` are known now. `own_split` says that `split` is somebody's own, not the one that
    the data set has by itself. `nodes` are the keys of all its trainings in order,
    `probes` the (name, key, evaluation) of what was measured afterwards. `tuned` names the tuning
    that chose the overrides, for each fold its own: the cells are one row all the same.
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
    suite: str = DEFAULT_SUITE
    state: str = "started"
    error: str = ""
    flags: tuple[str, ...] = ()
    probes: tuple[tuple[str, str, str], ...] = ()
    params: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    tuned: str = ""
    preset_hash: str = ""
    own_split: bool = False

    @property
    def name(self) -> str:
        """The name of the cell's file: a hash of what a person would call it by; `xi=1` and
        `xi=1.0` are one. Other values of a preset, and another split, have files of their own."""
        values = {} if self.tuned else canonical(self.overrides)
        preset = lasting_name(self.preset, self.preset_hash)
        named = [self.dataset, self.label, preset, values, self.fold, self.seed, self.part]
        return digest([*named, self.split] if self.own_split else named)


class Ledger:
    """All entries under `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, entry: Entry) -> None:
        """Write or replace an entry."""
        with commit_file(self.folder / entry.suite / f"{entry.name}.json") as temporary:
            write_json(temporary, asdict(entry))

    def compared(self) -> list[Entry]:
        """Return the entries of all suites that compare rows: the trials of sweeps are left out."""
        return [entry for entry in self.entries() if not entry.suite.startswith(SWEEPS)]

    def newest(self) -> dict[str, float]:
        """Return when each suite's cells were last written to (Unix seconds), sweeps left out."""
        found: dict[str, float] = {}
        for path in self.folder.glob("*/*.json"):
            suite = path.parent.name
            if not suite.startswith(SWEEPS) and not path.name.startswith("."):
                found[suite] = max(found.get(suite, 0.0), path.stat().st_mtime)
        return found

    def entries(self, suite: str | None = None) -> list[Entry]:
        """Return the entries of one suite, or of all, in a fixed order. Raises `BadInput` for a
        file that cannot be read."""
        found = [_entry(path) for path in self.folder.glob(f"{suite or '*'}/*.json")]
        return sorted(found, key=lambda e: (e.suite, e.dataset, e.label, e.preset, e.seed, e.fold))


def _entry(path: Path) -> Entry:
    known = {item.name for item in fields(Entry)}
    try:
        value = read_json(path)
        chosen = {name: item for name, item in value.items() if name in known}
        for name in ("nodes", "flags"):
            chosen[name] = tuple(chosen.get(name, ()))
        chosen["probes"] = tuple(tuple(probe) for probe in chosen.get("probes", ()))
        return _as_known_now(Entry(**chosen))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BadInput(
            f"{path} is damaged ({error}): remove it, and the next run of its row writes it again"
        ) from error


def _as_known_now(entry: Entry) -> Entry:
    preset, preset_hash = known_as(entry.preset, entry.preset_hash)
    return replace(entry, preset=preset, preset_hash=preset_hash)
