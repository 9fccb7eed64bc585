"""A cell is a row in one fold with one seed: train its plan, predict its test cases, score."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmark.data.library import DataSet
from benchmark.data.slices import scaled
from benchmark.data.volume import Volume, slices_of
from benchmark.errors import BadInput, Diverged
from benchmark.plan.folds import Fold
from benchmark.plan.keys import Context, key
from benchmark.plan.nodes import Weights, in_order, stages_of
from benchmark.running.bench import Bench
from benchmark.running.execute import check_networks, execute, load_networks
from benchmark.running.folds import FoldData, GridCache, Split, folds_of
from benchmark.running.probing import with_probes
from benchmark.running.resolve import Setting
from benchmark.scoring.cases import score_case
from benchmark.store.ledger import DEFAULT_SUITE, Entry
from benchmark.store.results import ResultRow, rows_of
from benchmark.training.prediction import predict_labels

PARTS = ("test", "inner")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One setting in one fold with one seed, scored at its end or after an earlier `stage`."""

    setting: Setting
    data: FoldData
    seed: int
    part: str
    split: str
    own_split: bool = False
    stage: str = ""

    @property
    def final(self) -> Weights:
        """The weights that are scored."""
        method = self.setting.method
        return stages_of(method)[self.stage] if self.stage else method.plan()

    def entry(self, suite: str) -> Entry:
        """Return the cell's line in the ledger, as started."""
        final, at = self.final, f"@{self.stage}" if self.stage else ""
        context = Context(fold=self.data.fingerprint, seed=self.seed)
        keys = tuple(key(node, context) for node in in_order(final.node))
        return Entry(
            suite=suite,
            dataset=self.data.dataset.name,
            row=self.setting.row + at,
            label=self.setting.label + at,
            preset=self.setting.preset,
            overrides=self.setting.overrides,
            fold=self.data.fold.index,
            seed=self.seed,
            part=self.part,
            key=keys[-1],
            evaluation=self.data.evaluation(final.net),
            split=self.split,
            nodes=keys,
            flags=self.setting.flags,
            params=self.setting.params(),
            tuned=self.setting.tuned,
            preset_hash=self.setting.preset_hash,
            own_split=self.own_split,
        )


def plan_cells(
    setting: Setting,
    dataset: DataSet,
    *,
    folds: Iterable[int],
    seeds: Iterable[int],
    part: str = "test",
    split: Split | None = None,
) -> list[Cell]:
    """Return the cells of one setting, those of earlier stages last, in the folds of `split`
    (None: the data set's own); raises `BadInput` for a fold that is not there and for networks
    that cannot be built."""
    split = split or folds_of(dataset)
    check_networks(setting.method.plan(), dataset.organs, setting.ground.size)
    cache = GridCache(dataset=dataset, size=setting.ground.size)
    chosen = [_fold(split.folds, index, part) for index in folds]
    return [
        Cell(
            setting=setting,
            data=FoldData(fold=fold, dataset=dataset, ground=setting.ground, cache=cache),
            seed=seed,
            part=part,
            split=split.fingerprint,
            own_split=split.own,
            stage=stage,
        )
        for stage in ("", *stages_of(setting.method))
        for seed in seeds
        for fold in chosen
    ]


def run_cells(
    cells: list[Cell],
    bench: Bench,
    *,
    suite: str = DEFAULT_SUITE,
    started: Callable[[Entry], None] = lambda entry: None,
    done: Callable[[Entry], None] = lambda entry: None,
) -> list[Entry]:
    """Run cells one after the other and return their entries.

    A training that diverges fails its cell and no other. Whatever ends the process, the same
    call again goes on from the last checkpoint.
    """
    entries = []
    for number, cell in enumerate(cells, start=1):
        entry = cell.entry(suite)
        bench.watcher.cell(entry.label, entry.fold, entry.seed, number, len(cells))
        bench.ledger.write(entry)
        started(entry)
        began = time.monotonic()
        try:
            _run(cell, entry, bench)
            entry = with_probes(cell, entry, bench)
            entry = replace(entry, state="done", seconds=round(time.monotonic() - began, 3))
        except Diverged as error:
            entry = replace(entry, state="failed", error=str(error))
            bench.watcher.warn(f"{entry.label} fold {entry.fold} seed {entry.seed}: {error}")
        bench.ledger.write(entry)
        done(entry)
        entries.append(entry)
    return entries


def _run(cell: Cell, entry: Entry, bench: Bench) -> None:
    final = cell.final
    execute(final.node, cell.data, cell.seed, bench)
    with bench.results.lock(entry.key, entry.evaluation):
        if bench.results.whole(entry.key, entry.evaluation):
            return
        rows: list[ResultRow] = []
        labels: dict[str, NDArray[np.uint8]] = {}
        for volume, predicted in _predictions(final, cell, entry, bench):
            rows += _score(volume, predicted, cell, entry)
            labels[volume.case] = predicted
        bench.results.commit(entry.key, entry.evaluation, rows, labels)


def _predictions(
    final: Weights, cell: Cell, entry: Entry, bench: Bench
) -> Iterator[tuple[Volume, NDArray[np.uint8]]]:
    network = load_networks(final.node, entry.key, cell.data, bench)[final.net]
    ground = cell.data.ground
    for name in cell.data.fold.test:
        volume = cell.data.dataset.load(name)
        slices = cell.data.cache.case(name)
        whole = np.zeros(volume.label.shape, np.uint8)
        box = slices_of(volume.box)
        predicted = predict_labels(
            network,
            slices.hu_ZHW,
            scaled=lambda hu: scaled(hu, ground),
            native_hw=whole[box].shape[1:],
            batch=ground.batch,
            hardware=bench.hardware,
        )
        whole[box] = predicted  # nothing is known outside of the crop box
        yield volume, whole


def _score(
    volume: Volume, predicted: NDArray[np.uint8], cell: Cell, entry: Entry
) -> list[ResultRow]:
    scores = score_case(
        volume.label,
        predicted,
        spacing_mm=volume.geometry.spacing_mm,
        organs=cell.data.dataset.organs,
        annotated=volume.annotated,
        box=slices_of(volume.box) if volume.box else None,
    )
    return rows_of(scores, key=entry.key, seed=entry.seed, fold=entry.fold, case=volume.case)


def _fold(known: tuple[Fold, ...], index: int, part: str) -> Fold:
    if not 0 <= index < len(known):
        raise BadInput(f"fold {index} is not there: the folds are 0 to {len(known) - 1}")
    return known[index].inner() if part == "inner" else known[index]
