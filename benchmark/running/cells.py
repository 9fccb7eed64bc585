"""A cell is a row in one fold with one seed: train its plan, predict its test cases, score."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from benchmark.data.feeding.folds import FoldData, GridCache, Split, folds_of
from benchmark.data.feeding.slices import CaseSlices
from benchmark.data.feeding.splits import INNER, fold_at, split_of
from benchmark.data.library import DataSet
from benchmark.errors import BadInput
from benchmark.files.code import Code
from benchmark.files.source import code_of
from benchmark.parts.measures import curve_flags
from benchmark.plan.folds import Fold
from benchmark.plan.keys import Context, key, values_in
from benchmark.plan.nodes import Weights, in_order
from benchmark.running.bench import Bench
from benchmark.running.code import may_use_rows
from benchmark.running.execute import execute, load_networks, networks
from benchmark.running.fitting import check_networks
from benchmark.running.measure import measured
from benchmark.running.probing import with_probes
from benchmark.settings.resolve import Setting
from benchmark.store.ledger import SCRATCH, Entry
from benchmark.store.results import ResultRow, rows_of


@dataclass(frozen=True, kw_only=True)
class CellName:
    """All that another process needs to make a cell of its own; it can be sent through a pipe.
    `guarded`: its data set lacks the outer test cases, and what is read is noted. `split` is the
    fingerprint of folds that are not the set's own."""

    setting: Setting
    dataset: str
    fold: int
    seed: int
    stage: str
    part: str = "test"
    guarded: bool = False
    split: str = ""


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
        return self.setting.stages[self.stage] if self.stage else self.setting.plan

    @property
    def context(self) -> Context:
        """What, beside a training's own values, makes its key."""
        return self.data.context(self.seed)

    @property
    def name(self) -> CellName:
        """What `Cells` makes the cell of."""
        return CellName(
            setting=self.setting,
            dataset=self.data.dataset.name,
            fold=self.data.fold.index,
            seed=self.seed,
            stage=self.stage,
            part=self.part,
            guarded=isinstance(self.data.cache, InnerCache),
            split=self.split if self.own_split else "",
        )

    def entry(self, suite: str) -> Entry:
        """Return the cell's line in the ledger, as started."""
        final, at = self.final, f"@{self.stage}" if self.stage else ""
        keys = tuple(key(node, self.context) for node in in_order(final.node))
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
    check_networks(setting.plan, dataset, setting.ground)
    cache = GridCache(dataset=dataset, ground=setting.ground)
    chosen = [fold_at(split.folds, index, part) for index in folds]
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
        for stage in ("", *setting.stages)
        for seed in seeds
        for fold in chosen
    ]


def stored_cells(cells: list[Cell], bench: Bench) -> list[Entry]:
    """Return the entries of cells that are all stored, in a workspace that is only read. Raises
    `BadInput` where one is not."""
    known = {entry.name: entry for entry in bench.ledger.entries(SCRATCH)}
    found = [known.get(cell.entry(SCRATCH).name) for cell in cells]
    done = [
        entry
        for entry in found
        if entry and entry.state == "done" and bench.results.intact(entry.key, entry.evaluation)
    ]
    if len(done) < len(cells):
        raise BadInput(
            f"the workspace {bench.root} cannot be written, and {len(cells) - len(done)} of "
            f"{len(cells)} cells are not stored in it: choose another with --root"
        )
    bench.tally.reused += [key for entry in done for key in entry.nodes]
    return done


def score(cell: Cell, entry: Entry, bench: Bench) -> Entry:
    """Train what a cell still lacks, score and probe it; return its entry, done, which the ledger
    has too. Raises whatever a method raises."""
    began = time.monotonic()
    _rows(cell, entry, bench)
    entry = with_probes(cell, entry, bench)
    curve = curve_flags(bench.objects.record(entry.key)["epochs"])
    seconds = round(entry.seconds + time.monotonic() - began, 3)
    entry = replace(entry, flags=(*entry.flags, *curve), state="done", seconds=seconds)
    bench.ledger.write(entry)
    return entry


def _rows(cell: Cell, entry: Entry, bench: Bench) -> None:
    final = cell.final
    execute(final.node, cell.data, cell.seed, bench)
    code = scoring_code(final)
    with bench.results.lock(entry.key, entry.evaluation):
        place = entry.key, entry.evaluation
        if bench.results.whole(*place) and may_use_rows(*place, code, bench):
            return
        network = load_networks(final.node, entry.key, cell.data, bench)[final.net]
        noted = bench.codes.note(code)
        rows: list[ResultRow] = []
        labels: dict[str, NDArray[np.uint8]] = {}
        for case, predicted, scores in measured(network, cell.data, bench.hardware):
            labels[case] = predicted
            rows += rows_of(
                scores, key=entry.key, seed=entry.seed, fold=entry.fold, case=case, code=noted
            )
        bench.results.commit(*place, rows, labels)


def scoring_code(final: Weights) -> Code:
    """Return the code behind the rows of a cell, but for its trainings: they have their own."""
    return code_of(values_in(final.node.nets), (networks, measured))


@dataclass(kw_only=True)
class InnerCache(GridCache):
    """Cases on one training grid; folds share the memory, and each reaches its own cases only.
    `read` notes which cases were asked for."""

    read: set[str] = field(default_factory=set)

    def case(self, name: str) -> CaseSlices:
        """Return one case. Raises `BadInput` for a case outside this fold's inner part, even if
        another fold has it in memory."""
        self.dataset.case(name)
        self.read.add(name)
        return super().case(name)


@dataclass(frozen=True, kw_only=True)
class InnerFold:
    """The inner part of one fold, in a data set from which the outer test cases are missing: asking
    for one is an error whoever asks. `split` is the fingerprint of the whole set's split;
    `own_split` says that it is somebody's own."""

    index: int
    train: tuple[str, ...]
    validation: tuple[str, ...]
    dataset: DataSet
    split: str
    own_split: bool = False

    def cell(
        self, setting: Setting, seed: int, memory: dict[str, CaseSlices], stage: str = ""
    ) -> Cell:
        """Return the cell that trains on `train` and scores `validation`: its keys are those of
        `bench run --inner`."""
        cache = InnerCache(dataset=self.dataset, ground=setting.ground, _made=memory)
        fold = Fold(index=self.index, train=self.train, validation=(), test=self.validation)
        data = FoldData(fold=fold, dataset=self.dataset, ground=setting.ground, cache=cache)
        return Cell(
            setting=setting,
            data=data,
            seed=seed,
            part=INNER,
            split=self.split,
            own_split=self.own_split,
            stage=stage,
        )


def inner_folds(
    dataset: DataSet, indices: Iterable[int], split: Split | None = None
) -> tuple[InnerFold, ...]:
    """Return the inner parts of the folds of a split, the data set's own without one; raises
    `BadInput` for a fold that is not there."""
    split = split or folds_of(dataset)
    return tuple(_inner_fold(dataset, split, index) for index in indices)


def _inner_fold(dataset: DataSet, split: Split, index: int) -> InnerFold:
    inner = fold_at(split.folds, index, INNER)
    names = {*inner.train, *inner.test}
    kept = tuple(case for case in dataset.cases if case.name in names)
    return InnerFold(
        index=index,
        train=inner.train,
        validation=inner.test,
        dataset=replace(dataset, cases=kept),
        split=split.fingerprint,
        own_split=split.own,
    )


@dataclass(kw_only=True)
class Cells:
    """Cells from their names; a data set is opened, and put on the training grid, once."""

    open: Callable[[str], DataSet]
    _sets: dict[tuple[str, str], tuple[DataSet, Split]] = field(default_factory=dict)
    _memory: dict[tuple[str, int | None, str], dict[str, CaseSlices]] = field(default_factory=dict)

    def of(self, name: CellName) -> Cell:
        """Return the cell; raises `BadInput` for a set or a fold that is not there."""
        dataset, split = self.opened(name.dataset, name.split)
        ground = name.setting.ground
        memory = self._memory.setdefault((name.dataset, ground.size, ground.labels), {})
        if name.guarded:
            inner = _inner_fold(dataset, split, name.fold)
            return inner.cell(name.setting, name.seed, memory, name.stage)
        fold = fold_at(split.folds, name.fold, name.part)
        cache = GridCache(dataset=dataset, ground=ground, _made=memory)
        return Cell(
            setting=name.setting,
            data=FoldData(fold=fold, dataset=dataset, ground=ground, cache=cache),
            seed=name.seed,
            part=name.part,
            split=split.fingerprint,
            own_split=split.own,
            stage=name.stage,
        )

    def opened(self, dataset: str, split: str = "") -> tuple[DataSet, Split]:
        """Return a data set and its folds, its own or those of a fingerprint. Raises `BadInput`."""
        if (dataset, split) not in self._sets:
            found = self.open(dataset)
            self._sets[dataset, split] = found, split_of(found, split)
        return self._sets[dataset, split]
