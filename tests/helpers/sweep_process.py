"""For tests: `bench sweep` on the tiny set."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench_process import SMALL, SMALL_GT, tiny_workspace

from benchmark.data.library import open_dataset
from benchmark.running.bench import Options
from benchmark.running.cells import Cells, inner_folds
from benchmark.running.executors.inline import Inline
from benchmark.running.tasks import Work
from benchmark.settings.registry import load_registry
from benchmark.settings.resolve import resolve
from sweeps import objective
from sweeps.objective import Evaluation, Evaluations

PATIENTS = 15  # six different inner patients in folds 0 and 1
VALUES: dict[str, Any] = {**SMALL, **SMALL_GT, "schedule.epochs": 1}


def workspace(root: Path) -> Path:
    """Store the tiny set in `root`."""
    return tiny_workspace(root, patients=PATIENTS)


def sweep_argv(root: Path, name: str = "xi", *more: str, **small: Any) -> list[str]:
    """The arguments of a tiny `bench sweep run`; `small` changes values (`__` stands for a dot)."""
    values = VALUES | {name.replace("__", "."): value for name, value in small.items()}
    sets = [part for n, v in values.items() for part in ("--set", f"{n}={json.dumps(v)}")]
    argv = ["sweep", "run", name, "--root", str(root), "--dataset", "tiny", "--threads", "1"]
    return [*argv, "--folds", "0,1", "--mlflow", "none", *sets, *more]


def objects(root: Path) -> set[str]:
    """The keys of all stored trainings."""
    return {path.parent.name for path in (root / "objects").glob("[0-9a-f]*/record.json")}


@dataclass(frozen=True, kw_only=True)
class Job:
    """A setting to evaluate."""

    row: str
    overrides: Mapping[str, Any]
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    organs: tuple[str, ...]
    suite: str


class Evaluator:
    """Evaluates settings in this process, by the engine."""

    def __init__(self, root: Path, workers: int = 1) -> None:
        self._dataset = open_dataset(root, "tiny")
        options = Options(root=root, device="cpu", precision="fp32", threads=1)
        bench = options.open()
        cells = Cells(open=partial(open_dataset, root))
        inline = Inline(bench=bench, find=lambda task: cells.of(task.cell))
        self._evaluations = Evaluations(
            work=Work(), executor=inline, bench=bench, workers=workers, say=print
        )

    def evaluate(self, job: Job) -> Evaluation:
        return self.evaluate_all(job)[0]

    def evaluate_all(self, *jobs: Job) -> list[Evaluation]:
        """The settings' values in order; as many at a time as there are workers."""
        for number, job in enumerate(jobs):
            setting = resolve(load_registry(), job.row, "quick", job.overrides)
            folds = inner_folds(self._dataset, job.folds)
            wanted = objective.Job(
                setting=setting, folds=folds, seeds=job.seeds, organs=job.organs, suite=job.suite
            )
            self._evaluations.give(f"trial {number}", wanted)
        found: dict[str, Evaluation] = {}
        while self._evaluations.busy or len(found) < len(jobs):
            found |= dict(self._evaluations.finished(60))
        return [found[f"trial {number}"] for number in range(len(jobs))]
