"""What a suite will run and how it will be analysed, fixed before its first result.

A suite's plan only ever grows: what was planned once stays planned, so that no table can lose a
row, a seed or a fold that turned out badly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeVar

from benchmark.errors import BadInput
from benchmark.plan.analysis import AnalysisPlan
from benchmark.plan.keys import canonical, digest
from benchmark.plan.nodes import later
from benchmark.plan.presets import lasting_name, other_values

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One planned cell: a label (`fsm`, `fsm@stage2`) on a set, in one fold with one seed."""

    dataset: str
    label: str
    fold: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class SuitePlan:
    """Rows, data sets, folds and seeds of a suite, and its analysis plan.

    `rows` are the registry's names, `labels` what is scored of them (their earlier stages too);
    `splits` maps each data set to its split's fingerprint; `overrides` are the suite's `--set`.
    `preset` is the name under which the values of `preset_hash` are known.
    """

    kind: ClassVar[str] = "suite-plan"
    rows: tuple[str, ...]
    labels: tuple[str, ...]
    splits: Mapping[str, str]
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    preset: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    analysis: AnalysisPlan = field(default_factory=AnalysisPlan)
    preset_hash: str = later("")

    @property
    def fingerprint(self) -> str:
        """The hash of all of it, whatever the preset's values are known as now."""
        content = canonical(replace(self, preset_hash=""))
        return digest({**content, "preset": lasting_name(self.preset, self.preset_hash)})

    def cells(self) -> Iterator[Planned]:
        """Yield every planned cell: by data set, label, seed and fold, in that order."""
        for dataset in self.splits:
            for label in self.labels:
                yield from self.cells_of(dataset, label)

    def cells_of(self, dataset: str, label: str) -> Iterator[Planned]:
        """Yield the cells that a row has, or would have, in a table of the suite."""
        for seed in self.seeds:
            for fold in self.folds:
                yield Planned(dataset=dataset, label=label, fold=fold, seed=seed)

    def joined(self, other: SuitePlan, name: str) -> SuitePlan:
        """Return this plan with what `other` adds to it. Raises `BadInput` where the two can
        share no table: another preset, other `--set`, or another split of a data set."""
        _check_same_values(self, other, name)
        for dataset in self.splits.keys() & other.splits.keys():
            ours, theirs = self.splits[dataset], other.splits[dataset]
            if ours != theirs:
                raise BadInput(
                    f"suite {name} holds another split of data set {dataset}, {ours[:8]} and not "
                    f"{theirs[:8]} (did its cases change?): a comparison never mixes splits; "
                    "give another --name"
                )
        seeds = _union(self.seeds, other.seeds)
        splits = {**self.splits, **other.splits}
        return replace(
            self,
            rows=_union(self.rows, other.rows),
            labels=_union(self.labels, other.labels),
            splits=splits,
            folds=tuple(sorted({*self.folds, *other.folds})),
            seeds=seeds,
            analysis=replace(
                other.analysis,
                seeds=seeds,
                datasets=tuple(splits),
                version=self.analysis.version,  # as it was planned
            ),
        )


def _check_same_values(plan: SuitePlan, other: SuitePlan, name: str) -> None:
    """Raise `BadInput` where two plans have other values of their preset, or other `--set`."""
    first, second = (lasting_name(each.preset, each.preset_hash) for each in (plan, other))
    same = "give the same, or another --name"
    if first != second:
        what = other_values(plan.preset, other.preset, instead="another --name")
        what = what or f"--preset {plan.preset}, not {other.preset}: {same}"
        raise BadInput(f"suite {name} is planned with {what}")
    ours, theirs = canonical(plan.overrides), canonical(other.overrides)
    if ours != theirs:
        raise BadInput(f"suite {name} is planned with --set {ours}, not {theirs}: {same}")


def _union(first: tuple[Item, ...], second: tuple[Item, ...]) -> tuple[Item, ...]:
    return tuple(dict.fromkeys((*first, *second)))
