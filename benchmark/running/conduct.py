"""Conduct cells: hand their tasks to an executor, and see each to its end or its failure."""

from __future__ import annotations

import errno
import os
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import NoReturn

from benchmark.errors import BadInput, Stopped
from benchmark.plan.wording import early_text
from benchmark.running.bench import Bench
from benchmark.running.events import (
    CellEnded,
    Ended,
    Event,
    Lost,
    Said,
    TaskBegun,
    Ticked,
    Warned,
)
from benchmark.running.executors import STOPPED, Executor
from benchmark.running.stop import HANG_SECONDS, LEAVE_SECONDS
from benchmark.running.tasks import Task, Work
from benchmark.store.ledger import Entry

ATTEMPTS = 2  # a task whose worker died is tried once more, from its checkpoint
MOST_NODES = 10  # that a task may lose beside: a machine with no power says nothing of a task
MOST_PASSED = 32  # tasks that are looked at for one that nobody trains: each look may be a request
STOP_SECONDS = 4.0
LOOK_SECONDS = 0.5
AGAIN_SECONDS = 2.0  # until what another one makes is looked at again
ELSEWHERE = "all that is left now is being made by others: waiting for the first of it"


@dataclass(kw_only=True)
class Conductor:
    """Runs the work of a suite and tells the bench's listener; `entries` are its cells' latest
    entries by name. What is to be done elsewhere is a subclass with other `lost` and `failed`.

    `as_run`: of the one row of `bench run`. What all its cells would meet ends it, a failed cell
    says what its training raised, and a step may take as long to end as in one process.
    """

    work: Work
    executor: Executor
    bench: Bench
    as_run: bool = False
    entries: dict[str, Entry] = field(default_factory=dict)
    attempts: Counter[str] = field(default_factory=Counter)
    _started: set[str] = field(default_factory=set)
    _spent: dict[str, float] = field(default_factory=dict)  # seconds, by cell
    _told: set[str] = field(default_factory=set)
    _nodes: Counter[str] = field(default_factory=Counter)  # that were lost, by task
    _elsewhere: dict[str, float] = field(default_factory=dict)  # when it was seen, by task

    def run(self) -> list[Entry]:
        """Run all tasks; return the entries of all cells, cached ones too.

        A task that fails takes down the cells that need it and nothing else. Raises `Stopped` when
        interrupted, after the workers have saved, and `as_run` what all cells would meet, too.
        """
        self.entries = {entry.name: entry for entry in self.work.cached}
        try:
            while not self.work.graph.is_done:
                self.step(LOOK_SECONDS)
        except KeyboardInterrupt:
            if not self.executor.apart:
                raise
            self.bench.warn("stopping: workers save (once more: at once)")
            saved = self.executor.stop(self._patience)
            raise Stopped(self._stopped(saved)) from None
        finally:
            self.executor.close()
        self.bench.tally.reused += self.work.reused
        return [self.entries[name] for name in self.work.entries]

    def step(self, seconds: float) -> None:
        """Hand out what can be, and hear what is said within `seconds`."""
        while self.executor.free() and (task := self._next()):
            self._hand_out(task)
        self.executor.wait(seconds, self._hear)
        self._tell(Ticked())

    def ended(self, task: Task, ended: Ended) -> None:
        """A worker is through with a task."""
        tally = self.bench.tally
        tally.resumed += ended.resumed
        tally.old |= ended.old
        self._spent[task.entry] = self._spent.get(task.entry, 0.0) + ended.seconds
        for key in ended.trained:
            (tally.fitted if key in self.work.probes_only else tally.trained).append(key)
        if ended.stopped:  # by somebody else than us: a worker alone was told to end
            self.work.graph.put_back(task)
        elif ended.error:
            self.failed(task, ended)
        else:
            self.work.graph.done(task)
            if ended.entry:
                self.settle(ended.entry)
            elif not (task.name in ended.trained or task.name in self.work.probes_only):
                # somebody else did it
                tally.reused.append(task.name)

    def lost(self, task: Task, lost: Lost) -> None:
        """A worker died under a task: try once more, then give it up."""
        if lost.node and self._nodes[task.name] < MOST_NODES:
            self._nodes[task.name] += 1
            self.attempts[task.name] -= 1
        if self.attempts[task.name] < ATTEMPTS:
            self.bench.warn(f"{task.where}: {lost.cause}; trying once more")
            self.work.graph.put_back(task)
        else:
            self.fail(task, f"{lost.cause}, {ATTEMPTS} times")

    def failed(self, task: Task, ended: Ended) -> None:
        """A task failed: so do the cells that need it. Raises, `as_run`, what all would meet."""
        if self.as_run and ended.cause in ("bad input", "disk full"):
            self._end_all(task, ended)
        self.fail(task, ended.error)

    def fail(self, task: Task, error: str) -> None:
        """Note the cells that need a task as failed."""
        for cell in self.work.graph.give_up(task):
            why = error if cell.name == task.name or self.as_run else f"{task.title}: {error}"
            failed = replace(self.work.entries[cell.name], state="failed", error=why)
            self.bench.ledger.write(failed)
            self.settle(failed)

    def settle(self, entry: Entry) -> None:
        """A cell is done, or failed."""
        self.entries[entry.name] = entry
        self._tell(CellEnded(entry=entry))

    @property
    def _patience(self) -> float:
        """Seconds for the workers to save; in a run `Stop` itself breaks a step off before."""
        return HANG_SECONDS + LEAVE_SECONDS if self.as_run else STOP_SECONDS

    def _tell(self, event: Event) -> None:
        self.bench.listener.hear(event)

    def _next(self) -> Task | None:
        """Take the next task. What another command or machine makes just now comes last: several
        that do the same share it. Where several such tasks are left nobody waits for one of them:
        another may be through first, and free what needs it. Who is left with one alone waits, and
        says for whom."""
        passed: list[Task] = []
        graph = self.work.graph
        while (task := graph.take()) and self._is_made_elsewhere(task):
            passed.append(task)
            if len(passed) == MOST_PASSED:
                break
        if passed and (len(passed) == MOST_PASSED or (task is None and len(passed) == 1)):
            task = passed.pop(0)
        elif passed and task is None:
            self._warn(ELSEWHERE)
        for each in passed:
            graph.put_back(each)
        return task

    def _is_made_elsewhere(self, task: Task) -> bool:
        """Whether a living process trains or scores it, now or a moment ago."""
        now = time.monotonic()
        if now - self._elsewhere.get(task.name, -AGAIN_SECONDS) < AGAIN_SECONDS:
            return True
        if task.scores:
            entry = self.work.entries[task.entry]
            held = self.bench.results.is_scoring(entry.key, entry.evaluation)
        else:
            held = self.bench.objects.is_training(task.name)
        if held:
            self._elsewhere[task.name] = now
        return held

    def _hand_out(self, task: Task) -> None:
        """Submit a task; its cell is noted as started first, so that `bench status` shows it."""
        if task.entry not in self._started:
            self._started.add(task.entry)
            self.bench.ledger.write(self.work.entries[task.entry])
        self.attempts[task.name] += 1
        worker = self.executor.submit(replace(task, spent=self._spent.get(task.entry, 0.0)))
        self._tell(TaskBegun(worker=worker, task=task))

    def _hear(self, event: Event) -> None:
        if not isinstance(event, Said):
            self._tell(event)
            return
        if isinstance(event.event, Warned):
            self._warn(event.event.text)
            return
        if isinstance(event.event, Lost):
            self.lost(event.task, event.event)
        elif isinstance(event.event, Ended):
            self.ended(event.task, event.event)
        self._tell(event)

    def _warn(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self.bench.warn(text)

    def _end_all(self, task: Task, ended: Ended) -> NoReturn:
        """Raise what all cells would meet, after the other workers have saved."""
        self.executor.stop(self._patience)
        if ended.cause == "disk full":  # nothing can be noted
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.fail(task, ended.error)
        raise BadInput(ended.error)

    def _stopped(self, saved: list[tuple[Said, Ended]]) -> str:
        done = sum(entry.state == "done" for entry in self.entries.values())
        said = [
            f"{said.task.where}: {ended.stopped}"
            for said, ended in saved
            if ended.stopped != STOPPED
        ]
        early = sum("@" in entry.label for entry in self.work.entries.values())
        cells = f"{done} of {len(self.work.entries)} cells are done{early_text(early)}"
        return "; ".join([cells, *said])
