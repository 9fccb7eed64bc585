"""The inline executor: one task after the other, in this process."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from benchmark.errors import BadInput, Diverged, Stopped, failure, less_memory
from benchmark.files.atomic import disk_full
from benchmark.plan.keys import key
from benchmark.plan.nodes import Train, in_order
from benchmark.running.bench import Bench, Tally
from benchmark.running.cells import Cell, InnerCache, score
from benchmark.running.events import Cause, Ended, Event, Hear, Said
from benchmark.running.execute import execute
from benchmark.running.executors import STOPPED
from benchmark.running.tasks import Task, trainings_of


@dataclass(kw_only=True)
class Inline:
    """Runs tasks without another process, on the cells that `find` returns for them."""

    bench: Bench
    find: Callable[[Task], Cell]
    _task: Task | None = None

    apart = False

    @classmethod
    def of(cls, cells: Iterable[Cell], bench: Bench, suite: str) -> Inline:
        """Return who runs the tasks of these cells."""
        known = {cell.entry(suite).name: cell for cell in cells}
        return cls(bench=bench, find=lambda task: known[task.entry])

    def start(self) -> None:
        """Nothing is to be loaded."""

    def free(self) -> int:
        """Return 1 between two tasks."""
        return int(self._task is None)

    def submit(self, task: Task) -> int:
        """Keep the task until `wait`; this process is worker 0."""
        self._task = task
        return 0

    def wait(self, seconds: float, hear: Hear) -> None:
        """Run the task. Raises `KeyboardInterrupt`, `Stopped` where a training saved itself."""
        if (task := self._task) is None:
            time.sleep(seconds)
            return
        teller = _Teller(task, hear)
        bench = replace(self.bench, listener=teller)
        ended = run_task(task, self.find, bench)
        self._task = None
        teller.hear(ended)

    def stop(self, seconds: float) -> list[tuple[Said, Ended]]:
        """Nothing runs beside the caller."""
        return []

    def close(self) -> None:
        """Nothing runs beside the caller."""


class _Teller:
    """Says whose events they are."""

    def __init__(self, task: Task, hear: Hear) -> None:
        self._task, self._hear = task, hear

    def hear(self, event: Event) -> None:
        """Pass it on."""
        self._hear(Said(worker=0, task=self._task, event=event))  # type: ignore[arg-type]


def run_task(
    task: Task,
    find: Callable[[Task], Cell],
    bench: Bench,
    *,
    apart: bool = False,
    traces: bool = False,
) -> Ended:
    """Run one task for the cell that `find` returns of it; return how it ended. Whatever it raises
    fails it alone, with one line here and the rest in a log; with `traces` it is printed too.

    A request to stop is passed on as `KeyboardInterrupt`, or, `apart`, told in what is returned.
    """
    bench = replace(bench, tally=Tally(), fresh=task.fresh)
    began, cell, entry = time.monotonic(), None, None
    error = stopped = ""
    cause: Cause = ""
    try:
        cell = find(task)
        if task.scores:
            entry = score(cell, replace(cell.entry(task.suite), seconds=task.spent), bench)
        else:
            _train(task, cell, bench)
    except KeyboardInterrupt as asked:
        if not apart:
            raise
        stopped = str(asked) if isinstance(asked, Stopped) else STOPPED
    except (Exception, SystemExit) as reason:  # a method may raise anything, and may leave
        if traces:
            traceback.print_exc()
            sys.stderr.flush()
        hint = less_memory(reason, cell.data.ground.batch) if cell else ""
        error, cause = failure(reason, task.where, bench.root, hint), _cause(reason)
    return Ended(
        error=error,
        cause=cause,
        stopped=stopped,
        trained=(*bench.tally.trained, *bench.tally.fitted),
        resumed=tuple(bench.tally.resumed),
        old=bench.tally.old,
        read=_read(cell),
        entry=entry,
        seconds=time.monotonic() - began,
    )


def _read(cell: Cell | None) -> frozenset[str]:
    cache = cell.data.cache if cell else None
    return frozenset(cache.read) if isinstance(cache, InnerCache) else frozenset()


def _cause(reason: BaseException) -> Cause:
    if disk_full(reason):
        return "disk full"
    if isinstance(reason, BadInput):
        return "bad input"
    return "diverged" if isinstance(reason, Diverged) else "failed"


def _train(task: Task, cell: Cell, bench: Bench) -> None:
    node = _training(task.name, cell)
    if task.fresh:  # the parents are of this command already
        bench.tally.reused += [key(n, cell.context) for n in in_order(node) if n is not node]
    execute(node, cell.data, cell.seed, bench)


def _training(node_key: str, cell: Cell) -> Train:
    """The training of a key among those of a cell and of its probes."""
    for known, node, _ in trainings_of(cell):
        if known == node_key:
            return node
    raise LookupError(
        f"training {node_key} is not part of {cell.setting.label}: the worker runs other code or "
        "reads other data than the process that planned it"
    )
