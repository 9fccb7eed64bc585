"""The specification curve of a group, from what the ledger holds of each interpretation of the
paper (tables call it a reading).

One is run where the subject has test cells with its norm, distance and gradient, in any
suite; it is tuned where the subject has inner cells too (`bench run --inner`): each setting is a
trial, and the one with the best inner validation is the one whose test cells count. The same
holds for each control.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from benchmark.analysis.judgement import Analysis, absent, gap_of, values_of, verdict_of
from benchmark.analysis.rows import Scores, group_scores, read_cells
from benchmark.errors import BadInput
from benchmark.plan.analysis import AnalysisPlan
from benchmark.scoring.comparison import Comparison, compare
from benchmark.scoring.paper import (
    INTERPRETATIONS,
    Interpretation,
    InterpretationResult,
    SpecificationCurve,
    specification_curve,
)
from benchmark.scoring.statistics.layout import Incomplete
from benchmark.store.ledger import Entry
from benchmark.store.workspace import Workspace

FIELDS = {"network_norm": "ct.norm", "distance": "norm", "gradient": "gradient"}
NO_CURVE = "No reading was run and tuned: no curve."
Setting = tuple[tuple[str, str], ...]  # a row's parameters, sorted
Trials = Mapping[Setting, float]  # a row's tuning in one interpretation, by setting


@dataclass(frozen=True, kw_only=True, eq=False)
class Interpretations:
    """Every interpretation of the fixed list with its state, and the curve where there is one."""

    states: Mapping[Interpretation, str]
    results: tuple[InterpretationResult, ...]
    curve: SpecificationCurve | None
    sentence: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Reach:
    """Where an interpretation is looked for: test cells of all suites with the group's data set,
    preset and split, by setting, and the inner cells with their mean DSC."""

    scores: Scores
    inner: Sequence[tuple[Entry, float]]
    organs: Sequence[str]
    plan: AnalysisPlan
    timing: str


def interpretations_of(
    scores: Scores,
    analysis: Analysis,
    ledger: Sequence[Entry],
    workspace: Workspace,
    plan: AnalysisPlan,
    timing: str,
) -> Interpretations:
    """Return the interpretations of a group. `ledger` are the cells of all suites: one suite has
    one value of a hyper-parameter for all its rows, so interpretations lie in several."""
    rows = (plan.subject, *plan.controls)
    group = scores.group
    alike = [e for e in ledger if _place(e) == (group.dataset, group.preset, group.split)]
    alike = [entry for entry in alike if entry.row in rows]
    inner = [entry for entry in alike if entry.part == "inner"]
    if not inner:  # nothing was tuned: no row need be read to say so
        return _untuned([entry for entry in alike if entry.part == "test"], plan)
    reach = Reach(
        scores=_wide(scores, [entry for entry in alike if entry.part == "test"], workspace),
        inner=_inner_values(inner, analysis, workspace),
        organs=analysis.organs,
        plan=plan,
        timing=timing,
    )
    states: dict[Interpretation, str] = {}
    results = []
    for interpretation in INTERPRETATIONS:
        found = _result(interpretation, reach)
        states[interpretation] = found if isinstance(found, str) else found.verdict.outcome
        results += [] if isinstance(found, str) else [found]
    try:
        curve = specification_curve(results, plan) if results else None
        sentence = curve.sentence if curve else NO_CURVE
    except BadInput as error:
        curve, sentence = None, f"No curve: {error}."
    return Interpretations(states=states, results=tuple(results), curve=curve, sentence=sentence)


def _untuned(tested: Sequence[Entry], plan: AnalysisPlan) -> Interpretations:
    settings = {_setting(e): e.params for e in tested if e.row == plan.subject}.values()
    states = {
        interpretation: "run, not tuned"
        if any(holds(x, interpretation) for x in settings)
        else "not run"
        for interpretation in INTERPRETATIONS
    }
    return Interpretations(states=states, results=(), curve=None, sentence=NO_CURVE)


def _place(entry: Entry) -> tuple[str, str, str]:
    return entry.dataset, entry.preset, entry.split


def _wide(scores: Scores, alike: list[Entry], workspace: Workspace) -> Scores:
    """The scores of all suites' cells, each setting under its full label."""
    cells: dict[str, dict[tuple[int, int], Entry]] = {}
    for entry in alike:
        cells.setdefault(entry.label, {})[entry.fold, entry.seed] = entry
    group = replace(
        scores.group,
        cells={label: tuple(found.values()) for label, found in sorted(cells.items())},
        kinds=dict.fromkeys(cells, "other"),
        plan=None,
    )
    return group_scores(group, workspace)


def _inner_values(
    inner: Sequence[Entry], analysis: Analysis, workspace: Workspace
) -> list[tuple[Entry, float]]:
    """Each inner cell with its mean DSC of the endpoint organs."""
    cells = [(str(n), e.fold, e.seed, (e.key, e.evaluation)) for n, e in enumerate(inner)]
    frame, _ = read_cells(workspace.results, cells)
    chosen = frame[(frame["metric"] == "dsc") & frame["organ"].isin(analysis.organs)]
    means = chosen.groupby("row", observed=True)["value"].mean()
    known = zip(map(str, range(len(inner))), inner, strict=True)
    return [(entry, float(means[name])) for name, entry in known if name in means.index]


def _result(interpretation: Interpretation, reach: Reach) -> InterpretationResult | str:
    """One interpretation's result, or what it lacks."""
    plan, scores = reach.plan, reach.scores
    trials = {row: _trials(row, interpretation, reach) for row in (plan.subject, *plan.controls)}
    labels = {row: _test_label(row, interpretation, trials[row], scores) for row in trials}
    subject = labels[plan.subject]
    if subject is None:
        return "not run"
    if not trials[plan.subject]:
        return "run, not tuned"
    against = _against(labels, reach)
    intervals = [each.primary for each in against.values() if isinstance(each, Comparison)]
    return InterpretationResult(
        interpretation=interpretation,
        verdict=verdict_of(scores, against, gap_of(subject, scores), plan, reach.timing),
        weakest=min(
            (each for each in intervals if each is not None),
            key=lambda each: each.estimate,
            default=None,
        ),
        inner_validation=max(trials[plan.subject].values()),
        trials={row: len(each) for row, each in trials.items()},
    )


def _against(labels: Mapping[str, str | None], reach: Reach) -> dict[str, Comparison | Incomplete]:
    """The subject against each control of the verdict that was run, under their plain names."""
    plan, scores = reach.plan, reach.scores
    metric = plan.metrics[0]
    values = {
        row: replace(values_of(label, metric.name, scores, reach.organs), row=row)
        for row, label in labels.items()
        if label is not None
    }
    if scores.absent_folds:
        return {row: absent(row, scores) for row in values if row != plan.subject}
    ours = values.pop(plan.subject)
    return {row: compare(ours, each, metric=metric, plan=plan) for row, each in values.items()}


def _trials(row: str, interpretation: Interpretation, reach: Reach) -> Trials:
    found: dict[Setting, list[float]] = defaultdict(list)
    for entry, value in reach.inner:
        if entry.row == row and holds(entry.params, interpretation):
            found[_setting(entry)].append(value)
    return {setting: sum(values) / len(values) for setting, values in found.items()}


def _setting(entry: Entry) -> Setting:
    return tuple(sorted(entry.params.items()))


def _test_label(
    row: str, interpretation: Interpretation, trials: Trials, scores: Scores
) -> str | None:
    """The label whose test cells count for an interpretation: the tuned setting, if any."""
    tuned = max(trials, key=trials.__getitem__, default=None)
    for label, (first, *_) in scores.group.cells.items():
        fits = first.row == row and holds(first.params, interpretation)
        if fits and tuned in (None, _setting(first)):
            return label
    return None


def holds(params: Mapping[str, str], interpretation: Interpretation) -> bool:
    """Return whether a row's parameters are an interpretation's, as far as the row has them."""
    wanted = {name: getattr(interpretation, of) for of, name in FIELDS.items()}
    return all(params.get(name, value) == value for name, value in wanted.items())
