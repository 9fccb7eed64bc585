"""Run a method's probes on the test patients of a cell; rows by (key, probe), flags by rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from benchmark.analysis.tables import means
from benchmark.data.feeding.folds import FoldData
from benchmark.data.feeding.patients import patients
from benchmark.files.code import Code
from benchmark.files.source import code_of
from benchmark.parts.batch import Patient
from benchmark.parts.networks import stride_of
from benchmark.plan.keys import canonical, digest, key, values_in
from benchmark.plan.nodes import Probe
from benchmark.running.bench import Bench
from benchmark.running.code import may_use_rows
from benchmark.running.execute import execute, load_networks, networks
from benchmark.scoring.cases import Score
from benchmark.store.ledger import Entry
from benchmark.store.results import ResultRow, rows_of
from benchmark.training.precision import Hardware
from benchmark.training.prediction import Features

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
    if not is_probed(cell):
        return entry
    done: list[tuple[str, str, str]] = []
    flags = list(entry.flags)
    features = Features()
    for probe in cell.setting.probes:
        node_key = key(probe.node, cell.context)
        evaluation = evaluation_of(probe, cell)
        done.append((probe.name, node_key, evaluation))
        _execute(probe, cell, entry, bench)
        place = node_key, evaluation
        with bench.results.lock(*place):
            code = probe_code(probe)
            if not (bench.results.whole(*place) and may_use_rows(*place, code, bench)):
                rows = _measured(probe, node_key, cell, bench, features)
                bench.results.commit(*place, rows, {})
            found = bench.results.rows(node_key, evaluation)
        flags += probe.measure.flags(means(found))
    return replace(entry, probes=tuple(done), flags=tuple(dict.fromkeys(flags)))


def is_probed(cell: Cell) -> bool:
    """Return whether a cell's probes are measured: on test patients, once for all its stages."""
    return cell.part == "test" and not cell.stage


def probe_code(probe: Probe) -> Code:
    """Return the code behind a probe's rows, but for its training: that has its own."""
    values = (*values_in(probe.measure), *values_in(probe.node.nets))
    return code_of(values, (networks, _values, _patients))


def _execute(probe: Probe, cell: Cell, entry: Entry, bench: Bench) -> None:
    """Train what only the probe needs; the tally keeps it apart from the row's own trainings."""
    before = set(bench.tally.trained), set(bench.tally.reused)
    execute(probe.node, cell.data, cell.seed, bench)
    tally = bench.tally
    for names, known in zip((tally.trained, tally.reused), before, strict=True):
        extra = [name for name in names if name not in known and name not in entry.nodes]
        tally.fitted += extra if names is tally.trained else []
        names[:] = [name for name in names if name not in extra]


def _measured(
    probe: Probe, node_key: str, cell: Cell, bench: Bench, features: Features
) -> list[ResultRow]:
    nets = load_networks(probe.node, node_key, cell.data, bench)
    noted = bench.codes.note(probe_code(probe))
    about: dict[str, Any] = {"key": node_key, "seed": cell.seed, "code": noted}
    rows: list[ResultRow] = []
    for case, found in _values(probe, nets, _patients(nets, cell.data, bench.hardware), features):
        scores = [_score(metric, value) for metric, value in found.items()]
        rows += rows_of(scores, fold=cell.data.fold.index, case=case, **about)
    return rows


def _values(
    probe: Probe, nets: Mapping[str, nn.Module], patients: Iterable[Patient], features: Features
) -> list[tuple[str, dict[str, float]]]:
    """What a probe measures of each patient, by metric."""
    for module in nets.values():
        module.requires_grad_(False)
    own = getattr(probe.measure, "shares_features", False)
    with torch.no_grad(), features.shared(nets if own else {}, probe.node.nets):
        return [(patient.name, probe.measure(nets, patient)) for patient in patients]


def _score(metric: str, value: float) -> Score:
    return Score(organ=ALL, state=STATE, metric=metric, value=value, unit="", n_voxels_true=0)


def _patients(
    nets: Mapping[str, nn.Module], data: FoldData, hardware: Hardware
) -> Iterable[Patient]:
    return patients(
        [data.cache.case(name) for name in data.fold.test],
        data.ground,
        stride=stride_of(nets),
        device=hardware.device,
    )


def evaluation_of(probe: Probe, cell: Cell) -> str:
    """Return the identity of a measurement: what is measured, on which cases."""
    tested = cell.data.tested("")
    return f"{probe.name}-{digest([canonical(probe.measure), tested, VERSION])[:12]}"
