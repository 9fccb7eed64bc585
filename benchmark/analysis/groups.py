"""The cells of a suite in groups that may share a table: one data set, one preset, one split."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from benchmark.analysis.naming import short
from benchmark.analysis.suites import of_one_definition, on_plan
from benchmark.plan.nodes import Row
from benchmark.plan.presets import demonstration
from benchmark.plan.suite import SuitePlan
from benchmark.settings.registry import OUTSIDE, grouped
from benchmark.settings.resolve import GROUND, TUNED, label, without
from benchmark.store.ledger import Entry

SHOWN = 8  # digits of a split's fingerprint
SCALE = (GROUND, "ct.", "gt.", "shape.", "schedule.")
"""What a preset may change, hence what all rows of a comparison may share as an override."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """Cells that share tables. `cells` holds the entries of each row, by its name in tables.

    `common` are the overrides that every row shares: the suite's own, and those of scale (width,
    epochs, grid...). They are left out of the names of several rows and printed once. `kinds` is
    the registry's group of each row (paper, beyond, controls), "outside" where another tool
    predicted it, "other" where it has overrides of its own or is not registered. `plan` is what was
    planned, None for what `bench run` filled. `split_shown` is "", or names the split where it must
    be told from another one.
    """

    suite: str
    dataset: str
    preset: str
    split: str
    common: Mapping[str, Any]
    cells: Mapping[str, tuple[Entry, ...]]
    kinds: Mapping[str, str]
    plan: SuitePlan | None = None
    split_shown: str = ""

    @property
    def title(self) -> str:
        """Data set and preset, and the split where it must be told, for people."""
        told = f", split {self.split_shown}" if self.split_shown else ""
        return f"{self.dataset}, preset {self.preset}{told}"

    @property
    def stem(self) -> str:
        """The same as the first part of files' names."""
        return "-".join(filter(None, (self.dataset, self.preset, self.split_shown)))

    @cached_property
    def rows(self) -> tuple[str, ...]:
        """The names of all rows, in the order of tables."""
        return tuple(self.cells)

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """All cells."""
        return tuple(entry for members in self.cells.values() for entry in members)

    @cached_property
    def folds(self) -> tuple[int, ...]:
        """The folds in which any row was run, or should be."""
        planned = self.plan.folds if self.plan else ()
        return tuple(sorted({*planned, *(entry.fold for entry in self.entries)}))

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """The seeds with which any row was run, or should be."""
        planned = self.plan.seeds if self.plan else ()
        return tuple(sorted({*planned, *(entry.seed for entry in self.entries)}))

    @cached_property
    def unstarted(self) -> tuple[str, ...]:
        """The planned rows without a single cell."""
        shared = self.plan.overrides if self.plan else {}
        named = [without(name, shared) for name in self.plan.labels] if self.plan else []
        return tuple(row for row in named if row not in self.cells)

    @property
    def changed(self) -> bool:
        """Whether the rows are not what their preset says; the ground may be another."""
        return bool(_changes(self.common))

    @property
    def shared(self) -> str:
        """The values that are not the preset's and that all of several rows have, which their names
        leave out; "" where there are none."""
        several = len({row.partition("@")[0] for row in self.rows}) > 1
        return _set_texts(_changes(self.common)) if several else ""

    def of_kind(self, *kinds: str) -> tuple[str, ...]:
        """Return the rows of these groups of the registry, their earlier stages too."""
        return tuple(row for row in self.rows if self.kinds[row] in kinds)


def groups_of(
    entries: Iterable[Entry], registry: Mapping[str, Row], plan: SuitePlan | None = None
) -> list[Group]:
    """Return the groups of a suite's test cells: rows that were tested on different splits never
    share one, as their patients cannot be compared."""
    found: dict[tuple[str, str, str], list[Entry]] = defaultdict(list)
    for entry in of_one_definition(entries):
        if entry.part == "test":
            found[entry.dataset, entry.preset, entry.split].append(entry)
    splits = Counter((dataset, preset) for dataset, preset, _ in found)
    return [
        _group(members, registry, plan, several=splits[dataset, preset] > 1)
        for (dataset, preset, _), members in sorted(found.items())
    ]


def _group(
    members: list[Entry], registry: Mapping[str, Row], plan: SuitePlan | None, several: bool
) -> Group:
    first = members[0]
    plan = plan if plan and on_plan(first, plan) else None
    common = common_overrides(members, plan.overrides if plan else {})
    alone = not plan and len({short(entry.label).partition("@")[0] for entry in members}) == 1
    shared = {} if alone and _changes(common) else common  # one row shares nothing with others
    named: dict[str, list[Entry]] = defaultdict(list)
    for entry in members:
        named[_name(entry, shared)].append(entry)
    order = _order(named, registry)
    return Group(
        suite=first.suite,
        dataset=first.dataset,
        preset=first.preset,
        split=first.split,
        common=common,
        cells={row: tuple(named[row]) for row in order},
        kinds={row: OUTSIDE if named[row][0].outside else _kind(row, registry) for row in order},
        plan=plan,
        split_shown=first.split[:SHOWN] if several or first.own_split else "",
    )


def common_overrides(members: Sequence[Entry], shared: Mapping[str, Any]) -> dict[str, Any]:
    """Return the overrides of scale, and of those that a suite gave all its rows (`shared`), that
    hold for every cell that has such a value at all."""
    asked = {
        name: value
        for entry in members
        for name, value in entry.overrides.items()
        if name.startswith(SCALE) or name in shared
    }
    common = {}
    for name, value in sorted(asked.items()):
        texts = {entry.params[name] for entry in members if name in entry.params}
        if len(texts) == 1 and all(name in e.overrides for e in members if name in e.params):
            common[name] = value
    return common


def values_apart(first: Entry, second: Entry) -> tuple[str, ...]:
    """Return a line on the values of scale in which two rows' trainings differ, where these were
    set and are not what makes the rows two; else none. A row of another tool has no values."""
    if first.row == second.row:
        return ()
    asked = sorted({*first.overrides, *second.overrides})
    found = [
        f"{name} is {first.params[name]} in {first.row} and {second.params[name]} in {second.row}"
        for name in asked
        if name.startswith(SCALE) and name in first.params and name in second.params
        if first.params[name] != second.params[name]
    ]
    told = "the trainings differ in more than what makes the rows, and so may the gain: "
    return (told + "; ".join(found),) if found else ()


def no_verdict(preset: str, common: Mapping[str, Any]) -> str:
    """Return why cells of this preset, with these overrides in common, carry no verdict; "" where
    they may carry one."""
    if note := demonstration(preset):
        return note
    if changes := _changes(common):
        return f"preset {preset}, changed by {_set_texts(changes)}: demonstration, no verdict"
    return ""


def _set_texts(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={set_text(value)}" for name, value in values.items())


def set_text(value: object) -> str:
    """Return a value as `--set` takes it."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _changes(common: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in common.items() if not name.startswith(GROUND)}


def _name(entry: Entry, common: Mapping[str, Any]) -> str:
    own = {name: value for name, value in entry.overrides.items() if name not in common}
    own = {TUNED: entry.tuned} if entry.tuned else own
    row, at, stage = entry.row.partition("@")
    return label(row, own) + at + stage


def _kind(name: str, registry: Mapping[str, Row]) -> str:
    row = registry.get(name.partition("@")[0])
    return row.group if row else "other"


def _order(names: Iterable[str], registry: Mapping[str, Row]) -> list[str]:
    """The registry's order; a row with overrides behind its own row, an earlier stage behind it."""
    known = [name for _, members in grouped(registry) for name in members]
    place = {name: number for number, name in enumerate(known)}

    def key(name: str) -> tuple[int, bool, str, bool]:
        whole, _, stage = name.partition("@")
        base = whole.partition("[")[0]
        return place.get(base, len(place)), whole != base, whole, bool(stage)

    return sorted(names, key=key)
