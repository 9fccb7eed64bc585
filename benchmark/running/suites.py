"""A suite: rows x data sets x folds x seeds under one name, planned before its first result."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from benchmark.data.library import DataSet
from benchmark.errors import BadInput
from benchmark.plan.analysis import AnalysisPlan
from benchmark.plan.ground import Ground
from benchmark.plan.suite import SuitePlan
from benchmark.running.cells import Cell, plan_cells
from benchmark.running.overrides import did_you_mean, parse, pieces
from benchmark.running.registry import Registry
from benchmark.running.resolve import GROUND, Setting, all_names, label, resolve, without
from benchmark.store.ledger import SWEEPS

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def check_suite_name(name: str) -> str:
    """Return a suite's name; raises `BadInput` for one that is no folder's name everywhere."""
    if not NAME.fullmatch(name):
        raise BadInput(
            f"--name {name!r}: a suite's name has lower-case letters, digits, '.', '_', '-'"
        )
    if name.startswith(SWEEPS):
        raise BadInput(f"--name {name!r}: names with {SWEEPS!r} are those of sweeps")
    return name


def rows_named(registry: Registry, text: str) -> list[str]:
    """Return the rows of `table1`, `controls`, `all`, or of names with commas, each once. A name
    may bring overrides of its own: `fsm[gt=smp:unet/resnet18]`.

    `controls` brings the rows that the verdict compares, the subject too. Raises `BadInput`.
    """
    chosen: list[str] = []
    for part in pieces(text):
        chosen += _rows_of(registry, part)
    return list(dict.fromkeys(chosen))


def _rows_of(registry: Registry, name: str) -> list[str]:
    rows, plan = registry.rows, AnalysisPlan()
    if name == "all":
        return list(rows)
    if name == "table1":
        return [row for row in rows if rows[row].table1]
    if name == "controls":
        compared = (plan.subject, *plan.controls)
        return [row for row in rows if row in compared or rows[row].group == "controls"]
    if not name:
        raise BadInput("--rows: no rows; give table1, controls, all, or names with commas")
    row, own = _named(name)
    registry.row(row)
    return [label(row, own)]


def _named(text: str) -> tuple[str, dict[str, Any]]:
    """Return the row and the overrides of its own that `NAME` or `NAME[FIELD=VALUE,...]` means."""
    row, bracket, inside = text.partition("[")
    if bracket and not inside.endswith("]"):
        raise BadInput(f"--rows {text!r}: write NAME or NAME[FIELD=VALUE,...]")
    return row, parse(pieces(inside[:-1])) if bracket else {}


def settings_of(
    registry: Registry, rows: Iterable[str], preset: str, overrides: Mapping[str, Any]
) -> list[Setting]:
    """Return the rows' settings; each row takes the overrides of the fields that it has, its own
    first.

    Raises `BadInput` for a field that no row has, and for a value that does not hold.
    """
    known = {text: _fields(registry, _named(text)[0]) for text in rows}
    for name in overrides:
        if not any(_has(names, name) for names in known.values()):
            raise BadInput(
                f"--set {name}: {_near(registry, known, name)}none of the rows {', '.join(known)} "
                "has such a field"
            )
    settings = []
    for text, names in known.items():
        row, own = _named(text)
        shared = {n: v for n, v in overrides.items() if _has(names, n)}
        settings.append(resolve(registry, row, preset, {**shared, **own}))
    return list({setting.label: setting for setting in settings}.values())


def _near(registry: Registry, rows: Iterable[str], name: str) -> str:
    """The nearest names that any of the rows has, as a question."""
    methods = [registry.row(_named(text)[0]).method for text in rows]
    names = [known for method in methods for known in all_names(method, Ground())]
    return did_you_mean(name, dict.fromkeys(names))


def _fields(registry: Registry, row: str) -> set[str]:
    method = registry.row(row).method
    return {item.name for item in fields(method)} if is_dataclass(method) else set()


def _has(names: set[str], name: str) -> bool:
    return f"{name}.".startswith(GROUND) or name.partition(".")[0] in names


def suite_cells(
    settings: Iterable[Setting], datasets: Iterable[DataSet], folds: list[int], seeds: list[int]
) -> list[Cell]:
    """Return all cells, those of earlier stages too; raises `BadInput` as `plan_cells` does."""
    return [
        cell
        for dataset in datasets
        for setting in settings
        for cell in plan_cells(setting, dataset, folds=folds, seeds=seeds)
    ]


def suite_plan(
    settings: list[Setting], cells: list[Cell], preset: str, overrides: Mapping[str, Any]
) -> SuitePlan:
    """Return what is to be written down before the cells are run."""
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
        analysis=AnalysisPlan(seeds=seeds, datasets=tuple(splits)),
    )
