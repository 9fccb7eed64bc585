"""The ceilings of a report's rows, from the frame of all their scores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

from benchmark.reporting.ceiling_lines import Ceilings, ceilings_of
from benchmark.reporting.ceiling_sources import Scored
from benchmark.reporting.reading.suite import Scores
from benchmark.store.workspace import Workspace


def chapter_ceilings(
    scores: Scores, workspace: Workspace, *, measuring: bool, say: Callable[[str], None]
) -> Ceilings:
    """Return the ceilings of a group's rows, by their names in tables."""
    found = _scored(scores)
    entries = [
        replace(entry, label=row)
        for row, members in scores.group.cells.items()
        for entry in members
    ]
    return ceilings_of(
        workspace,
        entries,
        say=say,
        scored=lambda entry: found.get((entry.label, entry.fold, entry.seed), []),
        measuring=measuring,
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
