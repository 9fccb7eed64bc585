"""Who is tested: the patients of a fold, or all of another data set, which was kept apart.

Of a set that was kept apart, only the organs are scored that the set which was trained on has too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmark.data.feeding.folds import FoldData, GridCache, Split
from benchmark.data.feeding.splits import fold_at
from benchmark.data.library import DataSet
from benchmark.data.volume import Volume
from benchmark.plan.folds import Fold
from benchmark.plan.ground import Ground
from benchmark.plan.keys import digest
from benchmark.store.ledger import ON

NET = "outside"  # what stands for a network in the identity of the scoring of outside masks
IDENTITY = 12  # digits of an evaluation before its definition


def kept_data(kept: DataSet, index: int, ground: Ground) -> FoldData:
    """Return all patients of a set that was kept apart as those that fold `index` tests."""
    names = tuple(case.name for case in kept.cases)
    return _data(kept, Fold(index=index, train=(), validation=(), test=names), ground)


def kept_evaluation(data: FoldData, net: str, trained: DataSet) -> str:
    """Return the identity of scoring a network there that was trained on another set."""
    base = data.evaluation(net)
    return digest([base[:IDENTITY], list(trained.organs)])[:IDENTITY] + base[IDENTITY:]


def in_common(volume: Volume, trained: DataSet) -> Volume:
    """Return a case of which only those organs count as annotated that `trained` has too."""
    return replace(volume, annotated=tuple(o for o in volume.annotated if o in trained.organs))


@dataclass(frozen=True, kw_only=True)
class Tested:
    """Who is tested by networks that other tools trained on a data set in the folds of a split:
    each fold's test patients, or, by each, all of the set `kept`, which was kept apart."""

    dataset: DataSet
    split: Split
    kept: DataSet | None = None

    @property
    def part(self) -> str:
        """The part that a ledger's entry has."""
        return f"{ON}{self.kept.name}" if self.kept else "test"

    def data(self, index: int) -> FoldData:
        """Return whom a fold's network is tested on; nothing is put on a training grid. Raises
        `BadInput` for a fold that the split does not have."""
        fold = fold_at(self.split.folds, index, "test")
        if self.kept:
            return kept_data(self.kept, index, Ground())
        return _data(self.dataset, fold, Ground())

    def evaluation(self, data: FoldData) -> str:
        """Return the identity of scoring masks of these patients."""
        return kept_evaluation(data, NET, self.dataset) if self.kept else data.evaluation(NET)


def _data(dataset: DataSet, fold: Fold, ground: Ground) -> FoldData:
    cache = GridCache(dataset=dataset, ground=ground)
    return FoldData(fold=fold, dataset=dataset, ground=ground, cache=cache)
