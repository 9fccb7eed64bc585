"""`bench run` by several workers: its trainings as tasks of a suite's graph, shown as by one
process."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from benchmark.running.executors import EpochEnded, Event, Progress, Training

if TYPE_CHECKING:
    from benchmark.cli.progress import Lines
    from benchmark.running.bench import Bench
    from benchmark.running.cells import Cell
    from benchmark.running.crew import Left
    from benchmark.running.tasks import Task
    from benchmark.store.ledger import Entry


class Several:
    """Shows what each worker does."""

    def __init__(self, entries: Mapping[str, Entry], show: Lines) -> None:
        self._entries = entries
        self._numbers = {name: number for number, name in enumerate(entries, start=1)}
        self._views = {0: show}
        self._told: set[str] = set()

    def started(self, entry: Entry) -> None:
        """Nothing: the worker says when a training starts."""

    def begun(self, worker: int, task: Task) -> None:
        """Nothing: the worker says when a training starts."""

    def said(self, event: Event) -> None:
        """Show it."""
        view, message = self._view(event.worker), event.message
        if isinstance(message, Training):
            self._training(view, event.task, message)
        elif isinstance(message, Progress):
            view.progress(message.step, message.steps, message.terms)
        elif isinstance(message, EpochEnded):
            view.epoch(message.title, message.epoch)

    def ended(self, entry: Entry) -> None:
        """Warn of a cell that failed."""
        if entry.state == "failed":
            self.warn(f"{entry.label} fold {entry.fold} seed {entry.seed}: {entry.error}")

    def warn(self, text: str) -> None:
        """Show it once: a worker may have said it of its own cell."""
        if text not in self._told:
            self._told.add(text)
            self._views[0].warn(text)

    def tick(self) -> None:
        """Nothing: what workers say is shown at once."""

    def _view(self, worker: int) -> Lines:
        if worker not in self._views:
            self._views[worker] = self._views[0].beside()
        return self._views[worker]

    def _training(self, view: Lines, task: Task, said: Training) -> None:
        """Show where in its cell a training stands; one of a probe stands in its own chain."""
        entry, number, total = self._entries[task.entry], said.number, said.total
        if said.key in entry.nodes:
            number, total = entry.nodes.index(said.key) + 1, len(entry.nodes)
        place = self._numbers[entry.name]
        view.cell(entry.label, entry.fold, entry.seed, place, len(self._entries))
        view.node(said.title, said.key, number, total, said.steps, said.resumed)


def run_by_workers(
    args: argparse.Namespace,
    cells: list[Cell],
    bench: Bench,
    left: Left,
    workers: int,
    show: Lines,
) -> list[Entry]:
    """Run cells as `run_cells` does, by N processes; all folds start at once. Returns their entries
    in order."""
    from benchmark.cli.workers import local
    from benchmark.running.conduct import Conductor
    from benchmark.running.renewal import renew
    from benchmark.running.tasks import work_of
    from benchmark.store.ledger import SCRATCH

    size = cells[0].setting.ground.size
    executor = local(args, size, workers, suite=SCRATCH, log=None)
    try:
        executor.start()  # the workers load meanwhile
        if not bench.fresh:
            renew(cells, bench)
        work = work_of(cells, bench, SCRATCH, left.seconds, every_cell=True, breadth_first=True)
        audience = Several(work.entries, show)
        entries = Conductor(
            work=work, executor=executor, bench=bench, audience=audience, as_run=True
        ).run()
    except BaseException:
        executor.stop(0)
        raise
    bench.tally.reused += work.reused
    return entries
