"""The follower: MLflow shows what is on disk while it changes, by one thread that only reads it.

Whoever trains knows nothing of it. What did not arrive in time is on disk, for `bench sync`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmark.tracking.database import is_shown
from benchmark.tracking.report import AnyReport
from benchmark.tracking.server import connect, first_line
from benchmark.tracking.writer import Writer

QUIT_SECONDS = 2.0  # a person who pressed Ctrl-C does not wait for a mirror
CLOSE_SECONDS = 20.0
LONGEST_PAUSE = 30.0  # seconds between two attempts
SHARE = 50  # a look at a disk that has not changed takes at most one part in so many of the time
LOST = (
    "MLflow at {uri} did not take everything ({why}); the results are whole on disk; run `bench "
    "sync` to fill it"
)

# Yields, each time it is asked, what changed on disk and whether a living process works at it, and
# is sent whether that arrived: else it comes again. It is asked with True the last time.
Changes = Generator[tuple[AnyReport, bool], bool | None, None]
Source = Callable[[bool], Changes]
Warn = Callable[[str], None]


class Follower:
    """Brings the MLflow at `uri` up to date with a source every few seconds, in a thread of its
    own; for a local one, files go to the folder `artifacts`.

    Never raises for anything MLflow does, and never holds up whoever made it. `warn` gets at most
    one message from `close`, by the form `lost`, and one where a broken database was made again.
    `seconds` bounds each HTTP request (of three). MLflow is loaded when there is something to send.
    """

    def __init__(
        self,
        uri: str,
        source: Source,
        *,
        artifacts: Path,
        warn: Warn,
        seconds: float = 3.0,
        every_seconds: float = 1.0,
        lost: str = LOST,
    ) -> None:
        self._uri, self._artifacts, self._seconds = uri, artifacts, seconds
        self._source, self._warn, self._lost = source, warn, lost
        self._every_seconds = every_seconds
        self._closing = threading.Event()
        self._deadline = float("inf")
        self._writer: Writer | None = None
        self._failed: set[str] = set()  # identities: what one bad report was does not hold up all
        self._problem = self._refused = ""
        self._whole = False
        self.told_at = time.monotonic()  # when something had changed last
        self._thread = threading.Thread(target=self._run, name="mlflow", daemon=True)
        self._thread.start()

    def close(self, seconds: float = CLOSE_SECONDS) -> bool:
        """Look a last time and wait until everything arrived, at most `seconds`; return whether it
        did. Else one warning is given, however often this is called. Once the store fails to answer
        after `close` was called nothing more is tried."""
        first = not self._closing.is_set()
        self._deadline = time.monotonic() + seconds
        self._closing.set()
        self._thread.join(seconds)
        why = self._refused if self._whole else self._problem or "it does not answer"
        if first and why:
            self._warn(self._lost.format(uri=self._uri, why=why))
        return not why

    def _run(self) -> None:
        pause = self._every_seconds
        while True:
            last, began = self._closing.is_set(), time.monotonic()
            try:
                while self._look(last):
                    pass
                self._whole = last
                quiet = self.told_at < began
                pause = max(self._every_seconds, quiet * SHARE * (time.monotonic() - began))
            except Exception as error:  # no failure of MLflow may reach the training
                self._problem = first_line(error)
                pause = min(max(1.0, 2 * pause), LONGEST_PAUSE)
            if last:
                return
            self._closing.wait(pause)

    def _look(self, last: bool) -> bool:
        """Take what changed; return whether something is left that failed before."""
        failed, self._failed = self._failed, set()
        reports, arrived = self._source(last), None
        with suppress(StopIteration):
            while True:
                report, living = reports.send(arrived)
                arrived = report.identity not in failed
                if arrived:
                    self._take(report, living)
        return bool(failed)

    def _take(self, report: AnyReport, living: bool) -> None:
        if time.monotonic() > self._deadline:
            raise TimeoutError("there was no time left for all of it")
        where, self.told_at = (self._uri, self._artifacts), time.monotonic()
        if self._writer is None and is_shown(*where, report, self._seconds):
            return
        try:
            if self._writer is None or self._problem:
                # Opened anew after a failure: a database that was deleted is made again.
                store = connect(*where, self._seconds, self._warn)
                self._writer, self._problem = Writer(store, before=self._writer), ""
            if not self._writer.take(report, living):
                self._refused = self._writer.refusals[-1]
        except Exception:
            self._failed = {report.identity}
            raise


@contextmanager
def following(
    uri: str | None, source: Source, *, patience: float = CLOSE_SECONDS, **how: Any
) -> Iterator[Follower | None]:
    """Follow a source while the block works, if there is an MLflow to fill; at the end wait, within
    bounds, for what changed last. `how`: as of `Follower`."""
    if uri is None:
        yield None
        return
    follower = Follower(uri, source, **how)
    try:
        yield follower
    except BaseException:
        follower.close(QUIT_SECONDS)
        raise
    follower.close(patience)


def send(reports: Iterable[AnyReport], uri: str, *, artifacts: Path, warn: Warn) -> bool:
    """Send these, within bounds of time; return whether all arrived, else `warn` gets a line."""
    left = list(reports)

    def source(last: bool) -> Changes:
        for report in list(left):
            if (yield report, False):
                left.remove(report)

    return Follower(uri, source, artifacts=artifacts, warn=warn).close()
