"""The values that a training is made of: its key covers them, and it runs their code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from benchmark.plan.nodes import Train


def values_in(value: Any) -> Iterator[Any]:
    """Yield every dataclass value in `value`, itself first. Another training that it starts from
    is not entered: it has a key of its own."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from values_in(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from values_in(item)
    elif is_dataclass(value) and not isinstance(value, type):
        yield value
        for item in fields(value):
            inner = getattr(value, item.name)
            if not isinstance(inner, Train):
                yield from values_in(inner)
