"""Run a method's probes on the test patients of a cell; rows by (key, probe), flags by rule."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from benchmark.data.patients import patients
from benchmark.parts.batch import Patient
from benchmark.plan.keys import Context, canonical, digest, key
from benchmark.plan.nodes import Probe, probes_of
from benchmark.running.bench import Bench
from benchmark.running.execute import execute, load_networks
from benchmark.scoring.cases import Score
from benchmark.store.ledger import Entry
from benchmark.store.results import ResultRow, rows_of

if TYPE_CHECKING:
    from benchmark.running.cells import Cell

ALL = "all"  # the organ of a value that is no organ's
STATE = "probe"
VERSION = 1  # of how a measure is run; a measure has a version of its own


def with_probes(cell: Cell, entry: Entry, bench: Bench) -> Entry:
    """Return the entry with what its method's probes measured and the flags that follow.

    Only test patients are measured, and only once for all stages of a row. A stored measurement is
    used again; a probe with a training of its own trains it first.
    """
    if cell.part != "test" or cell.stage:
        return entry
    done: list[tuple[str, str, str]] = []
    flags = list(entry.flags)
    for probe in probes_of(cell.setting.method):
        node_key = key(probe.node, Context(fold=cell.data.fingerprint, seed=cell.seed))
        evaluation = _evaluation(probe, cell)
        done.append((probe.name, node_key, evaluation))
        _execute(probe, cell, entry, bench)
        with bench.results.lock(node_key, evaluation):
            if not bench.results.whole(node_key, evaluation):
                rows = _measured(probe, node_key, cell, bench)
                bench.results.commit(node_key, evaluation, rows, {})
            found = bench.results.rows(node_key, evaluation)
        flags += probe.measure.flags(means(found))
    return replace(entry, probes=tuple(done), flags=tuple(dict.fromkeys(flags)))


def means(rows: Iterable[ResultRow]) -> dict[str, float]:
    """Return the mean over patients of each metric of probe rows, defined values only."""
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if not math.isnan(row.value):
            found[row.metric].append(row.value)
    return {metric: statistics.fmean(values) for metric, values in found.items()}


def _execute(probe: Probe, cell: Cell, entry: Entry, bench: Bench) -> None:
    """Train what only the probe needs; the tally keeps it apart from the row's own trainings."""
    before = set(bench.tally.trained), set(bench.tally.reused)
    execute(probe.node, cell.data, cell.seed, bench)
    tally = bench.tally
    for names, known in zip((tally.trained, tally.reused), before, strict=True):
        extra = [name for name in names if name not in known and name not in entry.nodes]
        tally.fitted += extra if names is tally.trained else []
        names[:] = [name for name in names if name not in extra]


def _measured(probe: Probe, node_key: str, cell: Cell, bench: Bench) -> list[ResultRow]:
    nets = load_networks(probe.node, node_key, cell.data, bench)
    for module in nets.values():
        module.requires_grad_(False)
    values: list[tuple[str, dict[str, float]]] = []
    with torch.no_grad():
        for patient in _patients(nets, cell, bench):
            values.append((patient.name, probe.measure(nets, patient)))
    return [
        row
        for case, found in values
        for row in rows_of(
            [_score(metric, value) for metric, value in found.items()],
            key=node_key, seed=cell.seed, fold=cell.data.fold.index, case=case,
        )
    ]  # fmt: skip


def _score(metric: str, value: float) -> Score:
    return Score(organ=ALL, state=STATE, metric=metric, value=value, unit="", n_voxels_true=0)


def _patients(nets: Mapping[str, nn.Module], cell: Cell, bench: Bench) -> Iterable[Patient]:
    data = cell.data
    return patients(
        [data.cache.case(name) for name in data.fold.test],
        data.ground,
        stride=max(int(getattr(module, "stride", 1)) for module in nets.values()),
        device=bench.hardware.device,
    )


def _evaluation(probe: Probe, cell: Cell) -> str:
    """The identity of a measurement: what is measured, on which cases."""
    tested = cell.data.evaluation("")
    return f"{probe.name}-{digest([canonical(probe.measure), tested, VERSION])[:12]}"
