"""A suite: rows x data sets x folds x seeds under one name, planned before its first result."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from benchmark.analysis.suites import on_plan, planned_cell
from benchmark.data.feeding.folds import Split, folds_of
from benchmark.data.library import DataSet
from benchmark.errors import BadInput
from benchmark.plan.analysis import AnalysisPlan
from benchmark.plan.suite import SuitePlan
from benchmark.running.bench import Bench
from benchmark.running.cells import Cell, plan_cells
from benchmark.settings.resolve import Setting, without
from benchmark.store.ledger import SCRATCH, SWEEPS, Entry, shown_suite

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def check_suite_name(name: str) -> str:
    """Return a suite's name; raises `BadInput` for one that is no folder's name everywhere."""
    if not NAME.fullmatch(name):
        raise BadInput(
            f"--name {name!r}: a suite's name has lower-case letters, digits, '.', '_', '-'"
        )
    if name == shown_suite(SCRATCH):
        raise BadInput(f"--name {name!r}: that is the suite in which bench run notes its cells")
    if name.startswith(SWEEPS):
        raise BadInput(f"--name {name!r}: names with {SWEEPS!r} are those of sweeps")
    return name


def suite_cells(
    settings: Iterable[Setting],
    datasets: Iterable[DataSet],
    folds: list[int] | None,
    seeds: list[int],
    splits: Mapping[str, Split] | None = None,
) -> list[Cell]:
    """Return all cells, those of earlier stages too, in all folds where `folds` is None. `splits`
    are those of the data sets, by name, that are not a set's own.

    Raises `BadInput` as `plan_cells` does, and where data sets have other numbers of folds.
    """
    sets = [
        (dataset, (splits or {}).get(dataset.name) or folds_of(dataset)) for dataset in datasets
    ]
    counts = {dataset.name: len(split.folds) for dataset, split in sets}
    if folds is None and len({*counts.values()}) > 1:
        each = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise BadInput(f"the data sets have other numbers of folds ({each}): a suite each, --name")
    chosen = list(range(min(counts.values()))) if folds is None else folds
    return [
        cell
        for dataset, split in sets
        for setting in settings
        for cell in plan_cells(setting, dataset, folds=chosen, seeds=seeds, split=split)
    ]


def suite_plan(
    settings: list[Setting],
    cells: list[Cell],
    preset: str,
    overrides: Mapping[str, Any],
    analysis: AnalysisPlan | None = None,
) -> SuitePlan:
    """Return what is to be written down before the cells are run; `analysis` says how they are
    analysed, but for seeds and data sets, which are those of the cells."""
    splits = {cell.data.dataset.name: cell.split for cell in cells}
    seeds = tuple(dict.fromkeys(cell.seed for cell in cells))
    labels = [
        setting.label + at
        for setting in settings
        for at in ("", *(f"@{stage}" for stage in setting.stages))
    ]
    return SuitePlan(
        rows=tuple(without(setting.label, overrides) for setting in settings),
        labels=tuple(labels),
        splits=splits,
        folds=tuple(sorted({cell.data.fold.index for cell in cells})),
        seeds=seeds,
        preset=preset,
        preset_hash=settings[0].preset_hash,
        overrides=dict(overrides),
        analysis=replace(analysis or AnalysisPlan(), seeds=seeds, datasets=tuple(splits)),
    )


def count_results(bench: Bench, cells: list[Cell], plan: SuitePlan, name: str) -> int:
    """Return how many cells of a plan have a result: those of `cells` in any suite, the others
    in the suite's ledger. One of an older definition of distance was seen too, and counts."""
    ours = [entry for entry in bench.ledger.entries(name) if entry.part == "test"]
    stored = {planned_cell(entry): entry for entry in ours if on_plan(entry, plan)}
    found = stored | {planned_cell(entry): entry for entry in (cell.entry(name) for cell in cells)}
    planned = set(plan.cells())
    return sum(
        _was_scored(bench, entry, stored.get(place))
        for place, entry in found.items()
        if place in planned
    )


def _was_scored(bench: Bench, entry: Entry, stored: Entry | None) -> bool:
    known = [entry, stored] if stored and stored.key == entry.key else [entry]
    return any(bench.results.has(one.key, one.evaluation) for one in known)
