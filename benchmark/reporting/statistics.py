"""Tables of paired differences: ablation, controls, every comparison, ranks."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import stdev

import numpy as np

from benchmark.analysis.comparisons import ONE_SET
from benchmark.analysis.judgement import secondary_of
from benchmark.plan.analysis import ANALYSES, Contrast
from benchmark.plan.wording import p_text
from benchmark.reporting.beside import dsc_head, lead_organ
from benchmark.reporting.chapter import Chapter
from benchmark.reporting.look import NOTHING, Sheet, gain_text, metric_text, number
from benchmark.reporting.scores import lead
from benchmark.scoring.comparison import Comparison, word_in_family
from benchmark.scoring.statistics.layout import Incomplete, RowValues, gain
from benchmark.scoring.statistics.paired import THESE_NETWORKS
from benchmark.scoring.surface import described
from benchmark.settings.registry import OUTSIDE

WITHOUT_FSM = "bottleneck-supervised"  # "FSM without FSM" (docs/methods.md section 3)


def statistics_sheets(chapter: Chapter) -> list[Sheet]:
    """Return the tables that have anything to show. Those of the subject's gains are made where it
    was run; a row of theirs that was not is named in a note."""
    ours = _of_subject(chapter) if chapter.has_subject else []
    sheets = [*ours, _comparisons(chapter), *_folds(chapter), *_ranks(chapter)]
    sheets += _secondary(chapter)
    return [sheet for sheet in sheets if not sheet.empty]


def _of_subject(chapter: Chapter) -> list[Sheet]:
    """Ablation, controls, rows of other tools: those in which a row stands beside the subject."""
    parts = {*chapter.plan.ablations, WITHOUT_FSM} & set(chapter.group.rows)
    sheets = (*([_ablation(chapter)] if parts else []), _controls(chapter), _outside(chapter))
    return [sheet for sheet in sheets if len(sheet.rows) > 1]


def _secondary(chapter: Chapter) -> list[Sheet]:
    """The metrics of one's own, tested; no table where there are none."""
    found = secondary_of(chapter.scores, chapter.plan)
    notes = [f"{line[0].upper()}{line[1:]}." for line in chapter.scores.own_lines]
    notes += [f"Not tested: {x.sentence}." for x in found if isinstance(x, Incomplete)]
    made = [x for x in found if isinstance(x, Comparison)]
    if not made and not notes:
        return []
    return [
        Sheet(
            name="secondary",
            title="Secondary endpoints: metrics of one's own",
            columns=COMPARISON,
            rows=tuple(_comparison(x, x.word, None) for x in made),
            about="Paired gains (positive: better) in metrics of one's own, by the same tests. No "
            "verdict, claim or Holm family rests on them, and they are corrected for nothing.",
            notes=tuple(dict.fromkeys(notes)),
            long=True,
        )
    ]


def _ablation(chapter: Chapter) -> Sheet:
    plan = chapter.plan
    rows = (plan.baseline, *plan.ablations, WITHOUT_FSM)
    notes = ("Holm p: the family of the subject against its ablations.",)
    return _against("ablation", "Ablation", rows, notes, chapter)


def _controls(chapter: Chapter) -> Sheet:
    plan = chapter.plan
    rows = tuple(dict.fromkeys((*plan.controls, *chapter.group.of_kind("controls"))))
    notes = (
        f"The verdict reads {', '.join(plan.controls)}; every one must hold, so it corrects for "
        "none. Holm p: of the family of all rows against the baseline.",
    )
    return _against("controls", "Controls", rows, notes, chapter)


def _outside(chapter: Chapter) -> Sheet:
    rows = chapter.group.of_kind(OUTSIDE)
    return _against(OUTSIDE, "Rows of other tools", rows, (f"Each is {ONE_SET}.",), chapter)


def _against(
    name: str, title: str, rows: Sequence[str], notes: tuple[str, ...], chapter: Chapter
) -> Sheet:
    """The subject against rows of one kind, in every tested metric."""
    us, there = chapter.plan.subject, set(chapter.group.rows)
    gains = [f"{us} over it: {m.name}, {m.unit} (95 %)" for m in chapter.plan.metrics]
    absent, dsc = [row for row in rows if row not in there], dsc_head(lead_organ(chapter), chapter)
    chosen = [row for row in dict.fromkeys((us, *rows)) if row in there]
    return Sheet(
        name=name,
        title=title,
        columns=("row", "what it is", dsc, *SCORED, *gains, "word", "Holm p"),
        rows=tuple(_against_row(row, chapter) for row in chosen),
        about=f"Paired gain of {us} over each row (positive: {us} is better, for distances too) in "
        "the test endpoint, with the primary interval. ASSD: over the organs of the DSC. "
        f"{described(['assd', 'assd_penalised'])}",
        notes=(*([f"Not run: {', '.join(absent)}."] if absent else []), *notes),
    )


SCORED = ("ASSD mm", "n", "missed", "n ASSD")


def _against_row(row: str, chapter: Chapter) -> tuple[str, ...]:
    plan, name = chapter.plan, row.partition("@")[0]
    source = chapter.group.cells[row][0].outside or NOTHING
    about = chapter.registry[name].about if name in chapter.registry else source
    found = [chapter.analysis.comparison(plan.subject, row, m.name) for m in plan.metrics]
    gains = [gain_text(each.primary) if each else NOTHING for each in found]
    contrast = Contrast(row=plan.subject, reference=row, metric=plan.metrics[0].name)
    p = p_text(chapter.analysis.holm(contrast))
    return (row, about, *lead(row, chapter), *gains, contrast_word(contrast, chapter), p)


def contrast_word(contrast: Contrast, chapter: Chapter) -> str:
    """Return a comparison's word, corrected where it is in a family; "-" without one."""
    analysis = chapter.analysis
    found = analysis.comparison(contrast.row, contrast.reference, contrast.metric)
    if found is None:
        return NOTHING
    if any(contrast in family for family in analysis.adjusted):
        return word_in_family(found, analysis.holm(contrast), alpha=chapter.plan.alpha)
    return found.word


COMPARISON = (
    "row against reference",
    "metric",
    "gain (95 %)",
    "median",
    "patients better",
    "word",
    "one_patient",
    "p",
    "Holm p",
    "Nadeau-Bengio",
    "P(better)",
    "false claim",
    "detectable",
    "equivalence p",
    "sign-flip p",
    "Wilcoxon p",
    "TOST p",
    "patients",
    "seeds",
)


def _comparisons(chapter: Chapter) -> Sheet:
    analysis, body = chapter.analysis, []
    for contrast, found in analysis.compared.items():
        if isinstance(found, Comparison):
            word = contrast_word(contrast, chapter)
            body.append(_comparison(found, word, analysis.holm(contrast)))
    notes = [
        f"{contrast.row} against {contrast.reference}, {contrast.metric}: {why}."
        for contrast, why in analysis.why_not.items()
    ]
    return Sheet(
        name="comparisons",
        title="Every comparison",
        columns=COMPARISON,
        rows=tuple(body),
        about=f"The gain's interval is the primary one ({ANALYSES[chapter.plan.version]}). "
        "Holm p takes the same interval with at most twice the folds' degrees of freedom. "
        "Sign-flip, Wilcoxon and TOST over patients hold for "
        f"{THESE_NETWORKS}; Nadeau-Bengio is a sensitivity figure.",
        notes=tuple(notes),
        long=True,
    )


def _comparison(found: Comparison, word: str, holm: float | None) -> tuple[str, ...]:
    gain = gain_text(found.primary) if found.primary else f"{found.mean:+z.2f}"
    better = found.better
    return (
        f"{found.row} against {found.reference}",
        found.metric.name,
        gain,
        f"{found.median:+z.2f}",
        f"{found.patients_better} of {found.patients}",
        word,
        f"{found.one_patient.case} {found.one_patient.moves:+z.2f}"
        if found.one_patient
        else NOTHING,
        p_text(found.p),
        p_text(holm),
        gain_text(found.nadeau_bengio),
        NOTHING if better is None else f"{better[0]:.2f} ({better[1]:.2f} to {better[2]:.2f})",
        p_text(found.false_claim),
        number(found.smallest_detectable, 2),
        p_text(found.equivalence.p if found.equivalence else None),
        p_text(found.these_networks.sign_flip_p),
        p_text(found.these_networks.wilcoxon_p),
        p_text(found.these_networks.ttost_p),
        str(found.patients),
        str(found.seeds),
    )


def _folds(chapter: Chapter) -> list[Sheet]:
    """Every comparison in the first metric by the folds that it has; no table for one fold."""
    metric = chapter.plan.metrics[0]
    found = {
        f"{contrast.row} against {contrast.reference}": gains
        for contrast in chapter.analysis.compared
        if contrast.metric == metric.name and (gains := _by_fold(contrast, chapter))
    }
    folds = sorted({fold for gains in found.values() for fold in gains})
    if len(folds) < 2:
        return []
    return [
        Sheet(
            name="folds",
            title="Gain by fold",
            columns=("row against reference", *(f"fold {fold}" for fold in folds), "sd of folds"),
            rows=tuple(
                (
                    name,
                    *(f"{gains[x]:+.2f}" if x in gains else NOTHING for x in folds),
                    f"{stdev(gains.values()):.2f}" if len(gains) > 1 else NOTHING,
                )
                for name, gains in found.items()
            ),
            about=f"Mean gain in {metric_text(metric.name)}, {metric.unit}, of each fold's "
            "patients over seeds. An interval counts the folds as drawn: where they differ by "
            "much, it is wide, however many patients are better.",
            long=len(found) > 12,
        )
    ]


def _by_fold(contrast: Contrast, chapter: Chapter) -> dict[int, float]:
    """The mean gain of each fold; empty where the comparison was not made."""
    if not isinstance(chapter.analysis.compared[contrast], Comparison):
        return {}
    row, reference = (
        chapter.analysis.values.get((name, contrast.metric))
        for name in (contrast.row, contrast.reference)
    )
    if not (isinstance(row, RowValues) and isinstance(reference, RowValues)):
        return {}
    higher = chapter.plan.metric(contrast.metric).higher_is_better
    gain_n = gain(row, reference, higher_is_better=higher).mean(axis=1)
    return {int(fold): float(gain_n[row.fold_n == fold].mean()) for fold in np.unique(row.fold_n)}


def _ranks(chapter: Chapter) -> list[Sheet]:
    """The ranking; none without two complete rows."""
    analysis, plan = chapter.analysis, chapter.plan
    if analysis.ranks is None:
        return []
    tau = analysis.ranks.kendall_tau
    notes = [f"Kendall's tau of the draws with the ranking: {tau:.2f}."]
    if analysis.fitness is not None:
        low = analysis.fitness < 1
        notes.append(
            f"sd between rows over sd within a row: {analysis.fitness:.2f}"
            + ("; below 1: this data set cannot rank these rows." if low else ".")
        )
    body = [
        (r.row, f"{r.rank:g}", f"{r.low:g} to {r.high:g}", f"{100 * r.first:.0f} %")
        for r in sorted(analysis.ranks.ranks, key=lambda r: (r.rank, r.row))
    ]
    return [
        Sheet(
            name="ranks",
            title="Ranks",
            columns=("row", "rank", "95 % of bootstrap draws", "first in"),
            rows=tuple(body),
            about=f"Mean {metric_text(plan.metrics[0].name)} of the endpoint, then rank; "
            f"{plan.draws_rank} draws of patients and seeds. Folds stay as they are, so ranks look "
            "surer than the comparisons are.",
            notes=tuple(notes),
        )
    ]
