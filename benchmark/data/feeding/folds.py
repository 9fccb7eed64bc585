"""One fold of a data set, as the trainings of one ground see it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from benchmark.data.feeding.slice_cache import open_several, open_slices
from benchmark.data.feeding.slices import CaseSlices
from benchmark.data.library import DataSet
from benchmark.plan.folds import Fold, Subject, fold_fingerprint, split, split_fingerprint
from benchmark.plan.ground import Ground
from benchmark.plan.keys import digest
from benchmark.scoring.cases import OF_THE_CUT_ARRAY, scoring_identity


@dataclass(kw_only=True)
class GridCache:
    """Cases on the training grid of a ground, opened when first asked for and kept for the other
    folds."""

    dataset: DataSet
    ground: Ground
    _made: dict[str, CaseSlices] = field(default_factory=dict)

    def case(self, name: str) -> CaseSlices:
        """Return one case on the training grid."""
        if name not in self._made:
            self._made[name] = open_slices(
                self.dataset, name, self.ground.size, areas=self.ground.asks_areas
            )
        return self._made[name]

    def cases(self, names: Iterable[str]) -> list[CaseSlices]:
        """Return several cases; those that are not there yet are made at the same time."""
        wanted = list(names)
        missing = [name for name in wanted if name not in self._made]
        made = open_several(self.dataset, missing, self.ground.size, areas=self.ground.asks_areas)
        self._made |= dict(zip(missing, made, strict=True))
        return [self._made[name] for name in wanted]


@dataclass(frozen=True, kw_only=True)
class FoldData:
    """A fold with its data. Trainings get `training()` alone: no test case can reach them."""

    fold: Fold
    dataset: DataSet
    ground: Ground
    cache: GridCache

    @cached_property  # every key of every cell asks
    def fingerprint(self) -> str:
        """The hash of what a training can see; part of every key.

        A case's source counts where it has one: masks are exchanged within a source only.
        """
        seen = self._sha256(self.fold.train)
        for name in seen:
            source = self.dataset.case(name).source
            seen[name] += f" {source}" if source else ""
        return fold_fingerprint(seen, self.dataset.organs, self.ground)

    def training(self) -> list[CaseSlices]:
        """Return the training cases on the training grid."""
        return self.cache.cases(self.fold.train)

    def evaluation(self, net: str) -> str:
        """Return the identity of scoring network `net` on this fold's test cases."""
        boxed = any(case.box for case in self.dataset.cases)
        return self.tested(net) + (OF_THE_CUT_ARRAY if boxed else "")

    def tested(self, net: str) -> str:
        """Return the same without the definition of distance, on which a probe does not rest."""
        tested = sorted(self._sha256(self.fold.test).values())
        return digest([net, tested, *scoring_identity(self.dataset.organs)])[:12]

    def _sha256(self, names: tuple[str, ...]) -> dict[str, str]:
        return {name: self.dataset.case(name).sha256 for name in names}


def subjects(dataset: DataSet) -> list[Subject]:
    """Return what the split knows about each case."""
    return [
        Subject(name=c.name, annotated=c.annotated, source=c.source, sha256=c.sha256)
        for c in dataset.cases
    ]


@dataclass(frozen=True, kw_only=True)
class Split:
    """The folds of a data set and their fingerprint. `own`: somebody's own, and not those that
    the set has by itself; what is stored of its cells then goes by the fingerprint too."""

    folds: tuple[Fold, ...]
    fingerprint: str
    own: bool = False


def folds_of(dataset: DataSet) -> Split:
    """Return the folds that the set has by itself; raises `BadInput` for too few patients."""
    known = subjects(dataset)
    folds = split(known)
    return Split(folds=folds, fingerprint=split_fingerprint(known, folds))
