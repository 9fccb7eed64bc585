"""The registry: rows found through entry points, ours and other people's alike.

Each entry point of the group `beyond_loss.methods` names a package (or module) whose modules
define `METHODS: dict[str, Row]`. A package that fails to import is reported and breaks nothing.
The names of our own rows, and the kinds of what they are made of, are reserved.

One kind, one class: a key holds a value's `kind`, never its class, so two classes of one kind would
be one training with one of the two results.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

from benchmark.errors import BadInput, near, one_line
from benchmark.files.source import is_ours
from benchmark.plan.keys import values_in
from benchmark.plan.nodes import Method, Row, in_order, probes_of, stages_of

GROUP = "beyond_loss.methods"
# where the kinds of this distribution are
HOMES = ("benchmark.plan", "benchmark.parts", "methods", "baselines")
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"  # it stands in labels, options and lines

GROUPS = {
    "paper": "The paper's rows (Table 1)",
    "beyond": "Rows beyond the paper",
    "controls": "Controls",
    "atlas": "Rows that also see masks of patients without CT",
    "spikes": "Rows of known gain, by which the suite is tested",
    "own": "Rows of one's own",
}
OUTSIDE = "outside"  # the group of rows that another tool predicted: the ledger alone knows them
TABLE1 = ("U-Net", "U-Net+Loss", "U-Net+Trans", "Joint-Train", "No-Refine", "No-Noise", "U-Net+Our")


@dataclass(frozen=True, kw_only=True)
class Registry:
    """All rows by name, one line for each package or row that could not be had, those lines that
    are about a row by its name, the rows of other people's packages, and all classes by kind."""

    rows: dict[str, Row] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)
    theirs: set[str] = field(default_factory=set)
    kinds: dict[str, type] = field(default_factory=dict)

    def row(self, name: str) -> Row:
        """Return a row; raises `BadInput` with the nearest known names, or with why it was
        refused."""
        if name in self.rows:
            return self.rows[name]
        if name in self.refused:
            raise BadInput(self.refused[name])
        lost = f" ({len(self.problems)} packages failed to import: bench doctor)"
        hint = near(name, self.rows)
        raise BadInput(
            f"no method {name!r}: {hint}the methods are {', '.join(sorted(self.rows))}"
            + (lost if self.problems else "")
        )


def grouped(rows: Mapping[str, Row]) -> Iterator[tuple[str, dict[str, Row]]]:
    """Yield each group with its rows, the paper's first and in the order of its Table 1."""
    order = [*GROUPS, *sorted({row.group for row in rows.values()} - set(GROUPS))]
    for group in order:
        members = [(name, row) for name, row in rows.items() if row.group == group]
        if members:
            yield group, dict(sorted(members, key=lambda member: _in_table(member[1])))


def _in_table(row: Row) -> int:
    return TABLE1.index(row.table1) if row.table1 in TABLE1 else len(TABLE1)


def load_registry() -> Registry:
    """Return all rows that are installed: ours first, then who claims a name first keeps it."""
    registry = Registry(kinds=dict(built_in()))
    problems: list[str] = []
    entries = entry_points(group=GROUP)
    for entry in sorted(entries, key=lambda e: (not is_ours(e.value), e.name)):
        try:
            before = len(registry.rows)
            for module in modules_of(entry.value):
                methods = getattr(module, "METHODS", {})
                problems += _take(methods, module.__name__, registry, is_ours(entry.value))
            if is_ours(entry.value) and len(registry.rows) == before:
                problems.append(f"{entry.value} holds no row: did another package overwrite it?")
        except (Exception, SystemExit) as error:
            problems.append(f"{entry.value}: {one_line(error)}")
    return replace(registry, problems=tuple(problems))


def modules_of(package_name: str) -> Iterator[ModuleType]:
    """Yield a module, imported, and those within it where it is a package."""
    package = importlib.import_module(package_name)
    yield package
    for found in pkgutil.iter_modules(getattr(package, "__path__", [])):
        yield importlib.import_module(f"{package_name}.{found.name}")


def _take(methods: dict[str, Row], module: str, registry: Registry, ours: bool) -> Iterator[str]:
    """Take a module's rows; yield a line for each that is refused."""
    for name, row in methods.items():
        if registry.rows.get(name) is row:  # a package that shows its modules' rows
            continue
        why = _refusal(name, row, registry, ours)
        if why:
            registry.refused[name] = f"{module}: {why}"
            yield registry.refused[name]
        else:
            registry.rows[name] = row
            registry.theirs.update(() if ours else {name})


def _refusal(name: str, row: Row, registry: Registry, ours: bool) -> str:
    if not re.fullmatch(NAME, str(name)):
        return f"METHODS has {name!r}: a row's name is of letters, digits, '.', '_', '-'"
    if not isinstance(row, Row):
        return f"METHODS[{name!r}] is not a Row"
    if name in registry.rows:
        whose = "taken already" if name in registry.theirs else "that of a built-in row"
        return f"the name {name!r} is {whose}: give the row another"
    if not ours:
        try:
            registry.kinds.update(kinds_of(row.method, registry.kinds))
        except PlanFails:  # perhaps with these values alone: whoever runs the row is told
            return ""
        except BadInput as error:
            return f"the row {name!r} is left out: {error}"
    return ""


@cache
def built_in() -> Mapping[str, type]:
    """Return the classes of this distribution by kind."""
    found: dict[str, type] = {}
    for home in HOMES:
        package = importlib.import_module(home)
        for module in pkgutil.iter_modules(package.__path__):
            members = vars(importlib.import_module(f"{home}.{module.name}")).values()
            for member in members:
                if isinstance(member, type) and isinstance(vars(member).get("kind"), str):
                    found[member.kind] = member  # type: ignore[attr-defined]
    return found


class PlanFails(BadInput):
    """What a method plans cannot be asked: its own code raises."""


def kinds_of(method: Method, known: Mapping[str, type]) -> dict[str, type]:
    """Return the classes of all values in a method's trainings and probes, by kind. Raises
    `BadInput` where one has a kind that is another class's, in `known` or among its own, and
    `PlanFails` where its code raises anything."""
    found: dict[str, type] = {}
    try:
        values = list(_values(method))
    except (Exception, SystemExit) as error:
        raise PlanFails(f"{_path(type(method))} cannot say its plan: {one_line(error)}") from error
    for value in values:
        kind, own = getattr(value, "kind", None), type(value)
        if isinstance(kind, str):
            other = known.get(kind) or found.setdefault(kind, own)
            if (other.__module__, other.__qualname__) != (own.__module__, own.__qualname__):
                raise BadInput(
                    f"{_path(own)} has the kind {kind!r}, which is {_path(other)}'s: keys could "
                    "not tell them apart; give it a kind of its own"
                )
    return found


def _values(method: Method) -> Iterator[Any]:
    finals = [method.plan().node, *(weights.node for weights in stages_of(method).values())]
    for probe in probes_of(method):
        finals.append(probe.node)
        yield from values_in(probe.measure)
    for final in finals:
        for node in in_order(final):
            yield from values_in(node)


def _path(one: type) -> str:
    return f"{one.__module__}.{one.__qualname__}"
