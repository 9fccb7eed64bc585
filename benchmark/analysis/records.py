"""What the records of trainings say: steps, seconds, parameters, hardware, curves; and what a table
of them mixes that may move its numbers: hardware, precision, layout, threads, torch, code, and
values that changed under one name.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.files.atomic import checked
from benchmark.plan.wording import named
from benchmark.store.codes import Codes
from benchmark.store.ledger import Entry
from benchmark.store.objects import Objects
from benchmark.training.precision import completed


@dataclass(frozen=True, kw_only=True, eq=False)
class Training:
    """One training. `curves` holds the mean of each term over each epoch; `hardware` and `code`
    are what `mixtures` reads."""

    key: str
    title: str
    steps: int
    seconds: float
    parameters: Mapping[str, int]
    hardware: Mapping[str, Any]
    code: str
    made_at: str
    resumed: bool
    curves: Mapping[str, NDArray[np.float64]]

    def record(self) -> dict[str, Any]:
        """Return what `mixtures` compares."""
        return {"hardware": dict(self.hardware), "code": self.code}


def read_trainings(objects: Objects, keys: Iterable[str]) -> dict[str, Training]:
    """Return the trainings that are in the store, by key."""
    found = {}
    for key in dict.fromkeys(keys):
        content = checked(objects.folder / key, "record.json")
        if content is not None:
            found[key] = _training(key, json.loads(content))
    return found


def _training(key: str, record: Mapping[str, Any]) -> Training:
    epochs = record.get("epochs", [])
    names = list(dict.fromkeys(name for epoch in epochs for name in epoch["terms"]))
    return Training(
        key=key,
        title=record["title"],
        steps=record["steps"],
        seconds=record["seconds"],
        parameters=record["parameters"],
        hardware=completed(record["hardware"]),
        code=record["code"],
        made_at=record.get("made_at", ""),
        resumed=bool(record.get("resumed")),
        curves={
            name: np.array([epoch["terms"].get(name, np.nan) for epoch in epochs]) for name in names
        },
    )


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
