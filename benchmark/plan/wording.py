"""Words that messages share."""

from __future__ import annotations


def counted(number: int, thing: str) -> str:
    """Return a number of things in words: `1 seed`, `3 seeds`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"
