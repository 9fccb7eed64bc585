"""What a reader of a table must be told: the flags of its rows, and what it mixes that may move its
numbers (hardware, precision, layout, threads, torch, code, and values that changed under one name).

A cell's flags are stored as texts alone. Texts that differ only in their numbers are one flag, so
that workspaces of any age and measures of anybody's are read alike.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmark.plan.wording import counted, named
from benchmark.store.ledger import Entry
from benchmark.store.workspace import Codes
from benchmark.training.precision import completed

# a number with a sign and an exponent; what letters or these marks join to it is a word: fold0, 3/5
JOINED = r"[\w.,/+\-–−]"
NUMBER = re.compile(rf"(?<!{JOINED})[+-]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?(?!\w|{JOINED}\w)")


@dataclass(frozen=True, kw_only=True)
class CellFlag:
    """What a flag says of one cell."""

    fold: int
    seed: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Flag:
    """One warning of a row over the cells in which it holds.

    `text` gives each number that differs between the cells as "LOW to HIGH". `low` and `high` are
    the range of the first number behind the flag's name, in its unit there, None where there is
    none. `of` counts the row's cells.
    """

    row: str
    name: str
    text: str
    low: float | None
    high: float | None
    of: int
    per_cell: tuple[CellFlag, ...]

    @property
    def cells(self) -> tuple[tuple[int, int], ...]:
        """The fold and seed of each cell in which it holds, each once."""
        return tuple(dict.fromkeys((said.fold, said.seed) for said in self.per_cell))

    def line(self) -> str:
        """Return it as a line for a person."""
        if len(self.cells) == self.of:
            where = "in its one cell" if self.of == 1 else f"in all {counted(self.of, 'cell')}"
        else:
            where = "in " + ", ".join(f"fold {fold} seed {seed}" for fold, seed in self.cells)
        return f"{self.text} ({where})"

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values for a program."""
        return {
            "row": self.row,
            "name": self.name,
            "text": self.text,
            "low": self.low,
            "high": self.high,
            "cells": [list(cell) for cell in self.cells],
            "of": self.of,
            "per_cell": [asdict(said) for said in self.per_cell],
        }


def flag_texts(entry: Entry) -> tuple[str, ...]:
    """Return a cell's own flags; what was stored as -0.0 is 0.0."""
    return tuple(NUMBER.sub(lambda found: _no_minus_zero(found[0]), text) for text in entry.flags)


def flags_of_rows(entries: Iterable[Entry]) -> list[Flag]:
    """Return the flags of all rows in the order in which they appear. A row's flags of one name
    with other words are two flags."""
    known = list(entries)
    found: dict[tuple[str, ...], list[CellFlag]] = {}
    cells: dict[str, set[tuple[int, int]]] = {}
    for entry in known:
        cells.setdefault(entry.label, set()).add((entry.fold, entry.seed))
        for text in flag_texts(entry):
            name, rest = _parts(text)
            said = CellFlag(fold=entry.fold, seed=entry.seed, text=text)
            found.setdefault((entry.label, name, *NUMBER.split(rest)), []).append(said)
    return [_flag(row, said, len(cells[row])) for (row, *_), said in found.items()]


def flags_by_set(entries: Iterable[Entry]) -> list[tuple[str, Flag]]:
    """Return the flags of all rows with their data set."""
    known = list(entries)
    return [
        (dataset, flag)
        for dataset in dict.fromkeys(entry.dataset for entry in known)
        for flag in flags_of_rows(entry for entry in known if entry.dataset == dataset)
    ]


def _flag(row: str, told: Sequence[CellFlag], of: int) -> Flag:
    """One flag of texts that differ in their numbers alone."""
    name, rest = _parts(told[0].text)
    numbers = list(zip(*(NUMBER.findall(_parts(said.text)[1]) for said in told), strict=True))
    first, *words = NUMBER.split(rest)
    ranges = map(_range, numbers)
    text = name + first + "".join(shown + word for shown, word in zip(ranges, words, strict=True))
    figures = [float(number) for number in numbers[0]] if numbers else []
    return Flag(
        row=row,
        name=text.partition(":")[0],
        text=text,
        low=min(figures, default=None),
        high=max(figures, default=None),
        of=of,
        per_cell=tuple(told),
    )


def _parts(text: str) -> tuple[str, str]:
    """The name with its colon, whose numbers are no figures, and the rest."""
    name, colon, rest = text.partition(":")
    return (name + colon, rest) if colon else ("", text)


def _range(numbers: Sequence[str]) -> str:
    """One number where all are equal, else the least and the greatest, as they were written."""
    low, high = min(numbers, key=float), max(numbers, key=float)
    return low if float(low) == float(high) else f"{low} to {high}"


def _no_minus_zero(number: str) -> str:
    return number.removeprefix("-") if float(number) == 0 else number


HARDWARE = ("device", "name", "precision", "layout", "threads", "torch")


def mixtures(records: Iterable[Mapping[str, Any]], codes: Codes) -> tuple[str, ...]:
    """Return a line for each thing in which the records of a table's trainings differ.

    None of these is in a key (so that results can move between machines), hence a table may mix
    them, and a reader must know.
    """
    known = list(records)
    hardware = [completed(record["hardware"]) for record in known]
    found = {name: [each.get(name) for each in hardware] for name in HARDWARE}
    lines = []
    for name, values in found.items():
        different = list(dict.fromkeys(str(value) for value in values))
        if len(different) > 1:
            lines.append(f"the trainings of this table differ in {name}: {', '.join(different)}")
    if versions := codes.versions(dict.fromkeys(str(record["code"]) for record in known)):
        lines.append(f"the trainings of this table differ in code: {named(versions)}")
    return tuple(lines)


def value_mixtures(entries: Iterable[Entry]) -> tuple[str, ...]:
    """Return a line for each value in which the cells of one row differ.

    A row's name holds what was set, not its defaults: where a default changed between two cells,
    both have one name. Cells of a tuning differ as they should.
    """
    values: dict[tuple[str, str, str, str], dict[str, None]] = defaultdict(dict)
    for entry in entries:
        if not entry.tuned:
            for name, value in entry.params.items():
                place = entry.dataset, entry.label, f"{entry.preset} {entry.part}", name
                values[place].setdefault(value)
    return tuple(
        f"the cells of {row} on {dataset} differ in {name}: {', '.join(found)}; run it again"
        for (dataset, row, _, name), found in values.items()
        if len(found) > 1
    )
