"""The registry: rows found through entry points, ours and other people's alike.

Each entry point of the group `beyond_loss.methods` names a package (or module) whose modules
define `METHODS: dict[str, Row]`. A package that fails to import is reported and breaks nothing.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.metadata import entry_points
from types import ModuleType

from benchmark.errors import BadInput
from benchmark.plan.nodes import Row

GROUP = "beyond_loss.methods"


@dataclass(frozen=True, kw_only=True)
class Registry:
    """All rows by name, and one line for each package or row that could not be had."""

    rows: dict[str, Row] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def row(self, name: str) -> Row:
        """Return a row; raises `BadInput` with the nearest known names."""
        if name in self.rows:
            return self.rows[name]
        near = get_close_matches(name, self.rows, n=3)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        lost = f" ({len(self.problems)} packages failed to import: bench doctor)"
        raise BadInput(
            f"no method {name!r}: {hint}the methods are {', '.join(sorted(self.rows))}"
            + (lost if self.problems else "")
        )


def load_registry() -> Registry:
    """Return all rows that are installed. The first to claim a name keeps it."""
    rows: dict[str, Row] = {}
    problems: list[str] = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            for module in _modules(entry.value):
                _take(getattr(module, "METHODS", {}), module.__name__, rows, problems)
        except Exception as error:
            problems.append(f"{entry.value}: {type(error).__name__}: {error}")
    return Registry(rows=rows, problems=tuple(problems))


def _modules(package_name: str) -> Iterator[ModuleType]:
    package = importlib.import_module(package_name)
    yield package
    for found in pkgutil.iter_modules(getattr(package, "__path__", [])):
        yield importlib.import_module(f"{package_name}.{found.name}")


def _take(methods: dict[str, Row], module: str, rows: dict[str, Row], problems: list[str]) -> None:
    for name, row in methods.items():
        if not isinstance(row, Row):
            problems.append(f"{module}: METHODS[{name!r}] is no Row")
        elif name in rows and rows[name] is not row:
            problems.append(f"{module}: the name {name!r} is taken already")
        else:
            rows[name] = row
