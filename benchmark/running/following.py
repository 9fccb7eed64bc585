"""What changed on disk since a command began, as reports for MLflow's follower.

Only files are looked at: the engine knows nothing of it, and `bench sync --follow` in another
process sees the same. A file is read again when its time or size is another. A cell appears with
the first training that it starts, and is reported now and then while its curves grow.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from benchmark.analysis.suites import with_rows
from benchmark.errors import BadInput, install
from benchmark.running.mlflow_runs import (
    cell_report,
    row_key,
    row_reports,
    stage_points,
    suite_reports,
)
from benchmark.store.ledger import SCRATCH, SWEEPS, Entry
from benchmark.store.workspace import Workspace, is_read_only
from benchmark.tracking.database import OFF, default_uri
from benchmark.tracking.follower import Changes, Follower, following
from benchmark.tracking.report import AnyReport, CellReport, CurvePoint

EVERY_SECONDS = 5.0  # between two reports of a cell that is running
GRACE_SECONDS = 30.0  # between two trainings of a cell, and while it is scored, nobody holds a lock
Row = tuple[str, ...]
Stamp = tuple[int, ...]
Told = Generator[tuple[AnyReport, bool], bool | None, bool]


def mirror_uri(asked: str | None, root: Path) -> str | None:
    """Return the MLflow that `--mlflow` asks for: the workspace's own where it is silent, None for
    `none`, and where the workspace can only be read or, unasked, MLflow is not installed.

    Raises `BadInput` where an address was given and MLflow is not installed."""
    if asked == OFF or (asked is None and is_read_only(root)):
        return None
    if find_spec("mlflow") is None:
        if asked is None:
            return None
        raise BadInput(f"--mlflow {asked}: {install('mlflow')}, or leave it out")
    return asked or default_uri(root)


def follow(
    asked: str | None, workspace: Workspace, suite: str, warn: Callable[[str], None]
) -> AbstractContextManager[Follower | None]:
    """Return what fills MLflow while a block works at the cells of a suite; `warn` is told where
    MLflow is not installed and `--mlflow none` did not say that none is wanted."""
    uri = mirror_uri(asked, workspace.root)
    if asked is None and find_spec("mlflow") is None:
        warn(f"{install('mlflow')}; results are on disk alone, and bench sync sends them later")
    where = workspace.root / "mlartifacts"
    return following(uri, Disk(workspace, suite), artifacts=where, warn=warn)


class Disk:
    """A source: the cells of a suite (without one: of all that compare rows) that were written to
    since this was made. With a suite they are the caller's own, who works at them; else a cell is
    in work while a process holds the lock of one of its trainings."""

    def __init__(self, workspace: Workspace, suite: str | None = None) -> None:
        self._workspace, self._suite = workspace, suite
        self._taken: dict[Path, Stamp] = self._written()
        self._open: dict[Path, Entry] = {}  # in work
        self._shown: dict[str, tuple[object, float]] = {}  # of these: what was told, and when
        self._held: dict[str, float] = {}  # when a lock of theirs was seen last
        self._bases: dict[str, tuple[object, CellReport]] = {}
        named = suite not in (None, SCRATCH)
        self._touched: dict[str, set[Row]] = {str(suite): set()} if named else {}
        self.busy = False  # whether a living process worked at a cell when it was looked last

    def __call__(self, last: bool) -> Changes:
        """Yield each cell that changed, and at rest (`last`, or nothing is in work) its row and
        suite; see `tracking.follower.Source`."""
        for path, stamp in self._written().items():
            if self._taken.get(path) != stamp:
                entry = self._workspace.ledger.at(path)
                if entry is None or (yield from self._entry(path, entry)):
                    self._taken[path] = stamp
        for entry in self._open.values():
            yield from self._in_work(entry, last)
        if self._suite is None:
            self.busy = any(map(self.is_held, self._open.values()))
        if last or (self._suite is None and not self.busy):
            for suite, rows in list(self._touched.items()):
                if (yield from self._rows(suite, rows)):
                    del self._touched[suite]

    def in_work(self, entries: Iterable[Entry]) -> Iterator[tuple[CellReport, bool]]:
        """Yield those of these cells that a living process trains now; look again at all that have
        not ended."""
        for entry in entries:
            if entry.state == "started":
                self._taken.pop(self._workspace.ledger.file(entry), None)
                if self.is_held(entry):
                    yield self._so_far(entry), True

    def is_held(self, entry: Entry) -> bool:
        """Return whether a process trains at the cell, or did so some seconds ago."""
        store, now = self._workspace.objects, time.monotonic()
        if any(store.epochs_file(key).exists() and store.is_training(key) for key in entry.nodes):
            self._held[entry.name] = now
        grace = GRACE_SECONDS if self._suite is None else 0.0
        return now - self._held.get(entry.name, -math.inf) <= grace

    def _written(self) -> dict[Path, Stamp]:
        found = self._workspace.ledger.written(self._suite or "*")
        return {p: s for p, s in found.items() if not p.parent.name.startswith(SWEEPS)}

    def _entry(self, path: Path, entry: Entry) -> Told:
        """Take a cell that was written again; return whether that is done with."""
        if entry.state == "started":
            self._open[path] = entry
            return True
        report = None
        if entry.state == "failed":
            report = cell_report(self._workspace, entry)
        elif whole := with_rows(self._workspace, [entry]):
            self._touched.setdefault(entry.suite, set()).add(row_key(entry))
            report = cell_report(self._workspace, whole[0])
        if report and not (yield report, False):
            return False
        self._open.pop(path, None)
        for known in (self._bases, self._shown, self._held):
            known.pop(entry.name, None)
        return True

    def _in_work(self, entry: Entry, last: bool) -> Changes:
        name, now = entry.name, time.monotonic()
        living = self.is_held(entry) if last or self._suite is None else True
        state = (self._stamps(entry), living)
        before, told_at = self._shown.get(name, (None, -EVERY_SECONDS))
        if before == state or (not last and now - told_at < EVERY_SECONDS):
            return
        if before is None and not self._begun(entry):
            return
        if (yield self._so_far(entry), living):
            self._shown[name] = state, now

    def _rows(self, suite: str, rows: set[Row]) -> Told:
        """Yield the rows over all their cells, not only those that changed: of a suite all, as they
        are compared; of what `bench run` tries out, those named. Return whether all arrived."""
        entries = self._workspace.ledger.entries(suite)
        if suite == SCRATCH:
            entries = [entry for entry in entries if row_key(entry) in rows]
        arrived = True
        for row, _ in row_reports(self._workspace, entries):
            arrived &= bool((yield row, False))
        for report in suite_reports(self._workspace, entries):
            arrived &= bool((yield report, False))
        return arrived

    def _so_far(self, entry: Entry) -> CellReport:
        """Return a cell with the curves of what is stored, and of what is in training; its single
        values come with its end, as `sync` dates them."""
        stored = [record for record, _ in self._stamps(entry)]
        known, base = self._bases.get(entry.name, (None, None))
        if base is None or known != stored:
            base = cell_report(self._workspace, entry)
            self._bases[entry.name] = stored, base
        left = [key for key, record in zip(entry.nodes, stored, strict=True) if record is None]
        objects, points = self._workspace.objects, list[CurvePoint]()
        for epoch in (epoch for key in left for epoch in objects.epochs(key)):
            points += stage_points(epoch["title"], epoch["index"], epoch["terms"], epoch["at_ms"])
        return replace(base, points=(*base.points, *points), metrics={})

    def _stamps(self, entry: Entry) -> list[tuple[Stamp | None, Stamp | None]]:
        """Of each training, what tells whether its record or its epochs changed."""
        store = self._workspace.objects
        places = (
            (store.folder / key / "record.json", store.epochs_file(key)) for key in entry.nodes
        )
        return [(_stamp(record), _stamp(epochs)) for record, epochs in places]

    def _begun(self, entry: Entry) -> bool:
        """Whether a training of the cell has begun: one that is stored is not shown as running."""
        return any(self._workspace.objects.epochs_file(key).exists() for key in entry.nodes)


def _stamp(path: Path) -> Stamp | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size
