"""The live view of a run or a suite on standard error: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from benchmark.cli.forecast import Forecast
from benchmark.cli.out import is_quiet, to_log
from benchmark.plan.wording import duration
from benchmark.running.events import (
    CellEnded,
    Ended,
    EpochEnded,
    Event,
    Lost,
    Progress,
    Said,
    TaskBegun,
    Ticked,
    TrainingBegun,
    Warned,
)

if TYPE_CHECKING:
    from benchmark.running.tasks import Task, Work
    from benchmark.store.ledger import Entry

LINE_EVERY_SECONDS = 20.0
FIELDS = ("epoch", "terms", "left")  # of a bar, beside what it is of
NARROW = 100  # letters: from here on a bar has room beside its words
WHOLE = "whole"  # the bar of a whole suite


class Screen:
    """Standard error: lines alone, or lines above the bars of a `rich` progress."""

    def __init__(self, progress: Any = None) -> None:
        self.bars: dict[Hashable, Any] | None = None if progress is None else {}
        self._progress = progress

    def print(self, text: str, wrong: bool = False) -> None:
        """Print a line; where `--quiet` was given, of what went wrong alone."""
        to_log(text)
        if is_quiet() and not wrong:
            return
        if self.bars is None:
            print(text, file=sys.stderr, flush=True)
        else:
            self._progress.console.print(text, highlight=False, markup=False)

    def draw(self, bar: Hashable, text: str, done: float, total: float, **fields: str) -> None:
        """Move a bar where there are bars, made where it is new; `fields` are some of `FIELDS`."""
        if self.bars is None:
            return
        shown = {**dict.fromkeys(FIELDS, ""), **fields}
        if bar not in self.bars:
            self.bars[bar] = self._progress.add_task(text, total=total, **shown)
        place = {"description": text, "completed": done, "total": total}
        self._progress.update(self.bars[bar], **place, **shown)


class View:
    """What both views share: how far each running task is, and how long the rest will take."""

    work: Work

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.forecast = Forecast(workers=1)
        self.share: dict[str, float] = {}  # done of running tasks, by name
        self._printed = time.monotonic()
        self._told: set[str] = set()

    def expect(self, work: Work, workers: int) -> None:
        """Tell what is to be done, by how many workers."""
        self.work = work
        self.forecast = Forecast(
            workers=workers, open={task.name: task for task in work.graph.left}
        )

    def hear(self, event: Event) -> None:
        """Follow the work."""
        match event:
            case Warned(text=text):
                self.warn(text)
            case TaskBegun(task=task):
                self.forecast.begin(task)
            case Said(task=task, event=TrainingBegun() as said) if not task.scores:
                self.forecast.begin(task)  # the worker is loaded, the data set open
                self.forecast.resume(task, (said.resumed or 0) / max(1, said.steps))
            case Said(task=task, event=Progress(step=step, steps=steps)):
                self.share[task.name] = step / max(1, steps)
            case Said(task=task, event=Ended() | Lost() as end):
                trained = self.share.pop(task.name, None) is not None
                if isinstance(end, Ended) and not end.stopped:
                    self.forecast.end(task, worked=trained or task.scores)
            case CellEnded(entry=entry) if entry.state == "failed":  # with all that needed it
                self.forecast.keep([task.name for task in self.work.graph.left])

    @property
    def is_due(self) -> bool:
        """Whether nothing was printed for so long that a line says how far it is."""
        return time.monotonic() - self._printed >= LINE_EVERY_SECONDS

    def warn(self, text: str) -> None:
        """Print a warning, once."""
        if text not in self._told:
            self._told.add(text)
            self.print(f"warning: {text}", wrong=True)

    def print(self, text: str, wrong: bool = False) -> None:
        """Print a line."""
        self.screen.print(text, wrong)
        self._printed = time.monotonic()


class RunView(View):
    """Of `bench run`: a line where a training starts, and one now and then between; or a bar a
    worker with epoch, loss terms and seconds left."""

    def __init__(self, screen: Screen) -> None:
        super().__init__(screen)
        self._at: dict[int, tuple[str, str]] = {}  # by worker: the cell, and the training's title
        self._epoch: dict[int, int] = {}

    def hear(self, event: Event) -> None:
        """Follow the work and show it."""
        super().hear(event)
        match event:
            case Said(worker=worker, task=task, event=TrainingBegun() as said):
                self._training(worker, task, said)
            case Said(worker=worker, event=Progress() as said):
                self._progress(worker, said)
            case Said(worker=worker, event=EpochEnded(epoch=epoch)):
                self._epoch[worker] = epoch.index + 1
            case CellEnded(entry=entry) if entry.state == "failed":
                self.warn(f"{entry.where}: {entry.error}")

    def _training(self, worker: int, task: Task, said: TrainingBegun) -> None:
        """Show where in its cell a training stands; one of a probe stands in its own chain."""
        entries = list(self.work.entries.values())
        entry, number, total = self.work.entries[task.entry], said.number, said.total
        if said.key in entry.nodes:
            number, total = entry.nodes.index(said.key) + 1, len(entry.nodes)
        where = f"[{entries.index(entry) + 1}/{len(entries)}] {entry.where}"
        self._at[worker], self._epoch[worker] = (where, said.title), 0
        again = "" if said.resumed is None else f"resumed from step {said.resumed}, "
        place = f"({number}/{total})"
        if self.screen.bars is None:
            self.print(f"{where}: {said.title} {place}, {said.steps} steps, {again}key {said.key}")
            return
        if again:
            self.print(f"{where}: {said.title} {again}key {said.key}")
        self._at[worker] = where, f"{said.title} {place}"
        self._progress(worker, Progress(step=said.resumed or 0, steps=said.steps))

    def _progress(self, worker: int, said: Progress) -> None:
        """Move the bar, or print a line now and then."""
        if self.screen.bars is None and not self.is_due:
            return
        where, title = self._at[worker]
        terms = terms_text(said.terms)
        known = self.forecast.knows(self.share)
        left = f"{duration(self.forecast.seconds(self.share) if known else None)} left"
        if self.screen.bars is not None:
            epoch, total = f"epoch {self._epoch[worker]}", max(1, said.steps)
            more = {"epoch": epoch, "terms": terms, "left": left}
            self.screen.draw(worker, f"{where}: {title}", said.step, total, **more)
        else:
            what = f"{where}: {title}, " if self.forecast.workers > 1 else ""
            self.print(f"  {what}step {said.step}/{said.steps}: {terms}; {left}")


def terms_text(terms: Mapping[str, float]) -> str:
    """Return the terms of a loss for people. The one that is stored as `dsc` falls, as a loss does,
    and is not called as the score is."""
    return " ".join(f"{'dice loss' if n == 'dsc' else n} {value:.3f}" for n, value in terms.items())


class SuiteView(View):
    """Of `bench suite`: a line for each cell that ends, and now and then one that says how far it
    is; or a bar of the whole suite, and one a worker."""

    def __init__(self, screen: Screen) -> None:
        super().__init__(screen)
        self.cells = self.done = self.failed = 0
        self._running: dict[int, Task] = {}
        self._steps: dict[str, str] = {}
        screen.draw(WHOLE, "planning", 0, 1)

    def expect(self, work: Work, workers: int) -> None:
        """Tell what is to be done, by how many workers."""
        super().expect(work, workers)
        self.cells, self.done = len(work.entries), len(work.cached)

    def hear(self, event: Event) -> None:
        """Follow the work and show it."""
        super().hear(event)
        match event:
            case TaskBegun(worker=worker, task=task):
                self._running[worker] = task
            case Said(task=task, event=TrainingBegun(resumed=int(step), key=key)):
                self.print(f"{task.where}: resumed from step {step}, key {key}")
            case Said(task=task, event=Progress(step=step, steps=steps)):
                self._steps[task.name] = f"step {step}/{steps}"
            case Said(worker=worker, event=Ended() | Lost()):
                self._running.pop(worker, None)
                self.screen.draw(worker, "idle", 0, 1)
            case CellEnded(entry=entry):
                self._cell(entry)
        if self.screen.bars is not None:
            self._draw()
        elif isinstance(event, Ticked) and self.is_due:
            running = "; ".join(self.line_of(task) for task in self._running.values())
            self.print(f"{self.summary()}: {running}")

    def _cell(self, entry: Entry) -> None:
        """Print a line for a cell that is done or failed."""
        failed = entry.state == "failed"
        self.failed += failed
        self.done += not failed
        what = f"FAILED: {entry.error}" if failed else "done"
        where = f"{entry.label} on {entry.dataset}, fold {entry.fold} seed {entry.seed}"
        self.print(f"[{self.done + self.failed}/{self.cells}] {where}: {what}", failed)

    def _draw(self) -> None:
        done = self.done + self.failed
        self.screen.draw(WHOLE, self.summary(), done, max(1, self.cells))
        for worker, task in self._running.items():
            self.screen.draw(worker, self.line_of(task), self.share.get(task.name, 0.0), 1)

    def summary(self) -> str:
        """Return cells done, running, failed, and the seconds left, as a line."""
        running = len({task.entry for task in self._running.values()})
        left = duration(self.forecast.seconds(self.share))
        return (
            f"{self.done} of {self.cells} cells done, {running} running, {self.failed} failed, "
            f"about {left} left"
        )

    def line_of(self, task: Task) -> str:
        """Return what a worker does, as a line."""
        return f"{task.where} {self._steps.get(task.name, '')}".rstrip()


Shown = TypeVar("Shown", bound=View)


@contextmanager
def shown(view: type[Shown]) -> Iterator[Shown]:
    """Yield a view on standard error: bars on a terminal, lines elsewhere."""
    if not sys.stderr.isatty() or is_quiet():
        yield view(Screen())
        return
    from rich.console import Console

    with bars(Console(stderr=True)) as progress:
        yield view(Screen(progress))


def bars(console: Any) -> Any:
    """Return a `rich` progress for a terminal; on a narrow one a bar has what it is of, on as many
    lines as that takes, and the time left."""
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    narrow = console.width < NARROW
    of = Column(no_wrap=not narrow, overflow="fold" if narrow else "ellipsis")
    columns: list[Any] = [TextColumn("{task.description}", markup=False, table_column=of)]
    columns += [] if narrow else [BarColumn(bar_width=20)]
    fields = ["left"] if narrow else FIELDS
    columns += [TextColumn("{task.fields[" + name + "]}") for name in fields]
    return Progress(*columns, console=console, transient=True, refresh_per_second=4)
