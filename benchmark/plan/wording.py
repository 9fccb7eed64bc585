"""Words that messages share."""

from __future__ import annotations

import math
from collections.abc import Iterable

NAMED = 5  # of many names in a line


def counted(number: int, thing: str) -> str:
    """Return a number of things in words: `1 seed`, `3 seeds`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def early_text(early: int) -> str:
    """Return how many of some cells are of rows as they were at an earlier stage; "" for none."""
    return f" ({early} of them of NAME@stage, a row at an earlier stage)" if early else ""


def named(names: Iterable[str], most: int = NAMED) -> str:
    """Return the first few names, each once, and how many more there are."""
    known = list(dict.fromkeys(names))
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more


def listed(names: Iterable[str]) -> str:
    """Return all names as a sentence has them: `a, b and c`."""
    return " and ".join(", ".join(names).rsplit(", ", 1))


P_LEAST = 1e-6


def p_text(p: float | None) -> str:
    """Return a p or another probability for people: `0.0490`, `0.000042`, `< 0.000001`, `-` for
    none. No model of a few patients knows a tail better than that."""
    if p is None or math.isnan(p):
        return "-"
    if p < P_LEAST:
        return f"< {P_LEAST:.6f}"
    return f"{p:.6f}" if p < 1e-4 else f"{p:.4f}"


def duration(seconds: float | None) -> str:
    """Return seconds as `45 s`, `12 min`, `3.4 h`, `120 days`."""
    if seconds is None:
        return "?"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 100 else f"{hours / 24:.0f} days"
