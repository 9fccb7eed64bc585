"""What suites a command asks for: one by its options, or several in a file (`--config FILE`).

A file (TOML or JSON) has the values that its suites share at its top, and a table for each suite:
rows, `set`, and `analysis`, the values of its analysis plan. All plans are written down before the
first training.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from benchmark.cli.experiment import LIMIT
from benchmark.errors import BadInput
from benchmark.files.values import Unfit, read_as
from benchmark.plan.analysis import AnalysisPlan

ROWS, DATASETS, MAIN = "table1", "phantom", "main"


@dataclass(frozen=True, kw_only=True)
class SharedValues:
    """What suites of one file may share. `seeds` and `folds` None: the usual ones; `split` names
    the folds of their one data set, as `--split` does."""

    datasets: str = DATASETS
    preset: str = "quick"
    folds: tuple[int, ...] | None = None
    seeds: tuple[int, ...] | None = None
    split: str | None = None

    def __post_init__(self) -> None:
        for name in ("folds", "seeds"):
            if any(not 0 <= number < LIMIT for number in getattr(self, name) or ()):
                raise Unfit(f"has a number under 0 or over {LIMIT - 1}", name)


@dataclass(frozen=True, kw_only=True)
class SuiteOrder(SharedValues):
    """One suite as it was asked for. `analysis` None: as it was planned before, else the usual
    one."""

    name: str = ""
    about: str = ""
    rows: str = ROWS
    set: Mapping[str, Any] = field(default_factory=dict)
    analysis: AnalysisPlan | None = None


@dataclass(frozen=True, kw_only=True)
class Suites:
    """The suites of a file by name, each as the values that it does not share."""

    suites: Mapping[str, Mapping[str, Any]]


# the options that a file stands for, beside `--set`
IN_FILE = ("rows", *(item.name for item in fields(SharedValues)))


def orders_of(args: argparse.Namespace) -> list[SuiteOrder]:
    """Return the suites that a command line asks for. Raises `BadInput`, with the file's name and
    the place in it, for what does not belong there."""
    from benchmark.settings.overrides import parse

    if args.config is None:
        given = {name: getattr(args, name) for name in IN_FILE if getattr(args, name) is not None}
        given |= {name: tuple(given[name]) for name in ("folds", "seeds") if name in given}
        return [SuiteOrder(name=args.name or MAIN, set=parse(args.overrides), **given)]
    also = [f"--{name}" for name in IN_FILE if getattr(args, name) is not None]
    also += ["--set"] if args.overrides else []
    if also:
        raise BadInput(f"{', '.join(also)}: with --config these stand in the file; leave them out")
    return _chosen(read_suites(args.config), args.name, args.config)


def read_suites(path: Path) -> list[SuiteOrder]:
    """Return the suites of a file, in its order; raises `BadInput`."""
    from benchmark.settings.overrides import read_table

    try:
        table = read_table(path)
        own = read_as(Suites, {n: table.pop(n) for n in ("suites",) if n in table}).suites
        shared = vars(read_as(SharedValues, table))
        return [_order(name, {**shared, **values}) for name, values in own.items()]
    except Unfit as error:
        raise BadInput(f"--config {path}: {error}") from None


def _order(name: str, values: Mapping[str, Any]) -> SuiteOrder:
    try:
        return replace(read_as(SuiteOrder, dict(values)), name=name)
    except Unfit as error:
        raise error.under(name).under("suites") from None


def _chosen(orders: list[SuiteOrder], names: str | None, path: Path) -> list[SuiteOrder]:
    known = {order.name: order for order in orders}
    chosen = [name.strip() for name in names.split(",")] if names else list(known)
    if strange := [name for name in chosen if name not in known]:
        raise BadInput(f"--name {strange[0]}: {path} has the suites {', '.join(known)}")
    return [known[name] for name in chosen]
