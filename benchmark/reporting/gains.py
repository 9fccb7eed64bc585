"""The gain of a row over another as tables and figures show it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmark.plan.analysis import Metric
from benchmark.reporting.chapter import Chapter
from benchmark.scoring.statistics.components import Interval


@dataclass(frozen=True, kw_only=True)
class Gain:
    """The mean paired gain of a row in a metric's unit (positive: better), and its primary
    interval, None where there is none."""

    row: str
    reference: str
    metric: Metric
    mean: float
    interval: Interval | None


def gain_over(row: str, reference: str, metric: str, chapter: Chapter) -> Gain | None:
    """Return the gain of a row over a reference; None where they were not compared.

    A row of another tool is only ever compared as the reference: its gain is that comparison's
    with the other sign.
    """
    if found := chapter.analysis.comparison(row, reference, metric):
        mean, interval = found.mean, found.primary
    elif found := chapter.analysis.comparison(reference, row, metric):
        mean, interval = -found.mean, found.primary and _turned(found.primary)
    else:
        return None
    return Gain(row=row, reference=reference, metric=found.metric, mean=mean, interval=interval)


def _turned(found: Interval) -> Interval:
    return replace(found, estimate=-found.estimate, low=-found.high, high=-found.low)
