"""What is judged: the first screen of a chapter (the question, the answer by rule, one picture,
what is missing), and the tables of claims, checks and readings of the paper.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace

from benchmark.analysis.interpretations import NO_CURVE
from benchmark.analysis.tables import over_text
from benchmark.plan.analysis import AnalysisPlan
from benchmark.plan.wording import counted, listed, p_text
from benchmark.reporting.beside import lead_organ
from benchmark.reporting.chapter import Chapter
from benchmark.reporting.lacking import wanted, without_baseline
from benchmark.reporting.look import NOTHING, Sheet, gain_text, number
from benchmark.reporting.scores import shown_difference, value
from benchmark.scoring.claims import ClaimLine, of_the_paper
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
    if shared := chapter.group.shared:
        answer = (*answer, f"Every row that has the field was run with {shared}.")
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
        return _question(plan), (*chapter.analysis.verdict.sentences, *_sight(chapter))
    if len(rows) == 1:
        return f"How well does {rows[0]} find the organs?", (_scores(rows[0], chapter),)
    return "Do these rows score differently?", (*_compared(chapter), *_sight(chapter))


def _question(plan: AnalysisPlan) -> str:
    """What the plan asks of its subject; the paper's own question of the paper's own row."""
    if of_the_paper(plan):
        return (
            f"Does a CT segmentation network learn more from ground-truth images than its loss "
            f"tells it: is {plan.subject} better than every row that lacks one part of it?"
        )
    all_of = "each of " if len(plan.controls) > 1 else ""
    return f"Is {plan.subject} better than {all_of}{listed(plan.controls)}?"


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
        lines = [without_baseline(chapter)]
    return (*(f"{line}." for line in lines[:MOST_ANSWERS]), *rest)


def _scores(row: str, chapter: Chapter) -> str:
    of = lead_organ(chapter)
    dsc, assd = (chapter.index.get((row, metric, of)) for metric in ("dsc", "assd"))
    if dsc is None:
        return f"{row} on {chapter.group.dataset}: no score yet."
    far = f", ASSD {value(assd)} mm" if assd else ""
    organs = over_text(of, chapter.scores.organs)
    return (
        f"{row} on {chapter.group.dataset}: DSC {value(dsc)} %{far} ({organs}; "
        f"{counted(dsc.n, 'patient')}, {dsc.n_missed} missed)."
    )


def judgement_sheets(chapter: Chapter) -> list[Sheet]:
    """Return the tables that have anything to show."""
    sheets = [_claims(chapter), _checks(chapter), _interpretations(chapter)]
    judged = bool(chapter.interpretations.results)
    return [sheet for sheet in sheets if sheet.rows and (judged or sheet.name != "readings")]


def _claims(chapter: Chapter) -> Sheet:
    """The claims about rows that were run or are planned; the others are counted."""
    lines = chapter.analysis.claims
    ours = [x for x in lines if {x.claim.contrast.row, x.claim.contrast.reference} <= chapter.told]
    sheet = claims_sheet("claims", "Claims ledger", tuple(ours))
    left = len(lines) - len(ours)
    more = f"{counted(left, 'more line')} of the paper's claims: about rows that are not here."
    return replace(sheet, notes=(*sheet.notes, *([more] if left else [])))


def claims_sheet(name: str, title: str, lines: tuple[ClaimLine, ...]) -> Sheet:
    """Return a ledger of claims as a table."""
    body = [
        (
            line.claim.about,
            f"{line.claim.contrast.row} against {line.claim.contrast.reference}",
            line.claim.contrast.metric,
            line.status,
            gain_text(line.interval),
            f"{line.margin:g}",
            p_text(line.p),
            NOTHING if line.claim.size is None else f"{line.claim.size:+g}",
        )
        for line in lines
    ]
    columns = ("claim", "rows", "metric", "status", "gain (95 %)", "margin", "Holm p")
    return Sheet(
        name=name,
        title=title,
        columns=(*columns, "the paper's gain"),
        rows=tuple(body),
        about="Each claim of the paper, tested. Better: reproduced with a lower limit over 0, an "
        "estimate of at least the margin and a Holm p of at most 0.05; contradicted with an upper "
        "limit under the margin. The paper's gain is printed, never an input of a test.",
        notes=tuple(dict.fromkeys(line.sentence for line in lines if line.interval is None)),
    )


def _checks(chapter: Chapter) -> Sheet:
    words = {True: "passed", False: "FAILED", None: "not made"}
    return Sheet(
        name="checks",
        title="The comparison's own controls",
        columns=("control", "outcome", "what was found"),
        rows=tuple((check.name, words[check.passed], check.sentence) for check in chapter.checks),
        about="Does this comparison find what is there, and nothing else? Two halves of one row's "
        "seeds must not differ; with permuted names p must be uniform; a row made worse on purpose "
        "must be found worse; the truth must agree with itself exactly.",
    )


def _interpretations(chapter: Chapter) -> Sheet:
    results = {result.interpretation: result for result in chapter.interpretations.results}
    body = []
    for interpretation, state in chapter.interpretations.states.items():
        found = results.get(interpretation)
        body.append(
            (
                interpretation.label,
                state,
                gain_text(found.weakest) if found else NOTHING,
                number(found.inner_validation, 2) if found else NOTHING,
                str(found.trials[chapter.plan.subject]) if found else NOTHING,
            )
        )
    return Sheet(
        name="readings",
        title="Specification curve: the readings of the paper",
        columns=("reading", "outcome", "weakest gain (95 %)", "inner validation", "trials"),
        rows=tuple(body),
        about="The fairest case for the paper: a verdict for each reading of a fixed list, xi "
        "re-tuned in each on inner validation patients with as many trials for the controls. "
        "Weakest gain: over the control against which it is least.",
        notes=(chapter.interpretations.sentence,),
    )
