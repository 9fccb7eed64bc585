"""The whole report of a suite: what it says, and the folder that it is written to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmark.analysis.groups import groups_of, no_verdict
from benchmark.analysis.suites import Missing
from benchmark.errors import BadInput
from benchmark.plan.analysis import AnalysisPlan, Contrast
from benchmark.plan.presets import scope_note
from benchmark.plan.suite import SuitePlan
from benchmark.reporting.chapter import Asked, Chapter, chapter_of
from benchmark.reporting.diagnostics import diagnostics_sheets
from benchmark.reporting.facts import cost_sheet, provenance_sheets
from benchmark.reporting.forest import over_baseline, over_controls
from benchmark.reporting.heads import WORDS, word_of
from benchmark.reporting.judged import Lead, claims_sheet, judgement_sheets, lead_of
from benchmark.reporting.lacking import incomplete, missing_sheet
from benchmark.reporting.look import Picture, Sheet, filled, style
from benchmark.reporting.measured_figures import curves, gap_figure, hard_cases
from benchmark.reporting.paired_figures import curve_figure, every_patient, ranks
from benchmark.reporting.qualitative import qualitative
from benchmark.reporting.scores import score_sheets, sets_sheet
from benchmark.reporting.statistics import statistics_sheets
from benchmark.scoring.claims import mean_gain, of_the_paper
from benchmark.scoring.comparison import Comparison
from benchmark.scoring.statistics.layout import Incomplete
from benchmark.scoring.verdict import overall
from benchmark.store.ledger import shown_suite

FIGURES: tuple[Callable[[Chapter], Picture | None], ...] = (
    over_baseline,
    over_controls,
    every_patient,
    ranks,
    qualitative,
    hard_cases,
    gap_figure,
    curve_figure,
    curves,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """A chapter as it is shown: sentences, tables and figures by their plain names; nothing of it
    is empty."""

    chapter: Chapter
    title: str
    demonstration: str
    incomplete: tuple[str, ...]
    lead: Lead
    sheets: Mapping[str, Sheet]
    pictures: Mapping[str, Picture]

    @property
    def first(self) -> Picture | None:
        """The picture of the first screen."""
        return self.pictures.get(self.lead.picture)


@dataclass(frozen=True, kw_only=True, eq=False)
class Report:
    """A suite's report. `overall` is the sentence over the plan's data sets, "" where the subject
    is in none; `gains` the claims that need all of them, `sets` the suite's sets side by side."""

    suite: str
    plan: AnalysisPlan
    parts: tuple[Part, ...]
    overall: str
    gains: Sheet
    sets: Sheet

    @property
    def missing(self) -> tuple[Missing, ...]:
        """Every cell without rows."""
        return tuple(cell for part in self.parts for cell in part.chapter.scores.missing)

    @property
    def words(self) -> dict[str, str]:
        """The words that the heads of its tables need, with their meanings."""
        sheets = [sheet for part in self.parts for sheet in part.sheets.values()]
        shown = [filled(sheet) for sheet in (*sheets, self.sets, self.gains) if sheet.rows]
        found = {word_of(column) for sheet in shown for column in sheet.columns}
        return {word: meaning for word, meaning in WORDS.items() if word in found}


def make_report(suite: str, planned: SuitePlan | None, asked: Asked) -> Report:
    """Return the report of a suite: a pure function of ledger, rows, records, label maps and data.

    `planned` is the suite's plan, None where it has none. Raises `BadInput` where there are no
    rows yet.
    """
    plan = asked.plan
    entries = [entry for entry in asked.ledger if entry.suite == suite]
    made = [chapter_of(group, asked) for group in groups_of(entries, asked.registry, planned)]
    chapters = [chapter for chapter in made if chapter is not None]
    if not chapters:
        raise BadInput(
            f"no rows yet: no cell of the suite {shown_suite(suite)!r} is done; bench status"
        )
    return Report(
        suite=shown_suite(suite),
        plan=plan,
        parts=tuple(_part(chapter) for chapter in chapters),
        overall=_overall(chapters, plan) if _claims(chapters, planned, plan) else "",
        gains=_gains(chapters, plan),
        sets=sets_sheet(chapters),
    )


def _part(chapter: Chapter) -> Part:
    group = chapter.group
    sheets = [
        *score_sheets(chapter),
        *statistics_sheets(chapter),
        *judgement_sheets(chapter),
        *diagnostics_sheets(chapter),
        cost_sheet(chapter),
        *provenance_sheets(chapter),
        *([missing_sheet(chapter)] if chapter.scores.missing else []),
    ]
    demonstration = no_verdict(group.preset, group.common) or scope_note(group.preset)
    pictures = pictures_of(chapter)
    return Part(
        chapter=chapter,
        title=group.title,
        demonstration=demonstration,
        incomplete=incomplete(chapter),
        lead=lead_of(chapter, demonstration, pictures),
        sheets={sheet.name: sheet for sheet in sheets},
        pictures=pictures,
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


def _claims(chapters: Sequence[Chapter], planned: SuitePlan | None, plan: AnalysisPlan) -> bool:
    """Whether the suite asks for the claim: the subject was run or is planned, in a planned suite
    or by a preset that may give a verdict. Who tries a row out asks nothing of the paper's sets."""
    asking = [chapter for chapter in chapters if chapter.asks_subject]
    return bool(asking) and (
        planned is not None or any(each.group.preset in plan.presets for each in asking)
    )


def _overall(chapters: Sequence[Chapter], plan: AnalysisPlan) -> str:
    """The claim needs every set of the plan, with a preset that may give a verdict, and each on
    one split; of a plan with one set its own verdict says all."""
    if torn := "; ".join(_torn(chapters)):
        return f"{plan.subject}, the claim on every set: not judged over several splits ({torn})."
    if len(_paper(plan).datasets) == 1:
        return ""
    chosen = {}
    for chapter in chapters:
        if chapter.group.dataset not in chosen or chapter.group.preset in plan.presets:
            chosen[chapter.group.dataset] = chapter.analysis.verdict
    return overall(chosen, _paper(plan))[1]


def _torn(chapters: Sequence[Chapter]) -> list[str]:
    """The titles of chapters that differ in their split alone."""
    groups = [chapter.group for chapter in chapters]
    places = Counter((group.dataset, group.preset) for group in groups)
    return [group.title for group in groups if places[group.dataset, group.preset] > 1]


def _paper(plan: AnalysisPlan) -> AnalysisPlan:
    """The plan with both of the paper's sets, whichever of them the suite has; a plan that asks
    another preset for a verdict is about its own sets."""
    usual = AnalysisPlan()
    return replace(plan, datasets=usual.datasets) if plan.presets == usual.presets else plan


def _gains(chapters: Sequence[Chapter], plan: AnalysisPlan) -> Sheet:
    """The paper's mean gain over both sets, in each tested metric in which there is an interval;
    none for a plan that is not about its row on its sets."""
    title = "Claims over both sets"
    if not of_the_paper(plan) or plan.presets != AnalysisPlan().presets:
        return claims_sheet("mean-gain", title, ())
    by_preset = sorted({c.group.preset for c in chapters}, key=lambda p: p not in plan.presets)
    lines = []
    for metric in plan.metrics:
        contrast = Contrast(row=plan.subject, reference=plan.baseline, metric=metric.name)
        compared: dict[str, Comparison | Incomplete] = {
            chapter.group.dataset: found
            for chapter in chapters
            if chapter.group.preset == by_preset[0]
            and chapter.group.title not in _torn(chapters)
            and not chapter.scores.absent_folds
            and (found := chapter.analysis.compared.get(contrast)) is not None
        }
        lines.append(mean_gain(compared, metric=metric, preset=by_preset[0], plan=_paper(plan)))
    known = tuple(line for line in lines if line.interval is not None)
    return claims_sheet("mean-gain", title, known)
