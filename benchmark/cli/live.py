"""Live logging of a run to the MLflow mirror: a watcher that passes everything on and mirrors
epochs and cells as they end."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmark.cli.options import OFF
from benchmark.store.workspace import is_read_only
from benchmark.training.meter import Epoch

if TYPE_CHECKING:
    from benchmark.cli.progress import Lines
    from benchmark.running.bench import Bench
    from benchmark.store.ledger import Entry
    from benchmark.tracking.mirror import Mirror
    from benchmark.tracking.report import CellReport

QUIT_SECONDS = 2.0
EVERY_SECONDS = 5.0  # between two batches of points of a cell that is running


class Mirrored:
    """Shows progress through `show` and mirrors what ended. Without a mirror it only shows.

    A cell appears in MLflow with the first step of a training: nothing waits for MLflow to load
    before, and one that is stored is not shown as running."""

    def __init__(self, show: Lines, mirror: Mirror | None) -> None:
        self._show = show
        self._mirror = mirror
        self._entry: Entry | None = None  # of the cell that was started last
        self._running: CellReport | None = None  # what MLflow was told of it
        self.bench: Bench | None = None

    def cell(self, label: str, fold: int, seed: int, number: int, total: int) -> None:
        """Show it."""
        self._show.cell(label, fold, seed, number, total)

    def started(self, entry: Entry) -> None:
        """Remember the cell whose curves will come."""
        self._entry, self._running = entry, None

    def begun(self) -> None:
        """Mirror the start of the cell, once, so that its curves can be watched."""
        from benchmark.running.reports import cell_report

        if self._mirror and self.bench and self._entry and not self._running:
            self._running = cell_report(self.bench, self._entry)
            self._mirror.cell(self._running)

    def node(
        self, title: str, key: str, number: int, total: int, steps: int, resumed: int | None
    ) -> None:
        """Show it."""
        self._show.node(title, key, number, total, steps, resumed)

    def progress(self, step: int, steps: int, terms: Mapping[str, float]) -> None:
        """Show it; with the first the cell has begun."""
        self._show.progress(step, steps, terms)
        self.begun()

    def epoch(self, title: str, epoch: Epoch) -> None:
        """Show it and mirror its points."""
        self._show.epoch(title, epoch)
        self.points(title, epoch)

    def points(self, title: str, epoch: Epoch) -> None:
        """Mirror an epoch's points in the cell that was started last."""
        from benchmark.running.reports import stage_points

        self.begun()
        if self._mirror and self._running:
            points = stage_points(title, epoch.index, dict(epoch.terms), epoch.at_ms)
            self._mirror.cell(replace(self._running, points=points))

    def beside(self) -> Mirrored:
        """Return another with the same mirror, for a cell that runs at the same time."""
        other = Mirrored(self._show, self._mirror)
        other.bench = self.bench
        return other

    def warn(self, text: str) -> None:
        """Show it."""
        self._show.warn(text)

    def cell_done(self, entry: Entry) -> None:
        """Mirror a finished cell: its metrics, files and curves."""
        from benchmark.running.reports import cell_report

        self._entry = self._running = None
        if self._mirror and self.bench:
            self._mirror.cell(cell_report(self.bench, entry))

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


@contextmanager
def live_mirror(args: argparse.Namespace, show: Lines) -> Iterator[Mirrored]:
    """Yield the watcher of a run; at the end wait, within bounds, for the mirror to catch up."""
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
