"""The objective: the mean DSC on the inner validation patients of each fold."""

from __future__ import annotations

import math
import statistics
import sys
import time
from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from benchmark.data.feeding.slices import CaseSlices
from benchmark.errors import Stopped
from benchmark.running.bench import Bench, Silent
from benchmark.running.cells import run_cells
from benchmark.running.registry import load_registry
from benchmark.running.resolve import Setting, resolve
from benchmark.store.ledger import Entry
from benchmark.store.results import ResultRow
from sweeps.inner import InnerCache, InnerFold, inner_folds

WORST = 0.0  # DSC in percent: what a setting is worth whose training diverged
METRIC = "dsc"


@dataclass(frozen=True, kw_only=True)
class Job:
    """A setting to evaluate. `suite` is where its cells stand in the ledger."""

    row: str
    overrides: Mapping[str, Any]
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    organs: tuple[str, ...]
    suite: str


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


class Warnings(Silent):
    """Prints warnings alone: several workers share the screen."""

    def warn(self, text: str) -> None:
        """Print it."""
        print(f"warning: {text}", file=sys.stderr, flush=True)


class Evaluator:
    """Evaluates settings in this process. Cases stay in memory from one setting to the next."""

    def __init__(self, options: Namespace) -> None:
        self._options = options
        self._registry = load_registry()
        self._memory: dict[tuple[int | None, str], dict[str, CaseSlices]] = defaultdict(dict)
        self._bench: Bench | None = None
        self._folds: dict[int, InnerFold] = {}
        self._stopped = False

    def evaluate(self, job: Job) -> Evaluation:
        """Train and score every fold and seed of a setting; a training that diverges ends it.

        Raises `BadInput` for data that cannot be read, `Stopped` when asked to end.
        """
        began = time.monotonic()
        setting = resolve(self._registry, job.row, self._options.preset, job.overrides)
        bench = self.open(setting)
        if self._stopped:
            raise Stopped("stopped before the training began")
        before = len(bench.tally.trained)
        score = _Score(job.organs)
        for fold in job.folds:
            for seed in job.seeds:
                self._cell(setting, self._folds[fold], seed, job, score)
                if score.diverged:
                    break
            if score.diverged:
                break
        return score.evaluation(len(bench.tally.trained) - before, time.monotonic() - began)

    def open(self, setting: Setting) -> Bench:
        """Return the bench, opened for the first setting. Raises `BadInput`."""
        from benchmark.cli.session import open_session

        if self._bench is None:
            self._bench, dataset = open_session(self._options, Warnings(), setting)
            folds = inner_folds(dataset, self._options.folds)
            self._folds = {fold.index: fold for fold in folds}
        return self._bench

    def stop(self) -> None:
        """Ask a running training to save itself and end (from another thread)."""
        self._stopped = True
        if self._bench is not None:
            self._bench.stop.requested = True

    def _cell(self, setting: Setting, fold: InnerFold, seed: int, job: Job, score: _Score) -> None:
        assert self._bench is not None
        ground = setting.ground
        cell = fold.cell(setting, seed, self._memory[ground.size, ground.labels])
        (entry,) = run_cells([cell], self._bench, suite=job.suite)
        rows = [] if entry.error else self._bench.results.rows(entry.key, entry.evaluation)
        kept = [key for key in entry.nodes if self._bench.objects.has(key)]
        assert isinstance(cell.data.cache, InnerCache)
        score.add(entry, rows, kept, cell.data.cache.read)


class _Score:
    """Adds up cells."""

    def __init__(self, organs: tuple[str, ...]) -> None:
        self.organs = organs
        self.diverged = ""
        self._values: dict[int, dict[str, dict[str, list[float]]]] = {}
        self._nodes: dict[str, list[str]] = {}
        self._read: dict[str, set[str]] = defaultdict(set)

    def add(
        self, entry: Entry, rows: Iterable[ResultRow], nodes: list[str], read: set[str]
    ) -> None:
        """Take one cell."""
        self._nodes[f"{entry.fold}/{entry.seed}"] = nodes
        self._read[str(entry.fold)] |= read
        if entry.error:
            self.diverged = f"fold {entry.fold} seed {entry.seed}: {entry.error}"
        organs = self._values.setdefault(entry.fold, {})
        for row in rows:
            counts = row.metric == METRIC and row.organ in self.organs
            if counts and not math.isnan(row.value):
                organs.setdefault(row.organ, {}).setdefault(row.case, []).append(row.value)

    def evaluation(self, trained: int, seconds: float) -> Evaluation:
        """Return the sum of it all."""
        folds = {str(fold): _mean(organs) for fold, organs in self._values.items() if organs}
        value = WORST if self.diverged or not folds else statistics.fmean(folds.values())
        return Evaluation(
            value=value,
            folds=folds,
            patients={str(f): _patients(o) for f, o in self._values.items() if o},
            nodes=self._nodes,
            read={fold: sorted(names) for fold, names in self._read.items()},
            trained=trained,
            seconds=round(seconds, 3),
            diverged=self.diverged,
        )


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
