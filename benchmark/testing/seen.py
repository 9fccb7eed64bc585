"""Watches which cases a whole plan reads."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from benchmark.data.feeding.slices import CaseSlices
from benchmark.data.library import DataSet
from benchmark.plan.folds import Fold
from benchmark.plan.ground import Ground
from benchmark.plan.nodes import Method, probes_of
from benchmark.running.bench import open_bench
from benchmark.running.cells import InnerCache
from benchmark.running.execute import execute
from benchmark.running.folds import FoldData, folds_of
from benchmark.training.precision import hardware


class WatchedCache(InnerCache):
    """A cache that notes training cases too."""

    def cases(self, names: Iterable[str]) -> list[CaseSlices]:
        """Note the cases and return them."""
        wanted = list(names)
        self.read.update(wanted)
        return super().cases(wanted)


def cases_seen_by(method: Method, dataset: DataSet, root: Path) -> tuple[set[str], Fold]:
    """Train a plan in the first fold of a set, and the trainings of its probes; return the cases
    that were read, and the fold."""
    fold, ground = folds_of(dataset).folds[0], Ground(batch=4)
    cache = WatchedCache(dataset=dataset, ground=ground)
    data = FoldData(fold=fold, dataset=dataset, ground=ground, cache=cache)
    bench = open_bench(root, hardware("cpu", "fp32"))
    for node in (method.plan().node, *(probe.node for probe in probes_of(method))):
        execute(node, data, 0, bench)
    return cache.read, fold
