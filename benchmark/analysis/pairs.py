"""What a comparison of two rows holds on one data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmark.analysis.suites import Missing
from benchmark.scoring.comparison import Comparison
from benchmark.scoring.statistics.layout import RowValues

Score = tuple[float, float | None]  # mean, sd


@dataclass(frozen=True, kw_only=True)
class Paired:
    """Two rows on one data set: a comparison a metric, or what is missing for it. `gains` are the
    patients' mean gains by metric; `scores` the mean and the sd over patients of the first row and
    of the second, by metric; `organs` those of the endpoint. `secondary` names the metrics of
    one's own among the compared ones, `notes` say which could not be compared. `commands` make
    what is missing, outside a planned suite."""

    dataset: str
    preset: str
    organs: tuple[str, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    gains: Mapping[str, Mapping[str, float]] | None = None
    scores: Mapping[str, tuple[Score, Score]] | None = None
    missing: tuple[Missing, ...] = ()
    commands: tuple[str, ...] = ()
    secondary: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def score_of(row: RowValues) -> Score:
    """Return the mean over patients of a row's endpoint, and their sd, None of one patient."""
    value_n = row.value_nS.mean(axis=1)
    return float(value_n.mean()), float(value_n.std(ddof=1)) if len(value_n) > 1 else None
