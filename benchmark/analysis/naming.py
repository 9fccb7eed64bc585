"""Which rows and which split of what is stored a person means: the same words for every command."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.errors import BadInput
from benchmark.settings.resolve import without
from benchmark.store.ledger import Entry

TYPED = re.compile(r"(?P<row>[^\[\]@]+)(?P<bracket>\[(?P<values>.*)\])?(?:@[^\[\]@]+)?")
"""A label as a person types it: `fsm[xi=1]@stage2`."""


def short(label: str) -> str:
    """Return a label without its overrides: `fsm[xi=1]@stage2` is `fsm@stage2`."""
    return re.sub(r"\[.*\]", "", label)


def labels_named(
    name: str, labels: Iterable[str], shared: Mapping[str, Any] | None = None
) -> list[str]:
    """Return the labels that a name means, each once: the label itself, written with the values
    `shared` by a suite's rows or without them; else all labels of the row of that name."""
    known = list(dict.fromkeys(labels))
    exact = [label for label in known if name in (label, without(label, shared or {}))]
    return exact or [label for label in known if short(label) == name]


def split_named(
    given: str | None,
    entries: Sequence[Entry],
    dataset: str | None,
    fingerprint_of: Callable[[Path, str], str],
) -> str:
    """Return the fingerprint, or its first digits, of the split that `--split` names among cells;
    "" where it is not given. `fingerprint_of` reads a file of folds of a data set.

    Raises `BadInput` for a file that is there where the cells are of several data sets, and for a
    split of which there is no cell.
    """
    if given is None:
        return ""
    digits, sets = given, list(dict.fromkeys(e.dataset for e in entries if dataset is None))
    if Path(given).is_file():
        if len(sets) > 1:
            raise BadInput(
                f"--split {given}: a file is of one data set; choose with --dataset "
                f"{' or '.join(sets)}"
            )
        digits = fingerprint_of(Path(given), dataset or "".join(sets))
    if entries and not any(digits and entry.split.startswith(digits) for entry in entries):
        there = ", ".join(sorted({entry.split[:8] for entry in entries}))
        what = "no file, and no" if digits == given else "no"
        raise BadInput(f"--split {given}: {what} split of these results; they are of {there}")
    return digits


def split_choice(splits: Iterable[str]) -> str:
    """Return what to type to choose one of several splits: `--split 1234abcd or --split ...`."""
    return " or ".join(f"--split {each[:8]}" for each in dict.fromkeys(splits))
