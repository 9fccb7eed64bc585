"""JSON from anywhere: what Python's parser cannot take is a `ValueError` like any other fault."""

from __future__ import annotations

import json
from typing import Any

DEEPEST = 100  # brackets within brackets: far beyond any table, far below Python's own limit
DEEP = f"its brackets are nested more than {DEEPEST} deep"


def json_of(text: str | bytes) -> Any:
    """Return the JSON value of a text.

    Raises `ValueError` for what is none, for numbers of thousands of digits and for brackets that
    are nested more than 100 deep.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(DEEP) from None
    return check_depth(value)


def check_depth(value: Any) -> Any:
    """Return a value of lists and mappings; raises `ValueError` where it is nested too deeply."""
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return value
    raise ValueError(DEEP)


def _inside(value: Any) -> list[Any]:
    """What lies in a list or a mapping, without the plain values."""
    if not isinstance(value, dict | list):
        return []
    inner = value.values() if isinstance(value, dict) else value
    return [one for one in inner if isinstance(one, dict | list)]
