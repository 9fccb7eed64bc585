"""The objective: the mean DSC on the inner validation patients of each fold.

Settings are evaluated by the engine: their cells, of inner folds alone, go into its graph while it
runs. A worker never sees the study.
"""

from __future__ import annotations

import math
import statistics
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmark.errors import BadInput
from benchmark.running.cells import Cell, InnerFold
from benchmark.running.conduct import Conductor
from benchmark.running.events import Ended, Lost
from benchmark.running.renewal import renew
from benchmark.running.tasks import Task
from benchmark.settings.resolve import Setting
from benchmark.store.ledger import SWEEPS, Entry
from benchmark.store.results import ResultRow

WORST = 0.0  # DSC in percent: what a setting is worth whose training diverged
METRIC = "dsc"
LEAST_PATIENTS = 4  # inner patients with an organ, for it to count in the objective
MOST_DEATHS = 10  # of workers with one setting: then it is the setting's fault


class WorkerFailed(Exception):  # noqa: N818 - what happened, not an error of the caller
    """A worker cannot evaluate a setting; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Organs:
    """Which organs count in the objective; `left_out` maps the others to their inner patients."""

    used: tuple[str, ...]
    left_out: dict[str, int]

    def lines(self) -> list[str]:
        """Return a line for each organ that does not count."""
        return [
            f"{organ} is left out of the objective: {count} inner patients have it annotated, "
            f"fewer than {LEAST_PATIENTS}"
            for organ, count in self.left_out.items()
        ]


def organs_of(folds: tuple[InnerFold, ...]) -> Organs:
    """Return the organs that at least four different inner patients of the folds have annotated.

    Raises `BadInput` where no organ has.
    """
    patients = {
        (name, o) for f in folds for name in f.validation for o in f.dataset.case(name).annotated
    }
    counts = {organ: sum(o == organ for _, o in patients) for organ in folds[0].dataset.organs}
    used = tuple(organ for organ, count in counts.items() if count >= LEAST_PATIENTS)
    if not used:
        most = max(counts.values())
        raise BadInput(
            f"too few inner validation patients to tune on: at most {most} for an organ in folds "
            f"{', '.join(str(f.index) for f in folds)}, {LEAST_PATIENTS} are needed; "
            "give more folds (--folds 0,1,2) or more cases"
        )
    return Organs(used=used, left_out={o: n for o, n in counts.items() if n < LEAST_PATIENTS})


@dataclass(frozen=True, kw_only=True)
class Job:
    """A setting to evaluate. `suite` is where its cells stand in the ledger."""

    setting: Setting
    folds: tuple[InnerFold, ...]
    seeds: tuple[int, ...]
    organs: tuple[str, ...]
    suite: str

    def cells(self) -> Iterator[Cell]:
        """Yield its cells in order; what they read of the disk is the workers' memory."""
        for fold in self.folds:
            for seed in self.seeds:
                yield fold.cell(self.setting, seed, {})


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a setting is worth: DSC in percent, the mean over folds and seeds.

    `folds` holds the mean by fold, `patients` by fold and case (both over the organs that count),
    `nodes` the stored trainings of each cell by "FOLD/SEED", `read` the cases that each fold's
    cells asked for. `diverged` says why the value is the worst, or is empty.
    """

    value: float
    folds: dict[str, float]
    patients: dict[str, dict[str, float]]
    nodes: dict[str, list[str]]
    read: dict[str, list[str]]
    trained: int
    seconds: float
    diverged: str = ""

    def record(self) -> dict[str, Any]:
        """Return plain values, as the study keeps them."""
        return asdict(self)


@dataclass(kw_only=True)
class _Open:
    """A job under way: the cells that are still to come, and the sum of those that came."""

    job: Job
    cells: Iterator[Cell]
    trained: int = 0
    diverged: str = ""
    read: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    began: float = field(default_factory=time.monotonic)
    _values: dict[int, dict[str, dict[str, list[float]]]] = field(default_factory=dict)
    _nodes: dict[str, list[str]] = field(default_factory=dict)

    def add(self, entry: Entry, rows: Iterable[ResultRow], nodes: list[str]) -> None:
        """Take one cell."""
        self._nodes[f"{entry.fold}/{entry.seed}"] = nodes
        if entry.error:
            self.diverged = f"fold {entry.fold} seed {entry.seed}: {entry.error}"
        organs = self._values.setdefault(entry.fold, {})
        for row in rows:
            counts = row.metric == METRIC and row.organ in self.job.organs
            if counts and not math.isnan(row.value):
                organs.setdefault(row.organ, {}).setdefault(row.case, []).append(row.value)

    def evaluation(self) -> Evaluation:
        """Return the sum of it all."""
        folds = {str(fold): _mean(organs) for fold, organs in self._values.items() if organs}
        value = WORST if self.diverged or not folds else statistics.fmean(folds.values())
        return Evaluation(
            value=value,
            folds=folds,
            patients={str(f): _patients(o) for f, o in self._values.items() if o},
            nodes=self._nodes,
            read={fold: sorted(names) for fold, names in self.read.items()},
            trained=self.trained,
            seconds=round(time.monotonic() - self.began, 3),
            diverged=self.diverged,
        )


@dataclass(kw_only=True)
class Evaluations(Conductor):
    """Evaluates settings, one a worker at a time and each cell after cell; the others wait.

    A training that diverges ends its setting. `say` is told of workers that died.
    """

    workers: int
    say: Callable[[str], None]
    as_run: bool = True  # a cell says what its training raised
    _waiting: deque[tuple[str, Job]] = field(default_factory=deque)
    _open: dict[str, _Open] = field(default_factory=dict)
    _for: dict[str, list[str]] = field(default_factory=dict)  # jobs by the cell they wait for
    _deaths: Counter[str] = field(default_factory=Counter)
    _done: list[tuple[str, Evaluation]] = field(default_factory=list)

    @property
    def vacant(self) -> int:
        """How many more jobs would start at once."""
        return self.workers - len(self._open) - len(self._waiting)

    @property
    def busy(self) -> bool:
        """Whether any job is not finished."""
        return bool(self._waiting or self._open)

    def give(self, name: str, job: Job) -> None:
        """Take a job on."""
        self._waiting.append((name, job))

    def finished(self, seconds: float) -> list[tuple[str, Evaluation]]:
        """Return what was finished, by the name it was given under, after `seconds` at the latest.

        Raises `BadInput` and `WorkerFailed` for what a worker could not do.
        """
        until = time.monotonic() + seconds
        while not self._done and (left := until - time.monotonic()) > 0:
            while self._waiting and len(self._open) < self.workers:
                name, job = self._waiting.popleft()
                self._open[name] = _Open(job=job, cells=job.cells())
                self._go_on(name)
            self.step(left)
        done, self._done = self._done, []
        return done

    def ended(self, task: Task, ended: Ended) -> None:
        """Note what was trained and read for whom."""
        for number, name in enumerate(self._for.get(task.entry, ())):
            job = self._open[name]
            job.trained += 0 if number else len(ended.trained)
            job.read[str(task.cell.fold)] |= ended.read
        super().ended(task, ended)

    def failed(self, task: Task, ended: Ended) -> None:
        """A training that diverged is worth the worst; anything else ends the sweep."""
        if ended.cause != "disk full":
            self.fail(task, ended.error)
        if ended.cause == "bad input":
            raise BadInput(ended.error)
        if ended.cause != "diverged":
            raise WorkerFailed(ended.error)

    def lost(self, task: Task, lost: Lost) -> None:
        """Another worker goes on with the task; too many deaths end the sweep."""
        name = self._for.get(task.entry, [task.where])[0]  # its setting may have diverged meanwhile
        how = death(lost)
        self._deaths[name] += 1
        if self._deaths[name] >= MOST_DEATHS:
            raise WorkerFailed(f"{how}, the {MOST_DEATHS}th with {name}: is there memory enough?")
        self.say(f"{how} in {name}: another goes on with it")
        if task.name in self.work.graph.tasks:  # else it is of the study before
            self.work.graph.put_back(task)

    def settle(self, entry: Entry) -> None:
        """Score a cell for those who wait for it."""
        super().settle(entry)
        results, objects = self.bench.results, self.bench.objects
        for name in self._for.pop(entry.name, ()):
            rows = [] if entry.error else results.rows(entry.key, entry.evaluation)
            kept = [key for key in entry.nodes if objects.has(key)]
            self._open[name].add(entry, rows, kept)
            self._go_on(name)

    def _go_on(self, name: str) -> None:
        """Take on the next cell of a job, or give its value."""
        mine = self._open[name]
        cell = None if mine.diverged else next(mine.cells, None)
        if cell is None:
            del self._open[name]
            self._done.append((name, mine.evaluation()))
            return
        renew([cell], self.bench)
        self._for.setdefault(cell.entry(mine.job.suite).name, []).append(name)
        self.work.add([cell], self.bench, mine.job.suite)


def death(lost: Lost) -> str:
    """Return what is said of a worker that died."""
    if lost.process is None:  # in a cluster
        return lost.cause
    return f"worker {lost.process} died (exit code {lost.code})"


def suite(study_name: str) -> str:
    """Return where the cells of a study stand in the ledger."""
    return f"{SWEEPS}{study_name}"


def _mean(organs: Mapping[str, Mapping[str, list[float]]]) -> float:
    """The mean over organs of the mean over patients, a patient's being over seeds."""
    return statistics.fmean(
        statistics.fmean(statistics.fmean(values) for values in cases.values())
        for cases in organs.values()
    )


def _patients(organs: Mapping[str, Mapping[str, list[float]]]) -> dict[str, float]:
    found: dict[str, list[float]] = defaultdict(list)
    for cases in organs.values():
        for case, values in cases.items():
            found[case].append(statistics.fmean(values))
    return {case: round(statistics.fmean(values), 6) for case, values in sorted(found.items())}
