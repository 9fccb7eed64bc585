"""Progress of a run on standard error: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmark.plan.nodes import in_order
from benchmark.training.meter import Epoch

if TYPE_CHECKING:
    from benchmark.running.bench import Bench
    from benchmark.running.cells import Cell

LINE_EVERY_SECONDS = 20.0
FIELDS = ("epoch", "terms", "left")  # of a bar, beside what it is of


@dataclass(kw_only=True)
class Clock:
    """How much of the run is left, measured in optimiser steps of trainings not yet stored."""

    steps: dict[str, int] = field(default_factory=dict)  # left, by key
    done: int = 0
    began: float = field(default_factory=time.monotonic)
    _running: dict[str, float] = field(default_factory=dict)  # steps done, by key

    def expect(self, cells: list[Cell], bench: Bench) -> None:
        """Count the steps of every distinct training that is not stored."""
        for cell in cells:
            entry = cell.entry("")
            nodes = in_order(cell.final.node)
            for key, node in zip(entry.nodes, nodes, strict=True):
                if bench.fresh or not bench.objects.has(key):
                    # without a fixed epoch length every training makes the same passes
                    per_epoch = node.schedule.steps_per_epoch or 1
                    self.steps[key] = round(node.schedule.epochs * per_epoch)
        self.began = time.monotonic()

    def finish(self, key: str) -> None:
        """A training is done."""
        self._running.pop(key, None)
        self.done += self.steps.pop(key, 0)

    def seconds_left(self, key: str, step: int, steps: int) -> float | None:
        """Return an estimate from the pace of all trainings so far, or None before there is one; a
        training has done `step` of its steps."""
        self._running[key] = self.steps.get(key, 0) * step / max(1, steps)
        part = sum(self._running.values())
        done, left = self.done + part, sum(self.steps.values()) - part
        return (time.monotonic() - self.began) * left / done if done else None


class Lines:
    """Plain lines: one where a cell and a training starts, and one now and then between. One of
    these is for one process that trains; the others `beside` it share its clock."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self._printed = time.monotonic()
        self._where = self._key = self._title = ""
        self._alone = clock is None

    def beside(self) -> Lines:
        """Return another, for a process that trains at the same time; from now on both say of which
        training they speak."""
        self._alone = False
        return Lines(self.clock)

    def expect(self, cells: list[Cell], bench: Bench) -> None:
        """Tell what is to be done, for the seconds left."""
        self.clock.expect(cells, bench)

    def cell(self, label: str, fold: int, seed: int, number: int, total: int) -> None:
        """Remember where we are."""
        self._where = f"[{number}/{total}] {label} fold {fold} seed {seed}"

    def node(
        self, title: str, key: str, number: int, total: int, steps: int, resumed: int | None
    ) -> None:
        """Print a line."""
        self._start(title, key)
        again = f", resumed from step {resumed}" if resumed is not None else ""
        self._print(f"{self._where}: {title} ({number}/{total}), {steps} steps{again}, key {key}")

    def progress(self, step: int, steps: int, terms: Mapping[str, float]) -> None:
        """Print a line now and then."""
        if time.monotonic() - self._printed >= LINE_EVERY_SECONDS:
            left = self._left(step, steps)
            what = "" if self._alone else f"{self._where}: {self._title}, "
            self._print(f"  {what}step {step}/{steps}: {terms_text(terms)}; {left}")
        else:
            self._left(step, steps)

    def epoch(self, title: str, epoch: Epoch) -> None:
        """Nothing: the lines above say enough."""

    def warn(self, text: str) -> None:
        """Print a warning."""
        self._print(f"warning: {text}")

    def _start(self, title: str, key: str) -> None:
        """A training starts: what ran here before it is done."""
        self.clock.finish(self._key)
        self._key, self._title = key, title

    def _left(self, step: int, steps: int) -> str:
        return f"{duration(self.clock.seconds_left(self._key, step, steps))} left"

    def _print(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)
        self._printed = time.monotonic()


class Bars(Lines):
    """A live bar: row, fold, stage, epoch, loss terms, seconds left."""

    def __init__(self, progress: Any, clock: Clock | None = None) -> None:
        super().__init__(clock)
        self._progress = progress
        empty = dict.fromkeys(FIELDS, "")  # it is drawn at once
        self._task = progress.add_task("", total=1, start=False, **empty)
        self._epoch = 0

    def beside(self) -> Lines:
        """Return another bar below this one, for a process that trains at the same time."""
        return Bars(self._progress, self.clock)

    def node(
        self, title: str, key: str, number: int, total: int, steps: int, resumed: int | None
    ) -> None:
        """Start the bar of a training."""
        self._start(f"{title} ({number}/{total})", key)
        self._epoch = 0
        if resumed is not None:
            self._print(f"{self._where}: {title} resumed from step {resumed}, key {key}")
        self._progress.reset(self._task, total=max(1, steps), completed=resumed or 0)
        self._show({}, resumed or 0, steps)

    def progress(self, step: int, steps: int, terms: Mapping[str, float]) -> None:
        """Move the bar."""
        self._show(terms, step, steps)

    def epoch(self, title: str, epoch: Epoch) -> None:
        """Remember the epoch."""
        self._epoch = epoch.index + 1

    def _show(self, terms: Mapping[str, float], step: int, steps: int) -> None:
        self._progress.update(
            self._task,
            completed=step,
            description=f"{self._where}: {self._title}",
            epoch=f"epoch {self._epoch}",
            terms=terms_text(terms),
            left=self._left(step, steps),
        )

    def _print(self, text: str) -> None:
        self._progress.console.print(text, highlight=False, markup=False)


@contextmanager
def watcher() -> Iterator[Lines]:
    """Yield who shows progress: bars on a terminal, lines elsewhere."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = [TextColumn("{task.description}", markup=False), BarColumn(bar_width=20)]
    columns += [TextColumn("{task.fields[" + name + "]}") for name in FIELDS]
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, refresh_per_second=4) as progress:
        yield Bars(progress)


def terms_text(terms: Mapping[str, float]) -> str:
    """Return loss terms as short text."""
    return " ".join(f"{name} {value:.3f}" for name, value in terms.items())


def duration(seconds: float | None) -> str:
    """Return seconds as `45 s`, `12 min`, `3.4 h`, `120 days`."""
    if seconds is None:
        return "?"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 100 else f"{hours / 24:.0f} days"
