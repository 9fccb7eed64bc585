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
from benchmark.analysis.controls import HARD, checks_of, measure_group, measured_frame
from benchmark.analysis.groups import Group
from benchmark.analysis.interpretations import Interpretations, interpretations_of
from benchmark.analysis.judgement import Analysis, analyse
from benchmark.analysis.rows import Scores, group_scores
from benchmark.analysis.tables import ScoreLine, lines_of
from benchmark.plan.analysis import AnalysisPlan
from benchmark.plan.nodes import Row
from benchmark.scoring.claims import of_the_paper
from benchmark.scoring.controls import ControlCheck
from benchmark.store.ledger import Entry
from benchmark.store.objects import Objects
from benchmark.store.workspace import Workspace
from benchmark.training.precision import completed

Index = Mapping[tuple[str, str, str], ScoreLine]


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """What a report is made from. `ledger` are the cells of all suites; `timing` is "" or says why
    the analysis was not planned before its first result; with `measuring` what needs images is
    measured, which `say` is told; `outdated` says what of cells other code
    made, given what is known of codes (`outdated_line`)."""

    workspace: Workspace
    registry: Mapping[str, Row]
    ledger: Sequence[Entry]
    plan: AnalysisPlan
    timing: str
    measuring: bool
    say: Callable[[str], None]
    outdated: Callable[[Sequence[Entry], Mapping[str, str]], str]


@dataclass(frozen=True, kw_only=True, eq=False)
class Chapter(Asked):
    """A group with its scores, statistics, checks and trainings; `index` holds the lines by
    (row, metric, organ), `hard` the hard-case metrics as a frame like `scores.frame`; `ceilings`
    go by the rows' names in tables."""

    scores: Scores
    lines: tuple[ScoreLine, ...]
    index: Index
    analysis: Analysis
    checks: tuple[ControlCheck, ...]
    interpretations: Interpretations
    hard: pd.DataFrame
    trainings: Mapping[str, TrainingRecord]
    ceilings: Ceilings

    @property
    def group(self) -> Group:
        """The group."""
        return self.scores.group

    @property
    def name(self) -> str:
        """The first part of its files' names."""
        return self.group.stem

    @property
    def told(self) -> frozenset[str]:
        """The rows that it speaks of: those that were run, and those that were planned."""
        return frozenset((*self.group.rows, *self.group.unstarted))

    @property
    def has_subject(self) -> bool:
        """Whether the plan's subject was run, by its plain name."""
        return self.plan.subject in self.group.rows

    @property
    def is_table1(self) -> bool:
        """Whether the rows stand in the layout of the paper's Table 1: its own row was run, and the
        plan is about that."""
        return self.has_subject and of_the_paper(self.plan)

    @property
    def asks_subject(self) -> bool:
        """Whether the plan's subject was run or is planned, with whatever values: else nothing is
        said of it."""
        names = (row.partition("[")[0].partition("@")[0] for row in self.told)
        return self.plan.subject.partition("[")[0] in names

    def complete_rows(self, metric: str, *kinds: str) -> list[str]:
        """Return the rows of these kinds (all without any) whose endpoint is complete."""
        chosen = self.group.of_kind(*kinds) if kinds else self.group.rows
        return [row for row in chosen if self.analysis.row(row, metric)]


def chapter_of(group: Group, asked: Asked) -> Chapter | None:
    """Return a group's chapter, None where no row of it is there yet."""
    asked = replace(asked, plan=_plan_of(group, asked.plan))
    workspace, plan, timing = asked.workspace, asked.plan, asked.timing
    scores = group_scores(group, workspace)
    if scores.frame.empty:
        return None
    if asked.measuring:
        measure_group(scores, workspace, plan.baseline, asked.say)
    analysis = analyse(scores, plan, timing)
    lines = tuple(lines_of(scores))
    keys = [key for entry in group.entries for key in entry.nodes]
    return Chapter(
        **vars(asked),
        scores=scores,
        lines=lines,
        index={(line.row, line.metric, line.organ): line for line in lines},
        analysis=analysis,
        checks=checks_of(scores, analysis, plan, workspace),
        interpretations=interpretations_of(scores, analysis, asked.ledger, workspace, plan, timing),
        hard=measured_frame(scores, workspace, HARD),
        trainings=read_trainings(workspace.objects, keys),
        ceilings=_ceilings(scores, asked),
    )


def _plan_of(group: Group, plan: AnalysisPlan) -> AnalysisPlan:
    """The plan with the one variant of its baseline that a group has, where that was not run by its
    plain name, as `bench compare` takes it; never where the claim is judged."""
    found = [row for row in group.rows if row.partition("[")[0] == plan.baseline and "@" not in row]
    told = (*group.rows, *group.unstarted)
    if len(found) != 1 or plan.baseline in told or plan.subject in told:
        return plan
    return replace(plan, baseline=found[0])


def per_case(frame: pd.DataFrame) -> pd.Series:
    """Return the defined values by row, metric and case, means over seeds and organs."""
    by = ["row", "metric", "case"]
    return frame.dropna(subset=["value"]).groupby(by, observed=True)["value"].mean()


def _ceilings(scores: Scores, asked: Asked) -> Ceilings:
    """The ceilings of a group's rows, by their names in tables."""
    found, cells = _scored(scores), scores.group.cells
    return ceilings_of(
        asked.workspace,
        [
            entry if entry.label == row else replace(entry, label=row)
            for row, members in cells.items()
            for entry in members
        ],
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
class TrainingRecord:
    """One training. `curves` holds the mean of each term over each epoch; `hardware` and `code`
    are as in its record."""

    title: str
    steps: int
    seconds: float
    parameters: Mapping[str, int]
    hardware: Mapping[str, Any]
    code: str
    made_at: str
    resumed: bool
    curves: Mapping[str, NDArray[np.float64]]


def read_trainings(objects: Objects, keys: Iterable[str]) -> dict[str, TrainingRecord]:
    """Return the trainings that are in the store, by key."""
    found = {}
    for key in dict.fromkeys(keys):
        content = objects.about(key)
        if content is not None:
            found[key] = _training(json.loads(content))
    return found


def _training(record: Mapping[str, Any]) -> TrainingRecord:
    epochs = record.get("epochs", [])
    names = list(dict.fromkeys(name for epoch in epochs for name in epoch["terms"]))
    return TrainingRecord(
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
