"""Names of cases out of names of files: fit for a folder on every system, and one to one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from benchmark.data.judging.checks import CASE

SHOWN = 5
T = TypeVar("T")


def plain_name(text: str) -> str:
    """Return a text in the letters, digits, `.`, `_` and `-` that a case's name may have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._-")[:120] or "case"


def _is_plain(text: str) -> bool:
    return plain_name(text) == text


def is_case_name(text: str) -> bool:
    """Return whether a case may be called so as it stands."""
    return bool(CASE.fullmatch(text))


def safe_names(texts: Iterable[str], keep: Callable[[str], bool] = _is_plain) -> dict[str, str]:
    """Return the case's name for each of these (different) texts; no two have one.

    A text that `keep` accepts is its own name. Where another's plain name is taken, it gets a
    number: the same texts always get the same names.
    """
    ordered = sorted(texts)
    names = {text: text for text in ordered if keep(text)}
    taken = set(names)
    for text in ordered:
        if text in names:
            continue
        plain, number = plain_name(text), 1
        while (name := plain if number == 1 else f"{plain}_{number}") in taken:
            number += 1
        taken.add(name)
        names[text] = name
    return names


def called(names: Mapping[str, str], found: Mapping[str, T]) -> dict[str, T]:
    """Return what was found by text, by name."""
    return {names[text]: value for text, value in found.items()}


def renamed(names: Mapping[str, str]) -> list[str]:
    """Return the line that says which cases are called otherwise than their files; or nothing."""
    changed = [f"{text!r} is called {name}" for text, name in names.items() if text != name]
    more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
    return [f"case {', '.join(changed[:SHOWN])}{more}"] if changed else []
