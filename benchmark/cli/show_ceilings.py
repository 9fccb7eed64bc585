"""What `bench compare` prints of the ceilings of two rows, and of rows at their training target."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
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
from benchmark.analysis.flags import Flag, flags_of
from benchmark.cli.out import put
from benchmark.cli.session import say

if TYPE_CHECKING:
    from benchmark.analysis.comparisons import Named, Paired
    from benchmark.store.workspace import Workspace


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
    return [
        (dataset, flag)
        for dataset in dict.fromkeys(entry.dataset for entry in ceilings.entries)
        for flag in flags_of(entry for entry in ceilings.entries if entry.dataset == dataset)
        if flag.name == AT_TARGET
    ]
