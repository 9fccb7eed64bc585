"""Tables of what is judged by the paired differences: claims, checks, readings of the paper."""

from __future__ import annotations

from dataclasses import replace

from benchmark.plan.wording import counted, p_text
from benchmark.reporting.chapter import Chapter
from benchmark.reporting.look import NOTHING, Sheet, gain_text, number
from benchmark.scoring.claims import ClaimLine


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
