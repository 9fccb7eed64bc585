"""Every figure of a chapter, in the order of the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from benchmark.reporting.chapter import Chapter
from benchmark.reporting.figures.curves import curves
from benchmark.reporting.figures.forest import over_baseline, over_controls
from benchmark.reporting.figures.hard import hard_cases
from benchmark.reporting.figures.patients import per_case, ranks
from benchmark.reporting.figures.probes import gt_gap
from benchmark.reporting.figures.qualitative import qualitative
from benchmark.reporting.figures.readings import specification_curve
from benchmark.reporting.figures.style import Picture, style

FIGURES: tuple[Callable[[Chapter], Picture | None], ...] = (
    over_baseline,
    over_controls,
    per_case,
    ranks,
    qualitative,
    hard_cases,
    gt_gap,
    specification_curve,
    curves,
)


def pictures_of(chapter: Chapter) -> dict[str, Picture]:
    """Return the figures that the chapter has data for, by their plain name; files carry the
    chapter's name in front."""
    found = {}
    with style():
        for draw in FIGURES:
            made = draw(chapter)
            if made is not None:
                found[made.name] = replace(made, name=f"{chapter.name}-{made.name}")
    return found
