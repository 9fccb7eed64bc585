"""Ranges over cells, from the least to the greatest, and how they are written."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

Range = tuple[float, float]
WHOLE = 100.0  # percent


def range_of(values: Iterable[float]) -> Range | None:
    """Return the least and the greatest of what is a number; None for none."""
    found = [value for value in values if not math.isnan(value)]
    return (min(found), max(found)) if found else None


def percent(found: Range | None) -> Range | None:
    """Return a range of shares in percent; None for none."""
    return (WHOLE * found[0], WHOLE * found[1]) if found else None


def spread(found: Range | None, how: Callable[[float], str]) -> str:
    """Return a range as text: one figure where both ends are written alike; "-" for none."""
    if found is None:
        return "-"
    low, high = map(how, found)
    return low if low == high else f"{low} to {high}"


def whole(x: float) -> str:
    """Return a number without a point; never -0."""
    return f"{x:z.0f}"


def tenths(x: float) -> str:
    """Return a number with one digit behind the point; never -0."""
    return f"{x:z.1f}"


def four(x: float) -> str:
    """Return a number with four digits behind the point; never -0."""
    return f"{x:z.4f}"


def significant(x: float) -> str:
    """Return two digits that count, four behind the point at most: 0.017, 4.2, 130."""
    if not x:
        return "0"
    rounded = float(f"{x:.1e}")
    digits = 1 - math.floor(math.log10(abs(rounded)))
    text = f"{rounded:z.{min(max(digits, 0), 4)}f}"
    return text if float(text) else "under 0.0001"
