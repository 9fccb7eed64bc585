"""What a suite will run and how it will be analysed, fixed before its first result.

A suite's plan only ever grows: what was planned once stays planned, so that no table can lose a
row, a seed or a fold that turned out badly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeVar

from benchmark.errors import BadInput
from benchmark.plan.analysis import AnalysisPlan, Metric
from benchmark.plan.keys import canonical, digest

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

    @property
    def fingerprint(self) -> str:
        """The hash of all of it."""
        return digest(canonical(self))

    def cells(self) -> Iterator[Planned]:
        """Yield every planned cell."""
        for dataset in self.splits:
            for label in self.labels:
                for seed in self.seeds:
                    for fold in self.folds:
                        yield Planned(dataset=dataset, label=label, fold=fold, seed=seed)

    def joined(self, other: SuitePlan, name: str) -> SuitePlan:
        """Return this plan with what `other` adds to it. Raises `BadInput` where the two can
        share no table: another preset, other `--set`, or another split of a data set."""
        for what in ("preset", "overrides"):
            ours, theirs = (canonical(getattr(plan, what)) for plan in (self, other))
            if ours != theirs:
                shown = "--set" if what == "overrides" else "--preset"
                raise BadInput(
                    f"suite {name} is planned with {shown} {ours}, not {theirs}: "
                    "give the same, or another --name"
                )
        for dataset in self.splits.keys() & other.splits.keys():
            if self.splits[dataset] != other.splits[dataset]:
                raise BadInput(
                    f"suite {name} holds another split of data set {dataset} (its cases changed "
                    "since): a comparison never mixes splits; give another --name"
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
            analysis=replace(other.analysis, seeds=seeds, datasets=tuple(splits)),
        )


def plan_from(value: Mapping[str, Any]) -> SuitePlan:
    """Return the plan that `canonical` made plain values of. Raises `KeyError` and `TypeError` for
    what is none."""
    plain = {name: item for name, item in value.items() if name != "kind"}
    return SuitePlan(**{**_tuples(plain), "analysis": _analysis(plain["analysis"])})


def _analysis(value: Mapping[str, Any]) -> AnalysisPlan:
    plain = {name: item for name, item in value.items() if name != "kind"}
    metrics = [{n: v for n, v in item.items() if n != "kind"} for item in plain["metrics"]]
    return AnalysisPlan(**{**_tuples(plain), "metrics": tuple(Metric(**m) for m in metrics)})


def _tuples(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(v) if isinstance(v, list) else v for name, v in value.items()}


def _union(first: tuple[Item, ...], second: tuple[Item, ...]) -> tuple[Item, ...]:
    return tuple(dict.fromkeys((*first, *second)))
