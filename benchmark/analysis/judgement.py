"""The statistics of a group: every comparison, the verdict, the claims, the ranks, the checks.

Nothing is decided here: `benchmark.scoring` decides, this hands it the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmark.analysis.own import secondary
from benchmark.analysis.rows import Scores, Values, gathered
from benchmark.errors import BadInput
from benchmark.plan.analysis import AnalysisPlan, Contrast, families
from benchmark.scoring.claims import OTHER_ARCHITECTURE, ClaimLine, claims, ledger
from benchmark.scoring.comparison import Comparison, compare
from benchmark.scoring.statistics.corrections import (
    Adjusted,
    RankStability,
    adjust,
    rank_stability,
    ranking_fitness,
)
from benchmark.scoring.statistics.layout import (
    Incomplete,
    RowValues,
    ScoredPatient,
    endpoint_organs,
)
from benchmark.scoring.verdict import Verdict, judge
from benchmark.settings.metrics import load_metrics
from benchmark.settings.registry import OUTSIDE

GAP = "gt_gap"
MATCHED = "m_matched"  # measured in every patient, with or without a partner
MOST_ROWS = 60  # of a figure or a family of comparisons; tables hold all rows


@dataclass(frozen=True, kw_only=True, eq=False)
class Analysis:
    """What the statistics say of a group.

    `values` holds each row's endpoint by (row, metric); `compared` every comparison that was asked
    for, on the folds that were run; `judged` the same, incomplete where a fold is absent: verdict
    and claims read that. `why_not` says why a comparison could not be made.
    """

    organs: tuple[str, ...]
    values: Mapping[tuple[str, str], Values]
    compared: Mapping[Contrast, Comparison | Incomplete]
    why_not: Mapping[Contrast, str]
    adjusted: tuple[Adjusted, ...]
    gap: Values | None
    verdict: Verdict
    claims: tuple[ClaimLine, ...]
    ranks: RankStability | None
    fitness: float | None

    def row(self, name: str, metric: str) -> RowValues | None:
        """Return the endpoint of a row that is complete, else None."""
        found = self.values.get((name, metric))
        return found if isinstance(found, RowValues) else None

    def comparison(self, row: str, reference: str, metric: str) -> Comparison | None:
        """Return a comparison that could be made, else None."""
        found = self.compared.get(Contrast(row=row, reference=reference, metric=metric))
        return found if isinstance(found, Comparison) else None

    def holm(self, contrast: Contrast) -> float | None:
        """Return the adjusted p of a contrast; None where it has none or is in no family."""
        return next((each[contrast] for each in self.adjusted if contrast in each), None)


def analyse(scores: Scores, plan: AnalysisPlan, timing: str) -> Analysis:
    """Return the statistics of a group. Raises `BadInput` where no organ is annotated."""
    organs = endpoint_organs(scores.patients, anchor=plan.anchor_organ, share=plan.organ_share)
    values = _values(scores, plan, organs)
    compared, why_not = _compared(scores, plan, values)
    # with a fold that no row was run in nothing is judged: its patients are missing
    judged = {c: absent(c.row, scores) if scores.absent_folds else x for c, x in compared.items()}
    adjusted = tuple(adjust(each, _p(judged, each.contrasts)) for each in families(plan))
    gap = gap_of(plan.subject, scores)
    first = plan.metrics[0]
    against = {
        name: judged[contrast]
        for name in plan.controls
        if (contrast := Contrast(row=plan.subject, reference=name, metric=first.name)) in judged
    }
    p = {contrast: value for each in adjusted for contrast, value in each.items()}
    ranks, fitness = _ranks(scores, plan, values)
    return Analysis(
        organs=organs,
        values=values,
        compared=compared,
        why_not=why_not,
        adjusted=adjusted,
        gap=gap,
        verdict=verdict_of(scores, against, gap, plan, timing),
        claims=ledger(
            judged, p, dataset=scores.group.dataset, preset=_preset_of(scores), plan=plan
        ),
        ranks=ranks,
        fitness=fitness,
    )


def verdict_of(
    scores: Scores,
    against: Mapping[str, Comparison | Incomplete],
    gap: Values | None,
    plan: AnalysisPlan,
    timing: str,
) -> Verdict:
    """Return the verdict of a group from the subject's comparison with each control, and its GT
    gap; that lacks patients too where a fold was not run."""
    if gap is not None and scores.absent_folds:
        gap = absent("the GT gap", scores)
    dataset, preset = scores.group.dataset, _preset_of(scores)
    return judge(against, gap, dataset=dataset, preset=preset, plan=plan, timing=timing)


def _preset_of(scores: Scores) -> str:
    """The preset as the verdict's rule reads it: rows with other values than the preset's are not
    the paper's, whatever the preset's name."""
    return scores.group.preset + (" (changed)" if scores.group.changed else "")


def asked(scores: Scores, plan: AnalysisPlan) -> list[Contrast]:
    """Return the contrasts of a report: the plan's families and claims, every row against the
    baseline, the subject against every control and its ablations, between rows that were run."""
    us, base, rows = plan.subject, plan.baseline, set(scores.group.rows)
    shown = scores.group.rows[:MOST_ROWS]
    outside = scores.group.of_kind(OUTSIDE)  # never the subject of a word: bench did not train it
    pairs = [(row, base) for row in (*shown, OTHER_ARCHITECTURE) if row not in outside]
    pairs += [(ours, row) for row in outside for ours in (us, base)]
    pairs += [(us, row) for row in (*plan.controls, *scores.group.of_kind("controls")[:MOST_ROWS])]
    planned = [c for family in families(plan) for c in family.contrasts]
    planned += [claim.contrast for claim in claims(scores.group.dataset, plan)]
    planned += [
        Contrast(row=row, reference=reference, metric=metric.name)
        for row, reference in pairs
        for metric in plan.metrics
    ]
    return [
        contrast
        for contrast in dict.fromkeys(planned)
        if {contrast.row, contrast.reference} <= rows and contrast.row != contrast.reference
    ]


def _values(
    scores: Scores, plan: AnalysisPlan, organs: Sequence[str]
) -> dict[tuple[str, str], Values]:
    tested = [metric.name for metric in plan.metrics]
    frame = scores.frame[scores.frame["metric"].isin(tested)]
    frame = frame[frame["organ"].isin(organs)]
    parts = dict(iter(frame.groupby(["row", "metric"], observed=True)))
    empty = frame.iloc[:0]
    return {
        (row, metric): gathered(
            row, parts.get((row, metric), empty), scores.patients, organs, scores.group.seeds
        )
        for row in scores.group.rows
        for metric in tested
    }


def secondary_of(scores: Scores, plan: AnalysisPlan) -> list[Comparison | Incomplete]:
    """Return every row against the baseline in each metric of one's own that the group has and
    that is installed: secondary endpoints, in no family, read by no verdict and no claim."""
    stored = dict.fromkeys(scores.frame["metric"].astype(str).unique())
    metrics = secondary(sorted(stored), load_metrics().metrics)
    if not metrics or plan.baseline not in scores.group.rows:
        return []
    organs = endpoint_organs(scores.patients, anchor=plan.anchor_organ, share=plan.organ_share)
    found, outside = [], scores.group.of_kind(OUTSIDE)
    for metric in metrics:
        base = values_of(plan.baseline, metric.name, scores, organs)
        for row in scores.group.rows[:MOST_ROWS]:
            if row != plan.baseline:
                pair = (values_of(row, metric.name, scores, organs), base)
                # a row of another tool is never the subject of a word: bench did not train it
                one, other = reversed(pair) if row in outside else pair
                found.append(
                    compare(one, other, metric=metric, plan=plan, of_folds=scores.fold_count)
                )
    return found


def values_of(row: str, metric: str, scores: Scores, organs: Sequence[str]) -> Values:
    """Return a row's endpoint in one metric, or what is missing of it."""
    frame = scores.frame[(scores.frame["row"] == row) & (scores.frame["metric"] == metric)]
    chosen = frame[frame["organ"].isin(organs)]
    return gathered(row, chosen, scores.patients, organs, scores.group.seeds)


def _compared(
    scores: Scores, plan: AnalysisPlan, values: Mapping[tuple[str, str], Values]
) -> tuple[dict[Contrast, Comparison | Incomplete], dict[Contrast, str]]:
    compared: dict[Contrast, Comparison | Incomplete] = {}
    why_not: dict[Contrast, str] = {}
    for contrast in asked(scores, plan):
        first, second = (values[n, contrast.metric] for n in (contrast.row, contrast.reference))
        try:
            metric = plan.metric(contrast.metric)
            found = compare(first, second, metric=metric, plan=plan, of_folds=scores.fold_count)
        except BadInput as error:  # one fold and one seed, say: no statistic can be made
            why_not[contrast] = str(error)
            continue
        compared[contrast] = found
        if isinstance(found, Incomplete):
            why_not[contrast] = found.sentence
    return compared, why_not


def absent(row: str, scores: Scores) -> Incomplete:
    """Return that a row lacks the patients of the folds that were not run."""
    seeds = scores.group.seeds
    return Incomplete(
        row=row, missing=tuple((f"of fold {f}", s) for f in scores.absent_folds for s in seeds)
    )


def _p(
    compared: Mapping[Contrast, Comparison | Incomplete], contrasts: Iterable[Contrast]
) -> dict[Contrast, float | None]:
    found = {contrast: compared.get(contrast) for contrast in contrasts}
    return {c: each.family_p if isinstance(each, Comparison) else None for c, each in found.items()}


def gap_of(row: str, scores: Scores) -> Values | None:
    """Return a row's GT gap, None where it was not measured. A patient without a partner in its
    fold has none, by design, and is left out."""
    frame = scores.probes[scores.probes["row"] == row]
    gap = frame[frame["metric"] == GAP]
    if gap.empty:
        return None
    with_partner = set(gap["case"].astype(str))
    measured = set(frame.loc[frame["metric"] == MATCHED, "case"].astype(str))
    patients = [
        ScoredPatient(case=p.case, fold=p.fold, organs=("all",))
        for p in scores.patients
        if p.case in with_partner or p.case not in measured
    ]
    return gathered(row, gap, patients, ("all",), scores.group.seeds)


def _ranks(
    scores: Scores, plan: AnalysisPlan, values: Mapping[tuple[str, str], Values]
) -> tuple[RankStability | None, float | None]:
    """The ranks of all complete rows that are scored at their end, in the plan's first metric."""
    first = plan.metrics[0]
    whole = [row for row in scores.group.rows if "@" not in row][:MOST_ROWS]
    rows = [v for row in whole if isinstance(v := values[row, first.name], RowValues)]
    if len(rows) < 2:
        return None, None
    ranks = rank_stability(
        rows,
        higher_is_better=first.higher_is_better,
        draws=plan.draws_rank,
        seed=plan.draws_seed,
    )
    try:
        return ranks, ranking_fitness(rows)
    except BadInput:  # fewer than two runs of each
        return ranks, None
