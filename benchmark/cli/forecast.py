"""How long the rest will take, by what was foretold of each task and what tasks took so far."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.running.tasks import Task

MOST = 3.0  # what trainings alone say of scorings, in either direction; and the other way round
MANY = 2000  # open tasks: from here on who waits for whom is not asked at every tick
LEAST_SHARE = 0.1  # done of a running training, from which on it tells a pace
Kind = tuple[bool, str, str]  # whether it scores, the row with its stage, the training's title


@dataclass(kw_only=True)
class Forecast:
    """Seconds left: the estimates of the open tasks, each times how often its estimate a task took
    that was of its kind; else the middle of the kinds of its sort (trainings, scorings); else of
    all kinds, within `MOST`. A training that was resumed counts from where it was taken up.
    """

    workers: int
    open: dict[str, Task] = field(default_factory=dict)
    _estimated: dict[Kind, float] = field(default_factory=dict)
    _spent: dict[Kind, float] = field(default_factory=dict)
    _began: dict[str, float] = field(default_factory=dict)
    _from: dict[str, float] = field(default_factory=dict)  # the share done before, if resumed

    def begin(self, task: Task) -> None:
        """A task starts."""
        self._began[task.name] = time.monotonic()

    def resume(self, task: Task, share: float) -> None:
        """A training goes on from where a share of it is done."""
        self._from[task.name] = share

    def end(self, task: Task, worked: bool = True) -> None:
        """A task ended, one way or another; not `worked`, it was stored already and tells
        nothing."""
        if task.name in self._began and task.name in self.open:
            del self.open[task.name]
            spent = time.monotonic() - self._began.pop(task.name)
            if worked:
                kind = kind_of(task)
                estimated = task.seconds * (1 - self._from.get(task.name, 0.0))
                self._spent[kind] = self._spent.get(kind, 0.0) + spent
                self._estimated[kind] = self._estimated.get(kind, 0.0) + estimated

    def keep(self, names: Iterable[str]) -> None:
        """Forget what was given up."""
        self.open = {name: self.open[name] for name in names if name in self.open}

    def knows(self, progress: Mapping[str, float]) -> bool:
        """Return whether a training has shown a pace."""
        return any(not scores for scores, _, _ in self._paces(progress))

    def seconds(self, progress: Mapping[str, float]) -> float:
        """Return the seconds left; `progress` is the share done of running tasks."""
        paces, now = self._paces(progress), time.monotonic()
        left = {
            name: task.seconds * (1 - progress.get(name, 0.0)) * _pace_of(task, paces)
            for name, task in self.open.items()
        }
        for name in self._began.keys() & left.keys() - progress.keys():  # a scoring tells no share
            if self.open[name].scores:
                left[name] = max(0.0, left[name] - (now - self._began[name]))
        order = sorted(self.open, key=lambda name: name not in self._began)
        return _makespan(
            {name: (left[name], self.open[name].needs) for name in order}, self.workers
        )

    def _paces(self, progress: Mapping[str, float]) -> dict[Kind, float]:
        """How often its estimate each kind took that has shown it."""
        spent, estimated, now = dict(self._spent), dict(self._estimated), time.monotonic()
        for name, share in progress.items():
            task, before = self.open.get(name), self._from.get(name, 0.0)
            if task and name in self._began and share - before >= LEAST_SHARE * (1 - before):
                kind = kind_of(task)
                spent[kind] = spent.get(kind, 0.0) + now - self._began[name]
                estimated[kind] = estimated.get(kind, 0.0) + task.seconds * (share - before)
        return {kind: spent[kind] / of for kind, of in estimated.items() if of > 0}


def _makespan(open_: Mapping[str, tuple[float, frozenset[str]]], workers: int) -> float:
    """Return when the last of these tasks ends: seconds of each, and what it waits for. Workers
    take what is ready in turn; of very many tasks none stands in another's way for long."""
    if len(open_) > MANY:
        return sum(seconds for seconds, _ in open_.values()) / workers
    waits = {name: set(needs & open_.keys()) for name, (_, needs) in open_.items()}
    children: dict[str, list[str]] = {}
    for name, parents in waits.items():
        for parent in parents:
            children.setdefault(parent, []).append(name)
    ready = deque(name for name, parents in waits.items() if not parents)
    busy: list[tuple[float, str]] = []
    now = 0.0
    while ready or busy:
        while ready and len(busy) < workers:
            name = ready.popleft()
            heappush(busy, (now + open_[name][0], name))
        now, name = heappop(busy)
        for child in children.get(name, ()):
            waits[child].discard(name)
            if not waits[child]:
                ready.append(child)
    return now


def kind_of(task: Task) -> Kind:
    """Return what tasks share that differ in data set, fold and seed alone."""
    label = f"{task.cell.setting.label}@{task.cell.stage}" if task.scores else ""
    return task.scores, label, task.title


def _pace_of(task: Task, paces: Mapping[Kind, float]) -> float:
    kind = kind_of(task)
    if kind in paces:
        return paces[kind]
    if alike := [pace for (scores, _, _), pace in paces.items() if scores == task.scores]:
        return statistics.median(alike)
    others = list(paces.values())
    return min(MOST, max(1 / MOST, statistics.median(others))) if others else 1.0
