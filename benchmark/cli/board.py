"""The live view of a suite on standard error: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmark.cli.progress import duration
from benchmark.running.executors import Ended, Event, Lost, Progress, Training

if TYPE_CHECKING:
    from benchmark.running.tasks import Task, Work
    from benchmark.store.ledger import Entry

LINE_EVERY_SECONDS = 20.0


@dataclass(kw_only=True)
class Forecast:
    """Seconds left: what the open tasks were estimated at, corrected by the pace so far, that of
    trainings and that of scorings each."""

    workers: int
    open: dict[str, Task] = field(default_factory=dict)
    _estimated: dict[bool, float] = field(default_factory=lambda: {True: 0.0, False: 0.0})
    _spent: dict[bool, float] = field(default_factory=lambda: {True: 0.0, False: 0.0})
    _began: dict[str, float] = field(default_factory=dict)

    def begin(self, task: Task) -> None:
        """A task starts."""
        self._began[task.name] = time.monotonic()

    def end(self, task: Task) -> None:
        """A task ended, one way or another."""
        if task.name in self._began and task.name in self.open:
            del self.open[task.name]
            self._spent[task.scores] += time.monotonic() - self._began.pop(task.name)
            self._estimated[task.scores] += task.seconds

    def keep(self, names: set[str]) -> None:
        """Forget what was given up."""
        self.open = {name: task for name, task in self.open.items() if name in names}

    def seconds(self, progress: dict[str, float]) -> float:
        """Return the seconds left; `progress` is the share done of running tasks."""
        left = 0.0
        for name, task in self.open.items():
            estimated, spent = self._estimated[task.scores], self._spent[task.scores]
            pace = spent / estimated if estimated else 1.0
            left += task.seconds * (1 - progress.get(name, 0.0)) * pace
        return left / self.workers


class Board:
    """Plain lines: one for each cell that ends, and now and then one that says how far it is."""

    def __init__(self) -> None:
        self.forecast = Forecast(workers=1)
        self.cells = self.done = self.failed = 0
        self._work: Work | None = None
        self._running: dict[int, Task] = {}
        self._share: dict[str, float] = {}
        self._steps: dict[str, str] = {}
        self._printed = time.monotonic()

    def expect(self, work: Work, workers: int) -> None:
        """Tell what is to be done, by how many workers."""
        self._work = work
        self.cells, self.done = len(work.entries), len(work.cached)
        tasks = {task.name: task for task in work.graph.left}
        self.forecast = Forecast(workers=workers, open=tasks)

    def started(self, entry: Entry) -> None:
        """Nothing: its trainings are shown."""

    def begun(self, worker: int, task: Task) -> None:
        """A worker takes a task."""
        self._running[worker] = task
        self.forecast.begin(task)

    def said(self, event: Event) -> None:
        """Follow a worker."""
        message, task = event.message, event.task
        if isinstance(message, Training) and message.resumed is not None:
            self.print(f"{task.where}: resumed from step {message.resumed}, key {message.key}")
        elif isinstance(message, Progress):
            self._share[task.name] = message.step / max(1, message.steps)
            self._steps[task.name] = f"step {message.step}/{message.steps}"
        elif isinstance(message, Ended | Lost):
            self._running.pop(event.worker, None)
            self._share.pop(task.name, None)
            if isinstance(message, Ended) and not message.stopped:
                self.forecast.end(task)

    def ended(self, entry: Entry) -> None:
        """Print a line for a cell that is done or failed."""
        failed = entry.state == "failed"
        self.failed += failed
        self.done += not failed
        if self._work:
            self.forecast.keep({task.name for task in self._work.graph.left})
        what = f"FAILED: {entry.error}" if failed else "done"
        where = f"{entry.label} on {entry.dataset}, fold {entry.fold} seed {entry.seed}"
        self.print(f"[{self.done + self.failed}/{self.cells}] {where}: {what}")

    def warn(self, text: str) -> None:
        """Print a warning."""
        self.print(f"warning: {text}")

    def tick(self) -> None:
        """Say how far it is, now and then."""
        if time.monotonic() - self._printed >= LINE_EVERY_SECONDS:
            running = "; ".join(self.line_of(task) for task in self._running.values())
            self.print(f"{self.summary()}: {running}")

    def summary(self) -> str:
        """Return cells done, running, failed, and the seconds left, as a line."""
        running = len({task.entry for task in self._running.values()})
        left = duration(self.forecast.seconds(self._share))
        return (
            f"{self.done} of {self.cells} cells done, {running} running, {self.failed} failed, "
            f"about {left} left"
        )

    def line_of(self, task: Task) -> str:
        """Return what a worker does, as a line."""
        steps = self._steps.get(task.name, "")
        return f"{task.where} {steps}".rstrip()

    def print(self, text: str) -> None:
        """Print a line."""
        print(text, file=sys.stderr, flush=True)
        self._printed = time.monotonic()


class Bars(Board):
    """A bar of the whole suite, and one a worker."""

    def __init__(self, progress: Any) -> None:
        super().__init__()
        self._progress = progress
        self._whole = progress.add_task("planning", total=1)
        self._bars: dict[int, Any] = {}

    def started(self, entry: Entry) -> None:
        """Nothing: its trainings are shown."""

    def begun(self, worker: int, task: Task) -> None:
        """Show it."""
        super().begun(worker, task)
        if worker not in self._bars:
            self._bars[worker] = self._progress.add_task("", total=1)
        self.tick()

    def said(self, event: Event) -> None:
        """Show it."""
        super().said(event)
        if event.worker not in self._running and event.worker in self._bars:
            self._progress.update(self._bars[event.worker], description="idle", completed=0)
        self.tick()

    def tick(self) -> None:
        """Redraw."""
        done = self.done + self.failed
        self._progress.update(
            self._whole, description=self.summary(), total=max(1, self.cells), completed=done
        )
        for worker, task in self._running.items():
            share = self._share.get(task.name, 0.0)
            self._progress.update(
                self._bars[worker], description=self.line_of(task), completed=share
            )

    def print(self, text: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(text, highlight=False, markup=False)


@contextmanager
def board() -> Iterator[Board]:
    """Yield who shows a suite: bars on a terminal, lines elsewhere."""
    if not sys.stderr.isatty():
        yield Board()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = [TextColumn("{task.description}", markup=False), BarColumn(bar_width=20)]
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, refresh_per_second=4) as progress:
        yield Bars(progress)
