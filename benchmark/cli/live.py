"""Live logging to the MLflow mirror: a listener that passes everything on and mirrors epochs and
cells as they end."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmark.cli.options import OFF
from benchmark.running.events import CellEnded, CellStarted, EpochEnded, Event, Progress, Said
from benchmark.store.workspace import is_read_only

if TYPE_CHECKING:
    from benchmark.cli.view import View
    from benchmark.running.bench import Bench
    from benchmark.running.events import Listener
    from benchmark.store.ledger import Entry
    from benchmark.tracking.mirror import Mirror
    from benchmark.tracking.report import CellReport

QUIT_SECONDS = 2.0
EVERY_SECONDS = 5.0  # between two batches of points of a cell that is running


class Mirrored:
    """Passes events on to `show` and mirrors what ended. Without a mirror it only passes on.

    A cell appears in MLflow with the first step of a training: nothing waits for MLflow to load
    before, and one that is stored is not shown as running."""

    def __init__(self, show: Listener, mirror: Mirror | None) -> None:
        self._show = show
        self._mirror = mirror
        self._started: dict[str, Entry] = {}
        self._running: dict[str, CellReport] = {}  # what MLflow was told of them
        self.bench: Bench | None = None

    def hear(self, event: Event) -> None:
        """Pass it on, and mirror it."""
        self._show.hear(event)
        if self._mirror is None or self.bench is None:
            return
        match event:
            case CellStarted(entry=entry):
                self._started[entry.name] = entry
            case Said(task=task, event=Progress() | EpochEnded() as said):
                self._grow(task.entry, said, self.bench, self._mirror)
            case CellEnded(entry=entry):
                from benchmark.running.reports import cell_report

                self._started.pop(entry.name, None)
                self._running.pop(entry.name, None)
                self._mirror.cell(cell_report(self.bench, entry))

    def _grow(self, name: str, said: Progress | EpochEnded, bench: Bench, mirror: Mirror) -> None:
        """Mirror the start of a cell, once, and an epoch's points in it."""
        from benchmark.running.reports import cell_report, stage_points

        if name in self._started and name not in self._running:
            self._running[name] = cell_report(bench, self._started[name])
            mirror.cell(self._running[name])
        if isinstance(said, EpochEnded) and name in self._running:
            epoch = said.epoch
            points = stage_points(said.title, epoch.index, dict(epoch.terms), epoch.at_ms)
            mirror.cell(replace(self._running[name], points=points))

    def row_done(self, entries: list[Entry]) -> None:
        """Mirror the row over all its cells in the ledger, not only those of this run."""
        from benchmark.running.reports import row_report, same_row, suite_reports

        first = {entry.label: entry for entry in reversed(entries) if entry.state == "done"}
        for entry in first.values():
            if self._mirror and self.bench:
                everything = self.bench.ledger.entries(entry.suite)
                members = same_row(self.bench, everything, entry)
                self._mirror.row(row_report(self.bench, members))
        for suite in dict.fromkeys(entry.suite for entry in entries):
            if self._mirror and self.bench:
                for report in suite_reports(self.bench, self.bench.ledger.entries(suite)):
                    self._mirror.suite(report)

    def rows_done(self, suite: str) -> None:
        """Mirror rows and suite over all their cells in the ledger, not only those of this run."""
        from benchmark.running.reports import row_reports, suite_reports

        if self._mirror and self.bench:
            entries = self.bench.ledger.entries(suite)
            for row, _ in row_reports(self.bench, entries):
                self._mirror.row(row)
            for report in suite_reports(self.bench, entries):
                self._mirror.suite(report)


@contextmanager
def live_mirror(args: argparse.Namespace, show: View) -> Iterator[Mirrored]:
    """Yield the listener of a command; at the end wait, within bounds, for the mirror to catch
    up."""
    if args.mlflow == OFF or (args.mlflow is None and is_read_only(args.root)):
        yield Mirrored(show, None)
        return
    from benchmark.tracking.mirror import Mirror, default_uri

    uri = args.mlflow or default_uri(args.root)
    mirror = Mirror(
        uri, artifacts=args.root / "mlartifacts", warn=show.warn, every_seconds=EVERY_SECONDS
    )
    try:
        yield Mirrored(show, mirror)
    except BaseException:
        mirror.close(QUIT_SECONDS)  # a person who pressed Ctrl-C does not wait for a mirror
        raise
    mirror.close()
