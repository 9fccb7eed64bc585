"""What the mirror is told: plain values about one cell (row x fold x seed) or about one row."""

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
class RowReport:
    """A row of a comparison: the parent run. `label` is its name there (`fsm`, `fsm[xi=1]`).

    `metrics` are over all its folds and seeds, named `cv/...`; `artifacts` are files to attach.
    """

    dataset: str
    suite: str
    label: str
    method: str
    preset: str
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    artifacts: tuple[Path, ...] = ()


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
