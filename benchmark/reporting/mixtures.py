"""What a table mixes that may move its numbers: hardware, precision, threads, torch, code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from benchmark.running.code import named
from benchmark.store.codes import Codes

HARDWARE = ("device", "name", "precision", "threads", "torch")


def mixtures(records: Iterable[Mapping[str, Any]], codes: Codes) -> tuple[str, ...]:
    """Return a line for each thing in which the records of a table's trainings differ.

    None of these is in a key (so that results can move between machines), hence a table may mix
    them, and a reader must know.
    """
    known = list(records)
    found = {name: [record["hardware"].get(name) for record in known] for name in HARDWARE}
    lines = []
    for name, values in found.items():
        different = list(dict.fromkeys(str(value) for value in values))
        if len(different) > 1:
            lines.append(f"the trainings of this table differ in {name}: {', '.join(different)}")
    if versions := codes.versions(dict.fromkeys(str(record["code"]) for record in known)):
        lines.append(f"the trainings of this table differ in code: {named(versions)}")
    return tuple(lines)
