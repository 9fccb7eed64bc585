"""One kind, one class: a key holds a value's `kind`, never its class, so two classes of one kind
would be one training with one of the two results."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from benchmark.errors import BadInput
from benchmark.plan.keys import values_in
from benchmark.plan.nodes import Method, in_order, probes_of, stages_of
from benchmark.running.failing import one_line

HOMES = (
    "benchmark.plan",
    "benchmark.parts",
    "methods",
    "baselines",
)  # where the kinds of this distribution are


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
