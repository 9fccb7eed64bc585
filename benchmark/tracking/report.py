"""What the mirror is told: plain values about one cell (row x fold x seed), row, or suite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Point:
    """One value of one training curve. `at_ms` is when it was measured (Unix milliseconds): as it
    is stored with the training, logging a curve twice gives the same points, not twice as many."""

    name: str
    epoch: int
    value: float
    at_ms: int


@dataclass(frozen=True, kw_only=True)
class SuiteReport:
    """A suite on one data set: the run above its rows. `metrics` are named `suite/...`;
    `folders` are attached whole, each under its key (`report`)."""

    dataset: str
    suite: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    folders: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RowReport:
    """A row of a comparison: the parent run. `label` is its name there (`fsm`, `fsm[xi=1]`).

    `metrics` are over all its folds and seeds, named `cv/...`; `artifacts` are files to attach;
    `flags` are what a reader must know of it. With `in_suite` its run lies below its suite's.
    `preset_hash` are the values that `preset` names, `split` is "" for the data set's own split.
    """

    dataset: str
    suite: str
    label: str
    method: str
    preset: str
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    artifacts: tuple[Path, ...] = ()
    in_suite: bool = False
    preset_hash: str = ""
    split: str = ""

    @property
    def above(self) -> SuiteReport | None:
        """The suite above the row, with nothing but its name; None where there is none."""
        return SuiteReport(dataset=self.dataset, suite=self.suite) if self.in_suite else None


@dataclass(frozen=True, kw_only=True)
class CellReport:
    """One fold and seed of a row: the child run, found again by (suite, label, fold, seed, key).

    `metrics` are named `test/...`, `probe/...`, `time/...`; `points` are the curves of all
    its trainings (named `train/<stage>/<term>`); `spec` is the whole resolved plan, logged as an
    artifact. `done` is false while the cell is still training.
    """

    row: RowReport
    fold: int
    seed: int
    key: str
    done: bool
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    points: tuple[Point, ...] = ()
    spec: Mapping[str, Any] = field(default_factory=dict)
    dataset_digest: str = ""
    flags: tuple[str, ...] = ()
    artifacts: tuple[Path, ...] = ()
