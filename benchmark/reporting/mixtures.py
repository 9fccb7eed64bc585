"""What a table mixes that may move its numbers: hardware, precision, layout, threads, torch, code,
and values that changed under one name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from benchmark.plan.wording import named
from benchmark.store.codes import Codes
from benchmark.store.ledger import Entry
from benchmark.training.precision import completed

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
