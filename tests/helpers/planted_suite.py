"""For tests: a finished suite without training. Cells, keys, records and probes are as a run leaves
them; the predictions are the truth with errors, fewer in better rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from bench_process import tiny_workspace
from numpy.typing import NDArray

from benchmark.data.library import open_dataset
from benchmark.data.volume import Volume
from benchmark.files import atomic
from benchmark.plan.keys import Context, key, spec
from benchmark.plan.nodes import Train, in_order, probes_of
from benchmark.running.bench import Bench, Options
from benchmark.running.cells import Cell, plan_cells
from benchmark.scoring.cases import score_case
from benchmark.settings.registry import load_registry
from benchmark.settings.resolve import resolve
from benchmark.store.ledger import Entry
from benchmark.store.results import ResultRow

ERRORS = {"unet": 0.10, "fsm": 0.05, "unet-200": 0.09, "fsm-constant": 0.06, "no-noise": 0.12}
SMALL = {"ground.size": None, "ct.width": 4, "ct.levels": 3, "schedule.steps_per_epoch": 3}


def workspace(root: Path, patients: int = 15) -> Bench:
    """Return the bench of a new workspace with the tiny set."""
    bench = Options(root=root, device="cpu", precision="fp32").open()
    tiny_workspace(root, patients=patients)
    return bench


def plant(
    bench: Bench,
    errors: Mapping[str, float] = ERRORS,
    *,
    preset: str = "quick",
    folds: Sequence[int] = (0, 1, 2, 3, 4),
    seeds: Sequence[int] = (0, 1),
    suite: str = "default",
    gap: float = 12.0,
    values: Mapping[str, object] = SMALL,
) -> list[Entry]:
    """Write a suite: each row with the share of an organ's border that it gets wrong."""
    atomic_fsync, atomic._fsync = atomic._fsync, lambda path: None  # nobody pulls the plug here
    try:
        return _planted(bench, errors, preset, folds, seeds, suite, gap, values)
    finally:
        atomic._fsync = atomic_fsync


def _planted(
    bench: Bench,
    errors: Mapping[str, float],
    preset: str,
    folds: Sequence[int],
    seeds: Sequence[int],
    suite: str,
    gap: float,
    values: Mapping[str, object],
) -> list[Entry]:
    dataset, registry = open_dataset(bench.root, "tiny"), load_registry()
    volumes = {case.name: dataset.load(case.name) for case in dataset.cases}
    written = []
    for name, wrong in errors.items():
        small = dict(values)
        if values is SMALL and hasattr(registry.row(name).method, "gt"):
            small |= {"gt.width": 4, "gt.levels": 3}
        setting = resolve(registry, name, preset, small)
        for cell in plan_cells(setting, dataset, folds=folds, seeds=seeds):
            entry = cell.entry(suite)
            _train(cell, bench)
            share = wrong + (0.02 if cell.stage else 0.0)
            _score(cell, entry, bench, volumes, share)
            entry = replace(entry, state="done", seconds=1.5, probes=_probe(cell, bench, gap))
            bench.ledger.write(entry)
            written.append(entry)
    return written


def _train(cell: Cell, bench: Bench) -> None:
    context = cell.context
    for node in in_order(cell.final.node):
        if not bench.objects.has(name := key(node, context)):
            bench.objects.commit(name, {"ct": {"w": torch.zeros(1)}}, _record(node, name, context))


def _record(node: Train, name: str, context: Context) -> dict[str, object]:
    rng = np.random.default_rng([*name.encode()])
    terms = ["dsc", "ce", *(["M"] if "fsm" in node.nets else [])]
    epochs = [
        {"index": i, "terms": {t: float(np.exp(-i / 3) + rng.uniform(0, 0.1)) for t in terms},
         "at_ms": i}
        for i in range(6)
    ]  # fmt: skip
    return {
        "key": name, "title": node.title, "spec": spec(node, context), "parents": [],
        "seed": context.seed, "fold": context.fold, "steps": 18, "epochs": epochs, "seconds": 2.0,
        "parameters": dict.fromkeys(node.nets, 1000), "code": "c0de", "resumed": [],
        "hardware": {"device": "cpu", "name": "A", "precision": "fp32", "threads": 1,
                     "torch": "2.13"},
        "made_at": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip


def _score(
    cell: Cell, entry: Entry, bench: Bench, volumes: Mapping[str, Volume], wrong: float
) -> None:
    if bench.results.has(entry.key, entry.evaluation):
        return
    rows: list[ResultRow] = []
    labels: dict[str, NDArray[np.uint8]] = {}
    for case in cell.data.fold.test:
        volume = volumes[case]
        rng = np.random.default_rng([*f"{entry.label} {case} {cell.seed}".encode()])
        labels[case] = predicted = spoilt(volume.label, wrong * rng.uniform(0.8, 1.2), rng)
        for score in score_case(
            volume.label, predicted, spacing_mm=volume.geometry.spacing_mm,
            organs=cell.data.dataset.organs, annotated=volume.annotated,
        ):  # fmt: skip
            rows.append(result_row(entry, case, score.organ, score.metric, score.value,
                                   state=score.state, unit=score.unit,
                                   voxels=score.n_voxels_true))  # fmt: skip
    bench.results.commit(entry.key, entry.evaluation, rows, labels)


def spoilt(label: NDArray[np.uint8], share: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The label map with a share of its organs' voxels gone."""
    gone = rng.random(label.shape) < share
    return np.where(gone, 0, label).astype(np.uint8)


def result_row(
    entry: Entry, case: str, organ: str, metric: str, value: float, *,
    state: str = "overlap", unit: str = "percent", voxels: int = 100,
) -> ResultRow:  # fmt: skip
    """One row of a cell."""
    return ResultRow(
        key=entry.key, seed=entry.seed, fold=entry.fold, case=case, organ=organ, state=state,
        metric=metric, value=value, unit=unit, n_voxels_true=voxels, code="c0de",
    )  # fmt: skip


MEASURES = {
    "gap": ("gt_gap", "m_matched", "m_shuffled", "cka"),
    "teacher": ("teacher_dsc", "teacher_loses_shuffled", "teacher_loses_mean",
                "teacher_loses_zero"),
    "student": ("student_dsc", "student_loses_shuffled", "student_loses_mean",
                "student_loses_zero"),
    "headroom": ("headroom",),
}  # fmt: skip


def _probe(cell: Cell, bench: Bench, gap: float) -> tuple[tuple[str, str, str], ...]:
    if cell.stage:
        return ()
    found = []
    context = cell.context
    entry = cell.entry("x")
    for probe in probes_of(cell.setting.method):
        name, evaluation = key(probe.node, context), f"{probe.name}-0123"
        found.append((probe.name, name, evaluation))
        if bench.results.has(name, evaluation) or probe.name not in MEASURES:
            found = found if probe.name in MEASURES else found[:-1]
            continue
        rows = []
        for number, case in enumerate(cell.data.fold.test):
            rng = np.random.default_rng([cell.seed, number, *case.encode()])
            for metric in MEASURES[probe.name]:
                value = gap if metric == "gt_gap" else 5.0
                rows.append(result_row(replace(entry, key=name), case, "all", metric,
                                       value + rng.normal(), state="probe", unit=""))  # fmt: skip
        bench.results.commit(name, evaluation, rows, {})
    return tuple(found)
