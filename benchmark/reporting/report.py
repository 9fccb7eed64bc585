"""The whole report of a suite: what it says, and the folder that it is written to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmark.analysis.groups import groups_of, no_verdict, set_text
from benchmark.analysis.suites import Missing, fill_command
from benchmark.errors import BadInput
from benchmark.plan.analysis import AnalysisPlan, Contrast
from benchmark.plan.presets import scope_note
from benchmark.plan.suite import SuitePlan
from benchmark.reporting.chapter import Asked, Chapter, chapter_of
from benchmark.reporting.diagnostics import diagnostics_sheets
from benchmark.reporting.facts import cost_sheet, provenance_sheets
from benchmark.reporting.look import Picture, Sheet, style
from benchmark.reporting.measured_figures import curves, gap_figure, hard_cases
from benchmark.reporting.paired_figures import (
    curve_figure,
    every_patient,
    over_baseline,
    over_controls,
    ranks,
)
from benchmark.reporting.qualitative import qualitative
from benchmark.reporting.scores import score_sheets, sets_sheet
from benchmark.reporting.statistics import claims_sheet, judgement_sheets, statistics_sheets
from benchmark.scoring.claims import mean_gain
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
MOST_NAMED = 12  # missing cells that are named in a sentence; all are in the table


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """A chapter as it is shown: sentences, tables and figures by their plain names."""

    chapter: Chapter
    title: str
    demonstration: str
    incomplete: tuple[str, ...]
    sheets: Mapping[str, Sheet]
    pictures: Mapping[str, Picture]


@dataclass(frozen=True, kw_only=True, eq=False)
class Report:
    """A suite's report. `overall` is the sentence over the plan's data sets, `gains` the claims
    that need all of them, `sets` the suite's sets side by side."""

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
        overall=_overall(chapters, plan),
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
        _missing_sheet(chapter),
    ]
    return Part(
        chapter=chapter,
        title=group.title,
        demonstration=no_verdict(group.preset, group.common) or scope_note(group.preset),
        incomplete=_incomplete(chapter),
        sheets={sheet.name: sheet for sheet in sheets},
        pictures=pictures_of(chapter),
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


def _incomplete(chapter: Chapter) -> tuple[str, ...]:
    """What is missing, by row, and the folds that no row was run in."""
    lines = []
    if chapter.scores.absent_folds:
        folds = ", ".join(map(str, chapter.scores.absent_folds))
        lines.append(f"No row was run in fold {folds}: their patients are in no number here.")
    by_row: dict[str, list[Missing]] = {}
    for cell in chapter.scores.missing:
        by_row.setdefault(cell.row, []).append(cell)
    for row, cells in list(by_row.items())[:MOST_NAMED]:
        named = ", ".join(f"fold {c.fold} seed {c.seed} {c.state}" for c in cells[:MOST_NAMED])
        more = f" and {len(cells) - MOST_NAMED} more" if len(cells) > MOST_NAMED else ""
        lines.append(f"{row}: {named}{more}.{_to_fill(row, cells, chapter)}")
    if len(by_row) > MOST_NAMED:
        lines.append(f"{len(by_row) - MOST_NAMED} more rows lack cells: see the table of them.")
    if lines and chapter.group.plan:
        lines.append(f"To fill it: {fill_command(chapter.group.suite, chapter.group.plan)}")
    return tuple(lines)


def _to_fill(row: str, cells: Sequence[Missing], chapter: Chapter) -> str:
    """How to run a row's missing cells; a planned suite has one command for all of them, and on
    another split than the set's own no command runs them."""
    none = chapter.group.plan or chapter.group.split_shown
    return "" if none else f" To fill it: {_command(row, cells, chapter)}"


def _command(row: str, cells: Sequence[Missing], chapter: Chapter) -> str:
    """The command that runs a row's missing cells."""
    entry = chapter.group.cells[row][0]
    if entry.outside:
        return f"bench import predictions DIR --row {entry.row} --fold K, a fold at a time"
    folds = ",".join(map(str, sorted({cell.fold for cell in cells})))
    seeds = ",".join(map(str, sorted({cell.seed for cell in cells})))
    values = {} if entry.tuned else entry.overrides
    params = "".join(f" --set {n}={set_text(v)}" for n, v in sorted(values.items()))
    params += f" --config FILE --tuned {entry.tuned}" if entry.tuned else ""
    return (
        f"bench run --method {entry.row.partition('@')[0]} --dataset {entry.dataset} --preset "
        f"{entry.preset} --folds {folds} --seeds {seeds}{params}"
    )


def _missing_sheet(chapter: Chapter) -> Sheet:
    cells = chapter.scores.missing
    hidden = (str(chapter.workspace.root), *chapter.scores.numbers)
    return Sheet(
        name="missing",
        title="Missing cells",
        columns=("row", "fold", "seed", "state", "why"),
        rows=tuple(
            (c.row, str(c.fold), str(c.seed), c.state, _clean(c.error, hidden)) for c in cells
        ),
        about="Cells that other rows have, or that were started. With one of them missing a row "
        "is in no statistic; its means are of what is there.",
        notes=() if cells else ("None.",),
        long=len(cells) > MOST_NAMED,
    )


def _clean(text: str, hidden: Sequence[str]) -> str:
    """The text without the workspace's place and the names of cases."""
    for name in sorted(hidden, key=len, reverse=True):
        text = text.replace(name, "...")
    return text


def _overall(chapters: Sequence[Chapter], plan: AnalysisPlan) -> str:
    """The claim needs every set of the plan, with a preset that may give a verdict, and each on
    one split."""
    if torn := "; ".join(_torn(chapters)):
        return f"{plan.subject}, the claim on every set: not judged over several splits ({torn})."
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
    """The paper's mean gain over both sets, in each tested metric."""
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
    return claims_sheet("mean-gain", "Claims over both sets", tuple(lines))
