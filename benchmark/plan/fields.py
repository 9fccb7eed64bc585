"""Fields of the plain values that plans are made of, and the checks of their ranges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from benchmark.errors import BadInput


def later(default: Any) -> Any:
    """Return a dataclass field that was added after results existed.

    It is left out of the key while it has its default, so that adding it voids no result. A
    callable default is a factory.
    """
    return _field(default, {"later": True})


def field_from(default: Any, mark: str, about: str) -> Any:
    """Return a dataclass field with what `bench methods show` prints of it.

    `mark` is S (stated in the paper), R (found in the cited source), C (our choice where the paper
    is silent) or D (our deviation). A callable default is a factory.
    """
    return _field(default, {"mark": mark, "about": about})


def _field(default: Any, metadata: Mapping[str, Any]) -> Any:
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


def check_range(
    name: str, value: float, *, low: float = float("-inf"), high: float = float("inf")
) -> None:
    """Raise `BadInput` where `value` is not a finite number within [low, high]."""
    if not math.isfinite(value):
        raise BadInput(f"{name} = {value} is not a finite number")
    if not low <= value <= high:
        raise BadInput(f"{name} = {value} is out of range: it must lie in [{low:g}, {high:g}]")


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise `BadInput` where `value` is not one of `choices`."""
    if value not in choices:
        raise BadInput(f"{name} = {value!r} is not known: choose one of {', '.join(choices)}")
