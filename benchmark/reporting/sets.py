"""The sets of a suite side by side."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.analysis.ceilings import NAMES
from benchmark.analysis.tables import MEAN, MEAN3
from benchmark.reporting.chapter import Chapter
from benchmark.reporting.look import NOTHING, Sheet, gain_text
from benchmark.reporting.scores import reference_rows, value

NOTES = {
    "phantom-shapeless": "phantom-shapeless has the very images of phantom; its labels end where "
    "shape does not tell."
}


def sets_sheet(chapters: Sequence[Chapter]) -> Sheet:
    """Return one line a row and a pair of columns a data set (and preset); empty for one set."""
    several = chapters if len(chapters) > 1 else ()
    rows = dict.fromkeys(row for chapter in several for row in chapter.group.rows)
    heads = [
        f"{x.group.title}: {what}"
        for x in several
        for what in ("DSC %", f"{x.plan.subject} over it, points (95 %)")
    ]
    names = {chapter.group.dataset for chapter in several}
    body = _references(several)
    body += [(row, *(cell for chapter in several for cell in _cells(row, chapter))) for row in rows]
    return Sheet(
        name="sets",
        title="The sets side by side",
        columns=("row", *heads),
        rows=tuple(body),
        about="DSC: mean ± sd over patients, mean over organs. Gain: the subject's over the row, "
        "paired, in the test endpoint, with the primary interval; a row that explains the "
        "subject's scores without ground-truth features leaves nothing to gain over it.",
        notes=tuple(note for name, note in NOTES.items() if name in names),
    )


def _references(chapters: Sequence[Chapter]) -> list[tuple[str, ...]]:
    """The reference lines of each set, where all its rows have the same."""
    found = []
    for chapter in chapters:
        rows = reference_rows(chapter.group.rows, chapter, lambda x: (x.get(MEAN3, x[MEAN]),))
        found.append(
            [text for _, text in rows] if len(rows) == len(NAMES) else [NOTHING] * len(NAMES)
        )
    if all(set(texts) == {NOTHING} for texts in found):
        return []
    return [
        (name, *(cell for texts in found for cell in (texts[place], NOTHING)))
        for place, name in enumerate(NAMES)
    ]


def _cells(row: str, chapter: Chapter) -> tuple[str, str]:
    organ = MEAN3 if (row, "dsc", MEAN3) in chapter.index else MEAN
    metric = chapter.plan.metrics[0].name
    found = chapter.analysis.comparison(chapter.plan.subject, row, metric)
    gain = gain_text(found.primary) if found else NOTHING
    return value(chapter.index.get((row, "dsc", organ))), gain
