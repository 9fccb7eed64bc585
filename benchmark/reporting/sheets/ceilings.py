"""The ceilings as rows of the report's tables, above the rows that they bound."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from benchmark.analysis.ceilings import NAMES, WHAT, CeilingLine, alike
from benchmark.analysis.tables import organ_groups
from benchmark.reporting.chapter import Chapter
from benchmark.reporting.sheets.sheet import NOTHING, number

Texts = Mapping[str, str]


def reference_rows(
    rows: Sequence[str], chapter: Chapter, cells: Callable[[Texts], Sequence[str]]
) -> list[tuple[str, ...]]:
    """Return both ceilings of a table's rows as rows of it; rows of another grid or of other
    patients have their own, with their names. `cells` makes a row of a ceiling by organ."""
    found = alike(
        (row, _texts(beside, chapter))
        for row in rows
        if (beside := chapter.ceilings.of(row, chapter.group.dataset))
    )
    return [
        (name + of, *cells({each[0]: each[place] for each in texts}))
        for of, texts in found
        for place, name in enumerate(NAMES, start=1)
    ]


def ceiling_notes(chapter: Chapter) -> tuple[str, ...]:
    """Return what the ceilings are, and why rows have none."""
    what = [f"{WHAT[0].upper()}{WHAT[1:]}."] if chapter.ceilings.lines else []
    return (*what, *(f"{why[0].upper()}{why[1:]}." for why in chapter.ceilings.why_not))


def _texts(beside: Mapping[str, CeilingLine], chapter: Chapter) -> tuple[tuple[str, str, str], ...]:
    """Name, target and grid ceiling of all that has a line; "-" where a row has no ceiling."""
    return tuple(
        (organ, number(beside[organ].target, 1), number(beside[organ].grid, 1))
        if organ in beside
        else (organ, NOTHING, NOTHING)
        for organ in organ_groups(chapter.scores.organs)
    )
