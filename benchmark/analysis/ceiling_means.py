"""Means of the reference lines: over patients, then over organs, as a table takes them."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmark.analysis.tables import organ_groups
from benchmark.data.ceilings import Ceiling


class Mean(NamedTuple):
    """The reference lines of an organ: DSC in percent, means over `n` patients; None is not
    known."""

    target: float
    grid: float
    n: int
    mean_shape: float | None = None
    constant: float | None = None

    @property
    def values(self) -> tuple[float | None, ...]:
        """The lines in the order of `NAMES`."""
        return self.target, self.grid, self.mean_shape, self.constant


def mean_lines(values: Mapping[tuple[str, str], Ceiling], labels: str) -> dict[str, Mean]:
    """Return the lines by organ, as a table takes means: over patients, then over the organs of
    `mean`, `headline` and `mean3`. `values` are by case and organ."""
    by_organ: dict[str, list[Ceiling]] = defaultdict(list)
    cases: dict[str, set[str]] = defaultdict(set)
    for (case, organ), one in values.items():
        by_organ[organ].append(one)
        cases[organ].add(case)
    mean = {organ: _over_patients(each, labels) for organ, each in by_organ.items()}
    return {
        name: over_organs(
            [mean[x] for x in members], len(set[str]().union(*(cases[x] for x in members)))
        )
        for name, members in organ_groups(list(by_organ)).items()
    }


def over_organs(means: Sequence[Mean], n: int) -> Mean:
    """Return the mean over organs, of `n` patients; a line that one organ lacks is not known."""
    target, grid = (
        statistics.fmean(x) for x in zip(*((m.target, m.grid) for m in means), strict=True)
    )
    return Mean(
        target=target,
        grid=grid,
        n=n,
        mean_shape=_mean([x.mean_shape for x in means]),
        constant=_mean([x.constant for x in means]),
    )


def _over_patients(found: Sequence[Ceiling], labels: str) -> Mean:
    """The mean over the patients of one organ; a truth that does not hold it has no reference."""
    known = [x for x in found if x.constant is not None]
    return Mean(
        target=statistics.fmean(x.target(labels) for x in found),
        grid=statistics.fmean(x.area for x in found),
        n=len(found),
        mean_shape=_mean([x.mean_shape for x in known]),
        constant=_mean([x.constant for x in known]),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean; None where one is not known."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known and len(known) == len(values) else None
