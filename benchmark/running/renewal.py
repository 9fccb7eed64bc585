"""Look at what is stored for cells before or after they are run: by which code was it made?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from benchmark.files.code import Code
from benchmark.plan.keys import Context, key
from benchmark.plan.nodes import Probe, Train, Weights, in_order
from benchmark.running.bench import Bench
from benchmark.running.cells import Cell, scoring_code
from benchmark.running.code import may_use, may_use_rows
from benchmark.running.execute import training_code
from benchmark.running.probing import evaluation_of, is_probed, probe_code


@dataclass(frozen=True, kw_only=True)
class Codes:
    """The code behind a row: of each training in order, of its rows, and of its probes."""

    trainings: tuple[tuple[Train, Code], ...]
    final: Weights
    scoring: Code
    probes: tuple[tuple[Probe, Code], ...]

    @property
    def has_others(self) -> bool:
        """Whether any of it lies outside of this distribution."""
        codes = [*(code for _, code in self.trainings), *(code for _, code in self.probes)]
        return any(code.others for code in (*codes, self.scoring))


def renew(cells: Iterable[Cell], bench: Bench) -> None:
    """Set aside what other people's code made that changed since; for rows of this distribution
    no file is read."""
    _look(cells, bench, everything=False)


def look_over(cells: Iterable[Cell], bench: Bench) -> None:
    """The same for all cells: what other code of ours made is noted in the tally too."""
    _look(cells, bench, everything=True)


def _look(cells: Iterable[Cell], bench: Bench, *, everything: bool) -> None:
    known: dict[tuple[int, str], Codes] = {}
    seen: set[str] = set()
    for cell in cells:
        row = id(cell.setting), cell.stage  # all its folds and seeds share its code
        if row not in known:
            known[row] = codes_of(cell)
        if everything or known[row].has_others:
            _trainings(cell, known[row], bench, seen)
            for place, code in _evaluations(cell, known[row]):
                _rows(*place, code, bench)


def codes_of(cell: Cell) -> Codes:
    """Return the code behind a cell's row and stage."""
    probes = cell.setting.probes if is_probed(cell) else ()
    final = cell.final
    nodes = [*in_order(final.node), *(node for probe in probes for node in in_order(probe.node))]
    return Codes(
        trainings=tuple((node, training_code(node)) for node in nodes),
        final=final,
        scoring=scoring_code(final),
        probes=tuple((probe, probe_code(probe)) for probe in probes),
    )


def _trainings(cell: Cell, codes: Codes, bench: Bench, seen: set[str]) -> None:
    context = Context(fold=cell.data.fingerprint, seed=cell.seed)
    for node, code in codes.trainings:
        node_key = key(node, context)
        if node_key not in seen:
            seen.add(node_key)
            with bench.objects.lock(node_key):
                if bench.objects.has(node_key):
                    may_use(node_key, code, bench)


def _evaluations(cell: Cell, codes: Codes) -> Iterator[tuple[tuple[str, str], Code]]:
    context = Context(fold=cell.data.fingerprint, seed=cell.seed)
    yield (key(codes.final.node, context), cell.data.evaluation(codes.final.net)), codes.scoring
    for probe, code in codes.probes:
        yield (key(probe.node, context), evaluation_of(probe, cell)), code


def _rows(node_key: str, evaluation: str, code: Code, bench: Bench) -> None:
    with bench.results.lock(node_key, evaluation):
        if bench.results.intact(node_key, evaluation):
            may_use_rows(node_key, evaluation, code, bench)
