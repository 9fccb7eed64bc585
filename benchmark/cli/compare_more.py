"""What `bench compare` prints beside a comparison: the ceilings of two rows, rows at their training
target, and, for `--as`, both rows by another library's definition.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmark.analysis.ceilings import (
    AT_TARGET,
    WHAT,
    CeilingLine,
    Ceilings,
    alike,
    ceiling_text,
    ceilings_of,
)
from benchmark.analysis.comparisons import compared
from benchmark.analysis.flag_guide import how_to_read
from benchmark.analysis.flags import Flag, flags_by_set
from benchmark.analysis.tables import number_text
from benchmark.cli.out import print_rows, put
from benchmark.cli.session import say

if TYPE_CHECKING:
    from benchmark.analysis.comparisons import Named, Paired
    from benchmark.store.workspace import Workspace
if TYPE_CHECKING:
    from benchmark.analysis.tables import Line
    from benchmark.scoring.definitions import Elsewhere


def compared_ceilings(
    workspace: Workspace, found: Iterable[Paired], first: Named, second: Named
) -> Ceilings:
    """Return the ceilings of the cells that are compared; none where a planned cell is missing."""
    whole = [pair.dataset for pair in found if not pair.missing]
    cells = [entry for dataset in whole for entry in compared(first, second, dataset)]
    return ceilings_of(workspace, cells, say=say)


def show_ceilings(pair: Paired, ceilings: Ceilings) -> None:
    """Print both ceilings of the comparison on one data set over the organs of its endpoint, or
    why there are none, and which row is at its target."""
    here = ceilings.on(pair.dataset)
    for line in (*_lines(pair, here), *([WHAT] if here.lines else []), *here.why_not):
        put(line)
    flags = _at_target(here)
    for _, flag in flags:
        put(f"flag: {flag.row}: {flag.line()}")
    if flags:
        put(how_to_read([AT_TARGET]))


def ceilings_json(ceilings: Ceilings) -> dict[str, Any]:
    """Return the same as plain values for a program."""
    flags = [{"dataset": dataset, **flag.as_json()} for dataset, flag in _at_target(ceilings)]
    return {"ceilings": ceilings.as_json(), AT_TARGET: flags}


def _lines(pair: Paired, ceilings: Ceilings) -> list[str]:
    """One line for rows with the same ceilings, else one a row."""
    found = alike(
        (row, _text([beside[organ] for organ in pair.organs if organ in beside]))
        for row in dict.fromkeys(line.row for line in ceilings.lines)
        for beside in [ceilings.of(row, pair.dataset)]
    )
    return [f"target and grid ceiling{of}, DSC in percent: {text}" for of, text in found]


def _text(lines: list[CeilingLine]) -> str:
    each = [f"{x.organ} {ceiling_text(x.target, x.grid)}" for x in lines]
    if len(lines) > 1:
        target, grid = (statistics.fmean(of) for of in zip(*((x.target, x.grid) for x in lines),
                                                           strict=True))  # fmt: skip
        each.append(f"mean {ceiling_text(target, grid)}")
    return ", ".join(each)


def _at_target(ceilings: Ceilings) -> list[tuple[str, Flag]]:
    return [found for found in flags_by_set(ceilings.entries) if found[1].name == AT_TARGET]


HEADLINE_ORGANS = "headline"
WIDTH = 160


def show_elsewhere(dataset: str, lines: Iterable[Line], definition: Elsewhere) -> None:
    """Print a line a row and organ, and their mean: DSC, and the distances of both definitions."""
    from benchmark.analysis.comparisons import THEIRS

    columns = {"dsc": "DSC %"}
    for metric, heading in (("assd", "ASSD mm"), ("hd95", "HD95 mm")):
        columns |= {metric: f"{heading}, ours", metric + THEIRS: f"{heading}, {definition.about}"}
    by_place = {(line.row, line.organ, line.metric): line for line in lines}
    body = []
    for row, organ in dict.fromkeys((row, organ) for row, organ, _ in by_place):
        if organ != HEADLINE_ORGANS:
            found = {metric: by_place.get((row, organ, metric)) for metric in columns}
            values = [number_text(line, metric) for metric, line in found.items()]
            dsc = by_place[row, organ, "dsc"]
            body.append((row, organ, *values, str(dsc.n), str(dsc.n_missed)))
    title = f"{dataset}: {definition.about} beside ours, from the stored label maps"
    headings = ("row", "organ", *columns.values(), "patients", "missed")
    print_rows(title, headings, body, left=2, width=WIDTH)
    put("stored nowhere, and no word above rests on it; a missed organ has no distance in either")


def elsewhere_json(
    dataset: str, lines: Iterable[Line], definition: Elsewhere, name: str
) -> dict[str, Any]:
    """Return the same as plain values."""
    return {
        "dataset": dataset,
        "as": name,
        "library": definition.about,
        "table": [asdict(line) for line in lines if line.organ != HEADLINE_ORGANS],
    }
