"""The first screen of a chapter: the question, the answer by rule, one picture, what is missing."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from benchmark.analysis.interpretations import NO_CURVE
from benchmark.analysis.tables import MEAN, organ_groups
from benchmark.plan.wording import counted
from benchmark.reporting.chapter import Chapter
from benchmark.reporting.lacking import wanted
from benchmark.reporting.scores import shown_difference, value
from benchmark.scoring.comparison import Comparison

PICTURES = ("forest", "patients", "qualitative")  # the first that there is
MOST_ANSWERS = 8


@dataclass(frozen=True, kw_only=True)
class Lead:
    """What stands first: `question`, the sentences of the `answer` (the outcome first), the name of
    the `picture` ("" without any), and what is `missing` beyond what was planned, with commands."""

    question: str
    answer: tuple[str, ...]
    picture: str
    missing: tuple[str, ...]


def lead_of(chapter: Chapter, demonstration: str, pictures: Container[str]) -> Lead:
    """Return a chapter's first screen. `demonstration` is "" or says why it gives no verdict."""
    question, answer = _asked(chapter)
    if demonstration:
        answer = (*answer, f"{demonstration[0].upper()}{demonstration[1:]}.")
    if chapter.interpretations.sentence != NO_CURVE:
        answer = (*answer, chapter.interpretations.sentence)
    return Lead(
        question=question,
        answer=answer,
        picture=next((name for name in PICTURES if name in pictures), ""),
        missing=wanted(chapter),
    )


def _asked(chapter: Chapter) -> tuple[str, tuple[str, ...]]:
    """The question that these rows can be asked, and its answer."""
    plan, rows = chapter.plan, chapter.group.rows
    if chapter.asks_subject:
        question = (
            f"Does a CT segmentation network learn more from ground-truth images than its loss "
            f"tells it: is {plan.subject} better than every row that lacks one part of it?"
        )
        return question, (*chapter.analysis.verdict.sentences, *_sight(chapter))
    if len(rows) == 1:
        return f"How well does {rows[0]} find the organs?", (_scores(rows[0], chapter),)
    return "Do these rows score differently?", (*_compared(chapter), *_sight(chapter))


def _sight(chapter: Chapter) -> tuple[str, ...]:
    """How small a difference could have been seen; nothing where there is nothing to compare."""
    rows = chapter.group.rows
    return (shown_difference(rows, chapter),) if len(rows) > 1 else ()


def _compared(chapter: Chapter) -> tuple[str, ...]:
    """The comparisons of the first metric, or why there is none."""
    metric = chapter.plan.metrics[0].name
    compared = chapter.analysis.compared.items()
    found = [
        each.sentence
        for contrast, each in compared
        if contrast.metric == metric and isinstance(each, Comparison)
    ]
    why = [text for contrast, text in chapter.analysis.why_not.items() if contrast.metric == metric]
    lines = found or list(dict.fromkeys(why))
    more = len(lines) - MOST_ANSWERS
    rest = (f"{counted(more, 'more comparison')} below.",) if more > 0 else ()
    if not lines:
        lines = [f"{chapter.plan.baseline}, which rows are compared with, was not run"]
    return (*(f"{line}." for line in lines[:MOST_ANSWERS]), *rest)


def _scores(row: str, chapter: Chapter) -> str:
    groups = organ_groups(chapter.scores.organs)
    of = "headline" if (row, "dsc", "headline") in chapter.index else MEAN
    dsc, assd = (chapter.index.get((row, metric, of)) for metric in ("dsc", "assd"))
    if dsc is None:
        return f"{row} on {chapter.group.dataset}: no score yet."
    far = f", ASSD {value(assd)} mm" if assd else ""
    organs = " and ".join(organ.replace("_", " ") for organ in groups[of])
    return (
        f"{row} on {chapter.group.dataset}: DSC {value(dsc)} %{far} ({organs}; "
        f"{counted(dsc.n, 'patient')}, {dsc.n_missed} missed)."
    )
