"""By which code was made what is stored? Asked for cells before or after they are run, and for
tables that are only read."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from benchmark.errors import BadInput
from benchmark.files.code import Code
from benchmark.files.values import json_of
from benchmark.plan.keys import key
from benchmark.plan.nodes import (
    Method,
    Probe,
    Row,
    Train,
    Weights,
    in_order,
    probes_of,
    stages_of,
)
from benchmark.plan.wording import named
from benchmark.running.bench import Bench
from benchmark.running.cells import Cell, scoring_code
from benchmark.running.code import is_outdated, may_use, may_use_rows
from benchmark.running.execute import training_code
from benchmark.running.probing import evaluation_of, is_probed, probe_code
from benchmark.settings.registry import Registry
from benchmark.settings.resolve import resolve
from benchmark.store.ledger import Entry
from benchmark.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Codes:
    """The code behind what is scored: of each training in order, of its rows, and of its probes."""

    trainings: tuple[tuple[Train, Code], ...]
    rows: tuple[tuple[Weights | Probe, Code], ...]

    @property
    def whole(self) -> Code:
        """All of it."""
        codes = (code for _, code in (*self.trainings, *self.rows))
        return functools.reduce(operator.or_, codes, Code())


def codes_of(final: Weights, probes: Iterable[Probe]) -> Codes:
    """Return the code behind weights that are scored and probed."""
    measures = [(probe, probe_code(probe)) for probe in probes]
    finals = [final.node, *(probe.node for probe, _ in measures)]
    nodes = [node for each in finals for node in in_order(each)]
    return Codes(
        trainings=tuple((node, training_code(node)) for node in nodes),
        rows=((final, scoring_code(final)), *measures),
    )


def code_behind(method: Method) -> Code:
    """Return the code behind everything that a method trains, scores and measures."""
    code = codes_of(method.plan(), probes_of(method)).whole
    for stage in stages_of(method).values():
        code |= codes_of(stage, ()).whole
    return code


class RowCodes:
    """The code behind cells: all folds and seeds of a row share it."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], Codes] = {}

    def of(self, cell: Cell) -> Codes:
        """Return the code behind a cell's row and stage."""
        row = id(cell.setting), cell.stage
        if row not in self._known:
            probes = cell.setting.probes if is_probed(cell) else ()
            self._known[row] = codes_of(cell.final, probes)
        return self._known[row]


class Stored:
    """Which trainings of cells are stored and count: where other people's code made one, only
    while that code is the same. Changes nothing."""

    def __init__(self, bench: Bench) -> None:
        self._bench, self._codes = bench, RowCodes()

    def counts(self, cell: Cell, node: Train, node_key: str) -> bool:
        """Return whether a training of a cell need not be done."""
        return self._bench.objects.has(node_key) and not (
            self._codes.of(cell).whole.others
            and is_outdated(node_key, training_code(node), self._bench)
        )


def renew(cells: Iterable[Cell], bench: Bench, *, everything: bool = False) -> None:
    """Set aside what other people's code made that changed since; for rows of this distribution
    no file is read, unless `everything`: then what other code of ours made is noted in the tally
    too."""
    codes, seen = RowCodes(), set[str]()
    for cell in cells:
        code = codes.of(cell)
        if everything or code.whole.others:
            _trainings(cell, code, bench, seen)
            for place, of_rows in _evaluations(cell, code):
                with bench.results.lock(*place):
                    if bench.results.intact(*place):
                        may_use_rows(*place, of_rows, bench)


def _trainings(cell: Cell, codes: Codes, bench: Bench, seen: set[str]) -> None:
    for node, code in codes.trainings:
        node_key = key(node, cell.context)
        if node_key not in seen:
            seen.add(node_key)
            with bench.objects.lock(node_key):
                if bench.objects.has(node_key):
                    may_use(node_key, code, bench)


def _evaluations(cell: Cell, codes: Codes) -> Iterator[tuple[tuple[str, str], Code]]:
    for what, code in codes.rows:
        if isinstance(what, Weights):
            name = cell.data.evaluation(what.net)
        else:
            name = evaluation_of(what, cell)
        yield (key(what.node, cell.context), name), code


def outdated_line(
    workspace: Workspace,
    entries: Iterable[Entry],
    rows: Mapping[str, Row],
    read: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Return the line on the trainings and rows of these cells that other code made, "" where all
    are of the code of now. A row that is not known here any more is not asked about. `read` holds
    the fingerprints of what was read before, by key or KEY/EVALUATION: no file of it is read."""
    known = [entry for entry in entries if entry.row.partition("@")[0] in rows]
    now = _code_now(known, rows)
    codes = _made_by(workspace, known, read)
    older = {code: workspace.codes.outdated(code, now) for code in set(codes.values())}
    changed = [code for code in codes.values() if older[code]]
    if not changed:
        return ""
    all_names = sorted({name for code in changed for name in older[code]})
    return (
        f"{len(changed)} of the stored results here were made by other code than this bench's "
        f"({named(all_names)}): bench run --fresh makes a row again"
    )


def _code_now(entries: Iterable[Entry], rows: Mapping[str, Row]) -> Code:
    """Return the code of now behind all rows of these cells."""
    registry, code = Registry(rows=dict(rows)), Code()
    seen = set()
    for entry in entries:
        row = entry.row.partition("@")[0]
        place = row, entry.preset, entry.label
        if place not in seen:
            seen.add(place)
            try:
                method = resolve(registry, row, entry.preset, dict(entry.overrides)).method
            except BadInput:  # a value that does not hold any more
                continue
            code |= code_behind(method)
    return code


def _made_by(
    workspace: Workspace, entries: Sequence[Entry], read: Mapping[str, str]
) -> dict[str, str]:
    """The fingerprint of the code behind each stored training and evaluation of the cells."""
    found: dict[str, str | None] = {}
    for entry in entries:
        for node_key in entry.nodes:
            if node_key not in found:
                found[node_key] = read.get(node_key) or _stored_code(workspace, node_key)
        for place in ((entry.key, entry.evaluation), *((k, e) for _, k, e in entry.probes)):
            if (name := "/".join(place)) not in found:
                found[name] = read.get(name) or workspace.results.checked_code(*place)
    return {what: code for what, code in found.items() if code is not None}


def _stored_code(workspace: Workspace, node_key: str) -> str | None:
    record = workspace.objects.about(node_key)
    return None if record is None else str(json_of(record).get("code"))
