"""The table of a suite's rows on standard output, with the reference lines above them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.analysis.ceilings import NAMES, Ceilings, alike, ceiling_texts
from benchmark.analysis.suites import Standing
from benchmark.analysis.tables import MEAN, ScoreLine, number_text
from benchmark.cli.out import print_rows, put
from benchmark.scoring.surface import described
from benchmark.settings.resolve import without

if TYPE_CHECKING:
    from benchmark.running.held_out import Apart


def print_suite(lines: list[ScoreLine], suite: Standing, ceilings: Ceilings) -> None:
    """Print a table a data set: reference lines, and a line a row; one that lacks a cell has no
    number."""
    missing = suite.missing
    for dataset in dict.fromkeys([*(x.dataset for x in lines), *(x.dataset for x in missing)]):
        chosen = [line for line in lines if line.dataset == dataset]
        organs = list(dict.fromkeys(x.organ for x in chosen if x.metric == "dsc"))
        body = [
            (name, *cells, "-", "-", "-")
            for name, cells in _reference_rows(chosen, organs, suite, ceilings)
        ]
        for row in dict.fromkeys(line.row for line in chosen):
            body.append(
                (row_name(row, suite), *_cells([x for x in chosen if x.row == row], organs))
            )
        for row in dict.fromkeys(x.row for x in missing if x.dataset == dataset):
            body.append((row_name(row, suite), *["-"] * (len(organs) + 2), "INCOMPLETE"))
        headings = ("row", *organs, "ASSD mm (mean)", "patients", "missed")
        print_rows(f"{dataset}: DSC %, mean +- sd over patients", headings, body, width=140)
    put(described(["assd"]))


def _reference_rows(
    lines: list[ScoreLine], organs: list[str], suite: Standing, ceilings: Ceilings
) -> list[tuple[str, list[str]]]:
    """The reference lines of a data set's rows by organ; rows of another grid or of other
    patients have their own, with their names."""
    found = alike(
        (row_name(row, suite), tuple(ceiling_texts(beside.get(organ)) for organ in organs))
        for row, dataset in dict.fromkeys((line.row, line.dataset) for line in lines)
        if (beside := ceilings.of(row, dataset))
    )
    return [
        (name + of, [each[place] for each in texts])
        for of, texts in found
        for place, name in enumerate(NAMES)
    ]


def row_name(label: str, suite: Standing) -> str:
    """The row in its suite, without the overrides that all its rows share."""
    return without(label, suite.plan.overrides) if suite.plan else label


def _cells(lines: list[ScoreLine], organs: list[str]) -> list[str]:
    found = {(line.metric, line.organ): line for line in lines}
    whole, assd = found["dsc", MEAN], number_text(found.get(("assd", MEAN)), "assd")
    values = [number_text(found.get(("dsc", organ)), "dsc") for organ in organs]
    return [*values, assd, str(whole.n), str(whole.n_missed)]


def apart_headings(apart: Apart | None) -> tuple[str, ...]:
    """Return the headings of what was scored on a set that was kept apart."""
    return (f"{apart.dataset}: DSC %", "patients there") if apart else ()


def apart_cells(row: str, organ: str, apart: Apart | None) -> tuple[str, ...]:
    """Return a row's DSC there and its patients; "-" where the set has no such organ, and for means
    over several where it lacks one of them."""
    if apart is None:
        return ()
    if not (apart.whole or organ in apart.organs):
        return "-", "-"
    place = row, organ, "dsc"
    found = next((x for x in apart.lines if (x.row, x.organ, x.metric) == place), None)
    return number_text(found, "dsc"), str(found.n) if found else "-"


def apart_text(apart: Apart) -> str:
    """Return how often the set was looked at, and what that means."""
    times = "once" if apart.looks == 1 else f"{apart.looks} times"
    return (
        f"{apart.dataset} was kept apart: the mean of all folds' networks over its patients, +- sd "
        f"over patients; looked at {times} in this workspace. What is chosen by it is no longer "
        "tested by it."
    )
