"""All that is known of a group: what its part of the report is made of."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.analysis.ceiling_sources import Scored
from benchmark.analysis.ceilings import Ceilings, ceilings_of
from benchmark.analysis.controls import HARD, checks_of, measure, measured_frame
from benchmark.analysis.groups import Group
from benchmark.analysis.interpretations import Readings, readings_of
from benchmark.analysis.judgement import Analysis, analyse
from benchmark.analysis.rows import Scores, scores_of
from benchmark.analysis.tables import Line, indexed, lines_of
from benchmark.files.atomic import checked
from benchmark.plan.analysis import AnalysisPlan
from benchmark.plan.nodes import Row
from benchmark.scoring.controls import Check
from benchmark.store.ledger import Entry
from benchmark.store.objects import Objects
from benchmark.store.workspace import Workspace
from benchmark.training.precision import completed

Index = Mapping[tuple[str, str, str], Line]


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """What a report is made from. `ledger` are the cells of all suites; `timing` is "" or says why
    the analysis was not planned before its first result; with `measuring` what needs images is
    measured, which `say` is told; `outdated` says what of cells other code made."""

    workspace: Workspace
    registry: Mapping[str, Row]
    ledger: Sequence[Entry]
    plan: AnalysisPlan
    timing: str
    measuring: bool
    say: Callable[[str], None]
    outdated: Callable[[Sequence[Entry]], str]


@dataclass(frozen=True, kw_only=True, eq=False)
class Chapter(Asked):
    """A group with its scores, statistics, checks and trainings; `index` holds the lines by
    (row, metric, organ), `hard` the hard-case metrics as a frame like `scores.frame`; `ceilings`
    go by the rows' names in tables."""

    scores: Scores
    lines: tuple[Line, ...]
    index: Index
    analysis: Analysis
    checks: tuple[Check, ...]
    readings: Readings
    hard: pd.DataFrame
    trainings: Mapping[str, Training]
    ceilings: Ceilings

    @property
    def group(self) -> Group:
        """The group."""
        return self.scores.group

    @property
    def name(self) -> str:
        """The first part of its files' names."""
        return self.group.stem

    def complete_rows(self, metric: str, *kinds: str) -> list[str]:
        """Return the rows of these kinds (all without any) whose endpoint is complete."""
        chosen = self.group.of_kind(*kinds) if kinds else self.group.rows
        return [row for row in chosen if self.analysis.row(row, metric)]


def chapter_of(group: Group, asked: Asked) -> Chapter | None:
    """Return a group's chapter, None where no row of it is there yet."""
    workspace, plan, timing = asked.workspace, asked.plan, asked.timing
    scores = scores_of(group, workspace)
    if scores.frame.empty:
        return None
    if asked.measuring:
        measure(scores, workspace, plan.baseline, asked.say)
    analysis = analyse(scores, plan, timing)
    lines = tuple(lines_of(scores))
    keys = [key for entry in group.entries for key in entry.nodes]
    return Chapter(
        **vars(asked),
        scores=scores,
        lines=lines,
        index=indexed(lines),
        analysis=analysis,
        checks=checks_of(scores, analysis, plan, workspace),
        readings=readings_of(scores, analysis, asked.ledger, workspace, plan, timing),
        hard=measured_frame(scores, workspace, HARD),
        trainings=read_trainings(workspace.objects, keys),
        ceilings=_ceilings(scores, asked),
    )


def per_case(frame: pd.DataFrame) -> pd.Series:
    """Return the defined values by row, metric and case, means over seeds and organs."""
    by = ["row", "metric", "case"]
    return frame.dropna(subset=["value"]).groupby(by, observed=True)["value"].mean()


def _ceilings(scores: Scores, asked: Asked) -> Ceilings:
    """The ceilings of a group's rows, by their names in tables."""
    found, cells = _scored(scores), scores.group.cells
    return ceilings_of(
        asked.workspace,
        [replace(entry, label=row) for row, members in cells.items() for entry in members],
        say=asked.say,
        scored=lambda entry: found.get((entry.label, entry.fold, entry.seed), []),
        measuring=asked.measuring,
    )


def _scored(scores: Scores) -> dict[tuple[str, int, int], list[Scored]]:
    """The defined DSC of each cell, its cases by their own names."""
    names = {number: name for name, number in scores.numbers.items()}
    frame = scores.frame
    chosen = frame[(frame["metric"] == "dsc") & frame["value"].notna()]
    columns = [chosen[name].tolist() for name in ("row", "fold", "seed", "case", "organ", "value")]
    found: dict[tuple[str, int, int], list[Scored]] = defaultdict(list)
    for row, fold, seed, case, organ, value in zip(*columns, strict=True):
        found[row, fold, seed].append(Scored(case=names[case], organ=organ, value=value))
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Training:
    """One training. `curves` holds the mean of each term over each epoch; `hardware` and `code`
    are what `mixtures` reads."""

    key: str
    title: str
    steps: int
    seconds: float
    parameters: Mapping[str, int]
    hardware: Mapping[str, Any]
    code: str
    made_at: str
    resumed: bool
    curves: Mapping[str, NDArray[np.float64]]

    def record(self) -> dict[str, Any]:
        """Return what `mixtures` compares."""
        return {"hardware": dict(self.hardware), "code": self.code}


def read_trainings(objects: Objects, keys: Iterable[str]) -> dict[str, Training]:
    """Return the trainings that are in the store, by key."""
    found = {}
    for key in dict.fromkeys(keys):
        content = checked(objects.folder / key, "record.json")
        if content is not None:
            found[key] = _training(key, json.loads(content))
    return found


def _training(key: str, record: Mapping[str, Any]) -> Training:
    epochs = record.get("epochs", [])
    names = list(dict.fromkeys(name for epoch in epochs for name in epoch["terms"]))
    return Training(
        key=key,
        title=record["title"],
        steps=record["steps"],
        seconds=record["seconds"],
        parameters=record["parameters"],
        hardware=completed(record["hardware"]),
        code=record["code"],
        made_at=record.get("made_at", ""),
        resumed=bool(record.get("resumed")),
        curves={
            name: np.array([epoch["terms"].get(name, np.nan) for epoch in epochs]) for name in names
        },
    )
