"""The live mirror: takes reports from a training and writes them to MLflow in the background.

Nothing here can stop or slow a training. A report is put down under a lock and that is all; one
daemon thread does every call, waits longer and longer while the store does not answer, and is
left behind when `close` has waited long enough. What did not arrive is on disk, for `sync`. A cell
that is running is written now and then, with all that was told of it meanwhile in one batch.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from benchmark.tracking import naming
from benchmark.tracking.report import CellReport, Point, RowReport, SuiteReport
from benchmark.tracking.server import connect, default_uri, one_line
from benchmark.tracking.shown import is_shown
from benchmark.tracking.writer import Writer

__all__ = ["Mirror", "default_uri"]

AnyReport = CellReport | RowReport | SuiteReport
MOST_REPORTS = 10_000  # cells, rows and suites waiting; what comes after is left to `sync`
MOST_POINTS = 500_000  # points kept in memory
LONGEST_PAUSE = 30.0  # seconds between two attempts


class Mirror:
    """Writes to the MLflow at `uri`; for a local one, files go to the folder `artifacts`.

    `warn` gets at most one message from `close`, and one where a broken database was made again.
    `seconds` bounds each HTTP request (of three). A cell that is running is written at most every
    `every_seconds`.
    Never raises for anything MLflow does.
    """

    def __init__(
        self,
        uri: str,
        *,
        artifacts: Path,
        warn: Callable[[str], None],
        seconds: float = 3.0,
        every_seconds: float = 0.0,
    ) -> None:
        self._uri, self._artifacts, self._warn, self._seconds = uri, artifacts, warn, seconds
        self._every_seconds = every_seconds
        self._next_write: dict[str, float] = {}  # of cells that are running (monotonic seconds)
        self._waiting: dict[str, AnyReport] = {}
        self._points: dict[str, dict[Point, None]] = {}  # of cells not done, all so far
        self._change = threading.Condition()
        self._closing = False
        self._deadline = float("inf")
        self._problem = ""  # why something did not arrive
        self._writer: Writer | None = None
        self._failed = False  # the last attempt
        self._busy = False  # a report is under way
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Mirror:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Whoever pressed Ctrl-C does not want to wait for a server.
        self.close(20.0 if kind is None else 3.0)

    @property
    def waiting(self) -> int:
        """How many cells, rows and suites were told and have not arrived."""
        with self._change:
            return len(self._waiting) + self._busy

    def cell(self, report: CellReport) -> None:
        """Take a report of a cell and return at once. The points of all reports of a cell add
        up, so each may hold the whole curve or only what is new."""
        identity = naming.cell_identity(report)
        with self._change:
            points = self._points.setdefault(identity, {})
            if len(points) + len(report.points) <= MOST_POINTS:
                points.update(dict.fromkeys(report.points))
            else:
                self._problem = "the curves are too long to wait in memory"
            self._take(identity, report)

    def row(self, report: RowReport) -> None:
        """Take a report of a row and return at once."""
        with self._change:
            self._take(naming.row_identity(report), report)

    def suite(self, report: SuiteReport) -> None:
        """Take a report of a suite and return at once."""
        with self._change:
            self._take(naming.suite_identity(report), report)

    def close(self, seconds: float = 20.0) -> bool:
        """Wait until everything arrived, at most `seconds`; return whether it did.

        Else one warning is given, however often this is called. Once the store fails to answer
        after `close` was called nothing more is tried.
        """
        with self._change:
            first, self._closing = not self._closing, True
            self._deadline = time.monotonic() + seconds
            self._change.notify_all()
        if self._thread is not None:
            self._thread.join(seconds)
        with self._change:
            alive = self._thread is not None and self._thread.is_alive()
            problem = self._problem or ("it does not answer" if alive else "")
            whole = not problem and not self._waiting and not self._busy
        if first and not whole:
            self._warn(
                f"MLflow at {self._uri} did not take everything ({problem}); "
                "the results are whole on disk; run `bench sync` to fill it"
            )
        return whole

    def _take(self, identity: str, report: AnyReport) -> None:
        if self._closing or (identity not in self._waiting and len(self._waiting) >= MOST_REPORTS):
            self._problem = "too many reports wait for it"
            return
        self._waiting[identity] = report
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="mlflow-mirror", daemon=True)
            self._thread.start()
        self._change.notify_all()

    # -- in the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        pause = 1.0
        while (item := self._next()) is not None:
            identity, report = item
            try:
                self._write(report)
                pause = 1.0
            except Exception as error:  # no failure of MLflow may reach the training
                if not self._put_back(identity, report, one_line(error), pause):
                    return
                pause = min(2 * pause, LONGEST_PAUSE)

    def _next(self) -> tuple[str, AnyReport] | None:
        """Wait for a report; None when the mirror is closed and nothing (or no time) is left."""
        with self._change:
            self._busy = False
            while (identity := self._due()) is None and not self._closing:
                self._change.wait(self._pause())
            if identity is None or time.monotonic() > self._deadline:
                return None
            report = self._waiting.pop(identity)
            self._busy = True
            if isinstance(report, CellReport):
                points = self._points.get(identity, {})
                report = replace(report, points=tuple(points))
                if report.done:
                    self._points.pop(identity, None)
                    self._next_write.pop(identity, None)
                else:
                    self._next_write[identity] = time.monotonic() + self._every_seconds
            return identity, report

    def _due(self) -> str | None:
        """The first report that may be written now, None where there is none."""
        now = time.monotonic()
        return next((name for name in self._waiting if self._when(name) <= now), None)

    def _pause(self) -> float | None:
        """Seconds until a report may be written, None where none waits."""
        if not self._waiting:
            return None
        return max(0.0, min(map(self._when, self._waiting)) - time.monotonic())

    def _when(self, identity: str) -> float:
        report = self._waiting[identity]
        running = isinstance(report, CellReport) and not report.done
        return self._next_write.get(identity, 0.0) if running and not self._closing else 0.0

    def _write(self, report: AnyReport) -> None:
        writer = self._writer
        if writer is None and is_shown(self._uri, self._artifacts, report, self._seconds):
            return
        if writer is None or self._failed:
            # Opened anew after a failure: a database that was deleted is made again.
            store = connect(self._uri, self._artifacts, self._seconds, self._warn)
            writer = self._writer = Writer(store, before=writer)
            self._failed = False
        if not writer.write(report):
            self._problem = writer.refusals[-1]

    def _put_back(self, identity: str, report: AnyReport, why: str, pause: float) -> bool:
        """Keep a report that did not arrive, and pause; false when there is no time to retry."""
        self._failed = True
        with self._change:
            if isinstance(report, CellReport):
                later = self._points.get(identity, {})
                self._points[identity] = dict.fromkeys(report.points) | later
            # At the end, so that one bad report cannot hold up the others; a newer report of the
            # same cell or row, if one came meanwhile, stands for this one.
            self._waiting.setdefault(identity, report)
            self._busy = False
            if self._closing:
                self._problem = why
                return False
            self._change.wait_for(lambda: self._closing, timeout=pause)
        return True
