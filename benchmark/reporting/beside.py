"""What stands beside a row's scores: the organs that they are means over, its gain over another
row, and the reference lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmark.analysis.ceilings import NAMES, CeilingLine, alike, ceiling_texts
from benchmark.analysis.tables import MEAN, MEAN3, organ_groups, over_text
from benchmark.plan.analysis import Metric
from benchmark.reporting.chapter import Chapter
from benchmark.scoring.paper import IRCADB, MULTI_ORGAN
from benchmark.scoring.statistics.components import Interval

ByOrgan = Mapping[str, str]
HEADLINE = "headline"  # the name of a mean, as it is stored


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


def lead_organ(chapter: Chapter) -> str:
    """Return over which organs the first number of a row is a mean: beside the paper's numbers over
    the organs that both of its sets label, else over all organs of the set."""
    papers = chapter.is_table1 or chapter.group.dataset in (IRCADB, MULTI_ORGAN)
    return HEADLINE if papers and HEADLINE in organ_groups(chapter.scores.organs) else MEAN


def shown_groups(chapter: Chapter) -> list[str]:
    """Return the organs and means that have a table of their own: no mean twice."""
    groups = organ_groups(chapter.scores.organs)
    same = set(groups.get(MEAN3, ())) == set(groups[MEAN])
    return [name for name in groups if name != MEAN3 or not same]


def dsc_head(organ: str, chapter: Chapter) -> str:
    """Return the head of a column of DSC, with the organs in words."""
    return f"DSC %, {over_text(organ, chapter.scores.organs)}"


def more_organs(chapter: Chapter) -> list[str]:
    """Return the other columns of DSC, where the first has not all organs."""
    groups = organ_groups(chapter.scores.organs)
    leads = lead_organ(chapter) == HEADLINE
    return [organ for organ in ("right_kidney", MEAN3) if leads and organ in groups]


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
