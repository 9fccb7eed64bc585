"""What MLflow is told of one run, and what the run is called there. Plain values, pure functions.

A report stands for a run: a suite, a row below it, a cell (row x fold x seed) below that; or a
sweep, its trials and their cells. `above` is the report of the run that it lies below.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmark.plan.keys import digest as plan_digest
from benchmark.plan.presets import lasting_name
from benchmark.tracking.names import value_text

LONGEST_DIGEST = 36  # MLflow's limit for the digest of a data set

WHOLE = "mirror"  # tag: digest of the report that arrived whole. Written last.
IDENTITY = "identity"  # tag: which row or cell a run shows; how it is found again
PARENT = "mlflow.parentRunId"
GAIN = "cv/{}dsc_minus_unet/mean"  # metrics: the mean paired difference of DSC, and its interval


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """One value of one training curve. `at_ms` is when it was measured (Unix milliseconds): as it
    is stored with the training, logging a curve twice gives the same points, not twice as many."""

    name: str
    epoch: int
    value: float
    at_ms: int


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """What every run has: `artifacts`, files to attach; `folders`, attached whole under their keys;
    `spec`, as spec.json; `flags` that a reader must know. `done` is false while it is in work."""

    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    points: tuple[CurvePoint, ...] = ()
    flags: tuple[str, ...] = ()
    artifacts: tuple[Path, ...] = ()
    folders: Mapping[str, Path] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)
    done: bool = True

    @property
    def start_ms(self) -> int | None:
        """When its first curve began (Unix milliseconds), None where it has none."""
        return min((point.at_ms for point in self.points), default=None)

    @property
    def end_ms(self) -> int:
        """When its last curve ended (Unix milliseconds), 0 where it has none."""
        return max((point.at_ms for point in self.points), default=0)


@dataclass(frozen=True, kw_only=True)
class SuiteReport(RunReport):
    """A suite on one data set: the run above its rows. `metrics` are named `suite/...`; of the
    `folders`, `report` holds the page of the suite."""

    dataset: str
    suite: str
    above = None

    @property
    def title(self) -> str:
        """The name of its run."""
        return self.suite

    @cached_property
    def identity(self) -> str:
        """What makes a suite one run: data set and name."""
        return _hash(["suite", self.dataset, self.suite])

    @property
    def tags(self) -> dict[str, str]:
        """The tags of its run."""
        return _tags({"level": "suite", "dataset": self.dataset, "suite": self.suite}, self)

    @property
    def digest(self) -> str:
        """A digest of all that its run shall hold."""
        files = {
            name: [
                (path.relative_to(folder).as_posix(), *_file_state(path))
                for path in sorted(folder.rglob("*"))
                if path.is_file()
            ]
            for name, folder in self.folders.items()
        }
        return _hash([dict(self.metrics), files])


@dataclass(frozen=True, kw_only=True)
class RowReport(RunReport):
    """A row of a comparison: the run above its cells. `label` is its name (`fsm`, `fsm[xi=1]`).

    `metrics` are over all its folds and seeds, named `cv/...`. With `in_suite` its run lies below
    its suite's. `preset_hash` are the values that `preset` names, `split` is "" for the data set's
    own split. `apart` is "", or the kept-apart set that its networks were tested on: its `metrics`
    are named `apart/SET/...`, and no search for rows or folds finds it. `patients` says over how
    many its means are, and what is missing.
    """

    dataset: str
    suite: str
    label: str
    method: str
    preset: str
    in_suite: bool = False
    preset_hash: str = ""
    split: str = ""
    apart: str = ""
    patients: str = ""

    @property
    def above(self) -> SuiteReport | None:
        """The suite above the row, with nothing but its name; None where there is none."""
        return SuiteReport(dataset=self.dataset, suite=self.suite) if self.in_suite else None

    @property
    def title(self) -> str:
        """The name of its run."""
        return f"{self.label} on {self.apart}" if self.apart else self.label

    @cached_property
    def identity(self) -> str:
        """What makes a row one run: data set, suite, label, the preset's values, a split that is
        not the data set's own, and a set that was kept apart."""
        return _hash([*self._named, "apart"]) if self.apart else self.former

    @property
    def former(self) -> str:
        """The identity that a test on a kept-apart set had when its run was named as the row."""
        return _hash(self._named)

    @property
    def _named(self) -> list[str]:
        preset = lasting_name(self.preset, self.preset_hash)
        named = ["row", self.dataset, self.suite, self.label, preset]
        return [*named, self.split] if self.split else named

    @property
    def place(self) -> dict[str, str]:
        """Which row it is, as tags of its run and those below; a preset may be renamed."""
        found = {n: getattr(self, n) for n in ("method", "dataset", "suite", "label", "preset")}
        return found | ({"tested_on": self.apart} if self.apart else {})

    @property
    def tags(self) -> dict[str, str]:
        """The tags of its run but for its flags."""
        told = {"patients": self.patients} if self.patients else {}
        return _tags({"level": self.level("row"), **self.place, **told, **self.gain}, self)

    def level(self, name: str) -> str:
        """Return the level of its run (`row`) or of one below (`fold`); those of a test on a set
        that was kept apart have their own, so that no table or chart mixes them."""
        return f"{name} apart" if self.apart else name

    @property
    def gain(self) -> dict[str, str]:
        """Its paired gain over the plain row as texts, `gain` "+1.20", `gain_95` "0.4, 2.0"."""
        mean, low, high = (self.metrics.get(GAIN.format(end)) for end in ("", "low_", "high_"))
        if mean is None:
            return {}
        ends = {} if low is None or high is None else {"gain_95": f"{low:z.1f}, {high:z.1f}"}
        return {"gain": f"{mean:+z.2f}", **ends}

    @property
    def digest(self) -> str:
        """A digest of all that its run shall hold."""
        files = [_file_state(path) for path in self.artifacts]
        told = [self.patients] if self.patients else []
        shown = [dict(self.params), dict(self.metrics), self.flags, self.in_suite, files]
        return _hash([*shown, *told])


@dataclass(frozen=True, kw_only=True)
class CellReport(RunReport):
    """One fold and seed of a row: the run below it.

    `metrics` are named `test/...`, `probe/...`, `time/...`; `points` are the curves of all
    its trainings (named `train/<stage>/<term>`); `spec` is the whole resolved plan. One on a set
    that was kept apart has `fold-apart/SET/...` alone.
    """

    row: RowReport
    fold: int
    seed: int
    key: str
    dataset_digest: str = ""

    @property
    def dataset(self) -> str:
        """The data set of its row."""
        return self.row.dataset

    @property
    def above(self) -> RowReport:
        """The row that it is a cell of."""
        return self.row

    @property
    def title(self) -> str:
        """The name of its run, such as `fsm/fold0/seed0`."""
        return f"{self.row.title}/fold{self.fold}/seed{self.seed}"

    @cached_property
    def identity(self) -> str:
        """What makes a cell one run: its row, fold, seed and key."""
        return _hash(["cell", self.row.identity, self.fold, self.seed, self.key])

    @property
    def tags(self) -> dict[str, str]:
        """The tags of its run: what says which row it is of, and its own."""
        own = {"fold": str(self.fold), "seed": str(self.seed), "key": self.key}
        return _tags({"level": self.row.level("fold"), **self.row.place, **own}, self)

    @property
    def digest(self) -> str:
        """A digest of all that its run shall hold; the order of points is no matter."""
        curves = sorted({(p.name, p.epoch, p.at_ms, repr(p.value)) for p in self.points})
        plain = [dict(self.params), dict(self.metrics), dict(self.spec), self.flags]
        files = [_file_state(path) for path in self.artifacts]
        return _hash([self.done, self.dataset_digest, curves, plain, files])


@dataclass(frozen=True, kw_only=True)
class TrialReport(RunReport):
    """A run of a sweep: the sweep itself, a trial below it, a cell below that (`level`), in work
    from `start_ms` to `end_ms` (Unix milliseconds). It carries no digest: the study is asked."""

    dataset: str
    level: str
    title: str
    more: Mapping[str, str] = field(default_factory=dict)  # tags
    above: TrialReport | None = None
    start_ms: int | None = None
    end_ms: int = 0
    digest = ""

    @cached_property
    def identity(self) -> str:
        """What makes it one run: its name, and that of the run above."""
        below = self.above.identity if self.above else ""
        return plan_digest(["sweep", below, self.level, self.title])

    @property
    def tags(self) -> dict[str, str]:
        """The tags of its run."""
        return _tags({"level": self.level, **self.more}, self)


AnyReport = SuiteReport | RowReport | CellReport | TrialReport


def _tags(tags: Mapping[str, str], report: AnyReport) -> dict[str, str]:
    named = {**tags, IDENTITY: report.identity, "mlflow.source.name": "bench"}
    return {name: value_text(value) for name, value in named.items()}


def _file_state(path: Path) -> tuple[str, int, int]:
    """Name, size and time of a file; (name, -1, 0) where there is none."""
    try:
        state = path.stat()
    except OSError:
        return path.name, -1, 0
    return path.name, state.st_size, state.st_mtime_ns


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
