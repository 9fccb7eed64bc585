"""What a trial can reach of a data set: of each fold its inner part, and no outer test case.

The types do it: trials are made from `InnerFold` alone, and that holds a data set from which the
outer test cases are missing, so that asking for one of them is an error whoever asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from benchmark.data.feeding.slices import CaseSlices
from benchmark.data.library import DataSet
from benchmark.errors import BadInput
from benchmark.plan.folds import Fold
from benchmark.running.cells import Cell
from benchmark.running.folds import FoldData, GridCache, folds_of
from benchmark.running.resolve import Setting

PART = "inner"
LEAST_PATIENTS = 4  # inner patients with an organ, for it to count in the objective


@dataclass(kw_only=True)
class InnerCache(GridCache):
    """Cases on one training grid; folds share the memory, and each reaches its own cases only.

    `read` notes which cases were asked for.
    """

    read: set[str] = field(default_factory=set)

    def case(self, name: str) -> CaseSlices:
        """Return one case. Raises `BadInput` for a case outside this fold's inner part, even if
        another fold has it in memory."""
        self.dataset.case(name)
        self.read.add(name)
        return super().case(name)


@dataclass(frozen=True, kw_only=True)
class InnerFold:
    """The inner part of one fold. `split` is the fingerprint of the whole set's split."""

    index: int
    train: tuple[str, ...]
    validation: tuple[str, ...]
    dataset: DataSet
    split: str

    def cell(self, setting: Setting, seed: int, memory: dict[str, CaseSlices]) -> Cell:
        """Return the cell that trains on `train` and scores `validation`: its keys are those of
        `bench run --inner`."""
        cache = InnerCache(dataset=self.dataset, ground=setting.ground, _made=memory)
        fold = Fold(index=self.index, train=self.train, validation=(), test=self.validation)
        data = FoldData(fold=fold, dataset=self.dataset, ground=setting.ground, cache=cache)
        return Cell(setting=setting, data=data, seed=seed, part=PART, split=self.split)


def inner_folds(dataset: DataSet, indices: Iterable[int]) -> tuple[InnerFold, ...]:
    """Return the inner parts of folds; raises `BadInput` for a fold that is not there."""
    split = folds_of(dataset)
    known = split.folds
    found = []
    for index in indices:
        if not 0 <= index < len(known):
            raise BadInput(f"fold {index} is not there: the folds are 0 to {len(known) - 1}")
        inner = known[index].inner()
        names = {*inner.train, *inner.test}
        kept = tuple(case for case in dataset.cases if case.name in names)
        found.append(
            InnerFold(
                index=index,
                train=inner.train,
                validation=inner.test,
                dataset=replace(dataset, cases=kept),
                split=split.fingerprint,
            )
        )
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class Organs:
    """Which organs count in the objective; `left_out` maps the others to their inner patients."""

    used: tuple[str, ...]
    left_out: dict[str, int]

    def lines(self) -> list[str]:
        """Return a line for each organ that does not count."""
        return [
            f"{organ} is left out of the objective: {count} inner patients have it annotated, "
            f"fewer than {LEAST_PATIENTS}"
            for organ, count in self.left_out.items()
        ]


def organs_of(folds: tuple[InnerFold, ...]) -> Organs:
    """Return the organs that at least four different inner patients of the folds have annotated.

    Raises `BadInput` where no organ has.
    """
    patients = {
        (name, o) for f in folds for name in f.validation for o in f.dataset.case(name).annotated
    }
    counts = {organ: sum(o == organ for _, o in patients) for organ in folds[0].dataset.organs}
    used = tuple(organ for organ, count in counts.items() if count >= LEAST_PATIENTS)
    if not used:
        most = max(counts.values())
        raise BadInput(
            f"too few inner validation patients to tune on: at most {most} for an organ in folds "
            f"{', '.join(str(f.index) for f in folds)}, {LEAST_PATIENTS} are needed; "
            "add cases or folds"
        )
    return Organs(used=used, left_out={o: n for o, n in counts.items() if n < LEAST_PATIENTS})
