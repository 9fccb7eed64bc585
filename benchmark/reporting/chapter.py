"""All that is known of a group: what its part of the report is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from benchmark.plan.analysis import AnalysisPlan
from benchmark.plan.nodes import Row
from benchmark.reporting.analysis import Analysis, analyse
from benchmark.reporting.ceiling_lines import Ceilings
from benchmark.reporting.chapter_ceilings import chapter_ceilings
from benchmark.reporting.checks import checks_of
from benchmark.reporting.columns import indexed, lines_of
from benchmark.reporting.reading.groups import Group
from benchmark.reporting.reading.measured import HARD, measure, measured_frame
from benchmark.reporting.reading.records import Training, read_trainings
from benchmark.reporting.reading.suite import Scores, scores_of
from benchmark.reporting.readings import Readings, readings_of
from benchmark.reporting.tables import Line
from benchmark.scoring.controls import Check
from benchmark.store.ledger import Entry
from benchmark.store.workspace import Workspace

Index = Mapping[tuple[str, str, str], Line]


@dataclass(frozen=True, kw_only=True, eq=False)
class Chapter:
    """A group with its scores, statistics, checks and trainings; `index` holds the lines by
    (row, metric, organ), `hard` the hard-case metrics as a frame like `scores.frame`; `ceilings`
    go by the rows' names in tables."""

    workspace: Workspace
    plan: AnalysisPlan
    timing: str
    registry: Mapping[str, Row]
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


def chapter_of(
    group: Group,
    workspace: Workspace,
    registry: Mapping[str, Row],
    *,
    ledger: Sequence[Entry],
    plan: AnalysisPlan,
    timing: str,
    measuring: bool,
    say: Callable[[str], None],
) -> Chapter | None:
    """Return a group's chapter, None where no row of it is there yet. With `measuring` what images
    and label maps are needed for is measured first, where it is not kept yet."""
    scores = scores_of(group, workspace)
    if scores.frame.empty:
        return None
    if measuring:
        measure(scores, workspace, plan.baseline, say)
    analysis = analyse(scores, plan, timing)
    lines = tuple(lines_of(scores))
    keys = [key for entry in group.entries for key in entry.nodes]
    return Chapter(
        workspace=workspace,
        plan=plan,
        timing=timing,
        registry=registry,
        scores=scores,
        lines=lines,
        index=indexed(lines),
        analysis=analysis,
        checks=checks_of(scores, analysis, plan, workspace),
        readings=readings_of(scores, analysis, ledger, workspace, plan, timing),
        hard=measured_frame(scores, workspace, HARD),
        trainings=read_trainings(workspace.objects, keys),
        ceilings=chapter_ceilings(scores, workspace, measuring=measuring, say=say),
    )
