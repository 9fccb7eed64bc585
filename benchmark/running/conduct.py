"""Conduct a suite: hand tasks to an executor, and see every cell to its end or its failure."""

from __future__ import annotations

import errno
import os
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import NoReturn, Protocol

from benchmark.errors import BadInput, Stopped
from benchmark.running.bench import Bench
from benchmark.running.executors import STOPPED, Ended, Event, Executor, Lost, Warned
from benchmark.running.stop import HANG_SECONDS, LEAVE_SECONDS
from benchmark.running.tasks import Task, Work
from benchmark.store.ledger import Entry

ATTEMPTS = 2  # a task whose worker died is tried once more, from its checkpoint
STOP_SECONDS = 4.0
LOOK_SECONDS = 0.5


class Audience(Protocol):
    """Who is told what happens in a suite. Every call returns at once."""

    def started(self, entry: Entry) -> None:
        """A cell starts."""

    def begun(self, worker: int, task: Task) -> None:
        """A worker takes a task."""

    def said(self, event: Event) -> None:
        """A worker said something."""

    def ended(self, entry: Entry) -> None:
        """A cell is done, or failed."""

    def warn(self, text: str) -> None:
        """Something is not as it should be, and the suite goes on."""

    def tick(self) -> None:
        """Time passes."""


@dataclass(kw_only=True)
class Conductor:
    """Runs the work of one suite; `entries` are its cells' latest entries by name.

    `as_run`: of the one row of `bench run`. What all its cells would meet ends it, a failed cell
    says what its training raised, and a step may take as long to end as in one process.
    """

    work: Work
    executor: Executor
    bench: Bench
    audience: Audience
    as_run: bool = False
    entries: dict[str, Entry] = field(default_factory=dict)
    _started: set[str] = field(default_factory=set)
    _attempts: Counter[str] = field(default_factory=Counter)
    _told: set[str] = field(default_factory=set)

    def run(self) -> list[Entry]:
        """Run all tasks; return the entries of all cells, cached ones too.

        A task that fails takes down the cells that need it and nothing else. Raises `Stopped` when
        interrupted, after the workers have saved, and `as_run` what all cells would meet, too.
        """
        self.entries = {entry.name: entry for entry in self.work.cached}
        try:
            while self.work.graph.left:
                self._hand_out()
                for event in self.executor.wait(LOOK_SECONDS):
                    self._hear(event)
                self.audience.tick()
        except KeyboardInterrupt:
            self.audience.warn("stopping: workers save (once more: at once)")
            saved = self.executor.stop(self._patience)
            raise Stopped(self._stopped(saved)) from None
        finally:
            self.executor.close()
        return [self.entries[name] for name in self.work.entries]

    @property
    def _patience(self) -> float:
        """Seconds for the workers to save; in a run `Stop` itself breaks a step off before."""
        return HANG_SECONDS + LEAVE_SECONDS if self.as_run else STOP_SECONDS

    def _hand_out(self) -> None:
        while self.executor.free() and (task := self.work.graph.take()):
            self._start_cell(task)
            self._attempts[task.name] += 1
            self.audience.begun(self.executor.submit(task), task)

    def _start_cell(self, task: Task) -> None:
        """Note the cell for which a task is run as started, so that `bench status` shows it."""
        if task.entry not in self._started:
            self._started.add(task.entry)
            entry = self.work.entries[task.entry]
            self.bench.ledger.write(entry)
            self.audience.started(entry)

    def _hear(self, event: Event) -> None:
        message = event.message
        if isinstance(message, Warned):
            self._warn(message.text)
        elif isinstance(message, Lost):
            self._lost(event.task, message.cause)
        elif isinstance(message, Ended):
            self._ended(event.task, message)
        self.audience.said(event)

    def _warn(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self.audience.warn(text)

    def _lost(self, task: Task, cause: str) -> None:
        if self._attempts[task.name] < ATTEMPTS:
            self.audience.warn(f"{task.where}: {cause}; trying once more")
            self.work.graph.put_back(task)
        else:
            self._fail(task, f"{cause}, {ATTEMPTS} times")

    def _ended(self, task: Task, ended: Ended) -> None:
        tally = self.bench.tally
        tally.resumed += ended.resumed
        tally.old |= ended.old
        for key in ended.trained:
            (tally.fitted if key in self.work.probes_only else tally.trained).append(key)
        if ended.stopped:  # by somebody else than us: a worker alone was told to end
            self.work.graph.put_back(task)
        elif ended.error:
            if self.as_run and ended.ends_all:
                self._end_all(task, ended)
            self._fail(task, ended.error)
        else:
            self.work.graph.done(task)
            if ended.entry:
                self._settle(ended.entry)

    def _fail(self, task: Task, error: str) -> None:
        for cell in self.work.graph.give_up(task):
            why = error if cell is task or self.as_run else f"{task.title}: {error}"
            failed = replace(self.work.entries[cell.name], state="failed", error=why)
            self.bench.ledger.write(failed)
            self._settle(failed)

    def _end_all(self, task: Task, ended: Ended) -> NoReturn:
        """Raise what all cells would meet, after the other workers have saved."""
        self.executor.stop(self._patience)
        if ended.ends_all == "disk full":  # nothing can be noted
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._fail(task, ended.error)
        raise BadInput(ended.error)

    def _settle(self, entry: Entry) -> None:
        self.entries[entry.name] = entry
        self.audience.ended(entry)

    def _stopped(self, saved: list[Event]) -> str:
        done = sum(entry.state == "done" for entry in self.entries.values())
        said = [
            f"{event.task.where}: {event.message.stopped}"
            for event in saved
            if isinstance(event.message, Ended) and event.message.stopped != STOPPED
        ]
        return "; ".join([f"{done} of {len(self.work.entries)} cells are done", *said])
