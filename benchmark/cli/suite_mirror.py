"""The MLflow mirror of a suite. Workers never write to it: the parent is its one writer."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmark.cli.live import EVERY_SECONDS, QUIT_SECONDS
from benchmark.cli.options import OFF
from benchmark.running.executors import EpochEnded, Event

if TYPE_CHECKING:
    from benchmark.cli.board import Board
    from benchmark.running.bench import Bench
    from benchmark.running.tasks import Task
    from benchmark.store.ledger import Entry
    from benchmark.tracking.mirror import Mirror
    from benchmark.tracking.report import CellReport


class SuiteMirror:
    """Shows a suite on the board and mirrors what ended. Without a mirror it only shows."""

    def __init__(self, bench: Bench, board: Board, mirror: Mirror | None) -> None:
        self._bench, self._board, self._mirror = bench, board, mirror
        self._running: dict[str, CellReport] = {}

    def started(self, entry: Entry) -> None:
        """Mirror the start of a cell, so that its curves can be watched."""
        from benchmark.running.reports import cell_report

        if self._mirror:
            self._running[entry.name] = cell_report(self._bench, entry)
            self._mirror.cell(self._running[entry.name])

    def begun(self, worker: int, task: Task) -> None:
        """Show it."""
        self._board.begun(worker, task)

    def said(self, event: Event) -> None:
        """Show it, and mirror an epoch's points in the cell that the training is run for."""
        from benchmark.running.reports import stage_points

        self._board.said(event)
        report = self._running.get(event.task.entry)
        if self._mirror and report and isinstance(event.message, EpochEnded):
            epoch = event.message.epoch
            points = stage_points(event.message.title, epoch.index, dict(epoch.terms), epoch.at_ms)
            self._mirror.cell(replace(report, points=points))

    def ended(self, entry: Entry) -> None:
        """Show and mirror a finished cell: its metrics, files and curves."""
        from benchmark.running.reports import cell_report

        self._board.ended(entry)
        self._running.pop(entry.name, None)
        if self._mirror and entry.state == "done":
            self._mirror.cell(cell_report(self._bench, entry))

    def warn(self, text: str) -> None:
        """Show it."""
        self._board.warn(text)

    def tick(self) -> None:
        """Show it."""
        self._board.tick()

    def rows_done(self, suite: str) -> None:
        """Mirror rows and suite over all their cells in the ledger, not only those of this run."""
        from benchmark.running.reports import row_reports, suite_reports

        if self._mirror:
            entries = self._bench.ledger.entries(suite)
            for row, _ in row_reports(self._bench, entries):
                self._mirror.row(row)
            for report in suite_reports(self._bench, entries):
                self._mirror.suite(report)


@contextmanager
def suite_mirror(args: argparse.Namespace, bench: Bench, board: Board) -> Iterator[SuiteMirror]:
    """Yield who is told of a suite; at the end the mirror gets some seconds to finish."""
    if args.mlflow == OFF:
        yield SuiteMirror(bench, board, None)
        return
    from benchmark.tracking.mirror import Mirror, default_uri

    uri = args.mlflow or default_uri(args.root)
    mirror = Mirror(
        uri, artifacts=args.root / "mlartifacts", warn=board.warn, every_seconds=EVERY_SECONDS
    )
    try:
        yield SuiteMirror(bench, board, mirror)
    except BaseException:
        mirror.close(QUIT_SECONDS)  # a person who pressed Ctrl-C does not wait for a mirror
        raise
    mirror.close()
