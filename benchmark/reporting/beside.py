"""What stands beside a row's scores: its gain over another row, and the reference lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmark.analysis.ceilings import NAMES, CeilingLine, alike, ceiling_texts
from benchmark.analysis.tables import organ_groups
from benchmark.plan.analysis import Metric
from benchmark.reporting.chapter import Chapter
from benchmark.scoring.statistics.components import Interval

ByOrgan = Mapping[str, str]


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


def reference_rows(
    rows: Sequence[str], chapter: Chapter, cells: Callable[[ByOrgan], Sequence[str]]
) -> list[tuple[str, ...]]:
    """Return the reference lines of a table's rows as rows of it; rows of another grid or of other
    patients have their own, with their names. `cells` makes a row of a line by organ."""
    found = alike(
        (row, _ceiling_texts(beside, chapter))
        for row in rows
        if (beside := chapter.ceilings.of(row, chapter.group.dataset))
    )
    return [
        (name + of, *cells({each[0]: each[place] for each in texts}))
        for of, texts in found
        for place, name in enumerate(NAMES, start=1)
    ]


def ceiling_notes(chapter: Chapter) -> tuple[str, ...]:
    """Return what the reference lines are, and why rows have none."""
    return tuple(f"{text[0].upper()}{text[1:]}." for text in chapter.ceilings.words)


def _ceiling_texts(
    beside: Mapping[str, CeilingLine], chapter: Chapter
) -> tuple[tuple[str, ...], ...]:
    """Name and reference lines of all that has a line; "-" where a row has none."""
    return tuple(
        (organ, *ceiling_texts(beside.get(organ))) for organ in organ_groups(chapter.scores.organs)
    )
