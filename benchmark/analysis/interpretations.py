"""The specification curve of a group, from what the ledger holds of each reading of the paper.

A reading is run where the subject has test cells with its norm, distance and gradient, in any
suite; it is tuned where the subject has inner cells too (`bench run --inner`): each setting is a
trial, and the one with the best inner validation is the one whose test cells count. The same
holds for each control.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from benchmark.analysis.judgement import Analysis, absent, gap_of, preset_of, values_of
from benchmark.analysis.rows import Scores, read_cells, scores_of
from benchmark.errors import BadInput
from benchmark.plan.analysis import AnalysisPlan
from benchmark.scoring.comparison import Comparison, compare
from benchmark.scoring.paper import (
    READINGS,
    Reading,
    ReadingResult,
    SpecificationCurve,
    specification_curve,
)
from benchmark.scoring.statistics.layout import Incomplete
from benchmark.scoring.verdict import judge
from benchmark.store.ledger import Entry
from benchmark.store.workspace import Workspace

FIELDS = {"network_norm": "ct.norm", "distance": "norm", "gradient": "gradient"}


@dataclass(frozen=True, kw_only=True)
class Trials:
    """The tuning of one row in one reading: inner validation by setting (its parameters)."""

    found: Mapping[tuple[tuple[str, str], ...], float] = field(default_factory=dict)

    @property
    def best(self) -> float | None:
        """The best inner validation."""
        return max(self.found.values(), default=None)

    @property
    def chosen(self) -> Mapping[str, str] | None:
        """The parameters with the best inner validation."""
        best = max(self.found.items(), key=lambda item: item[1], default=None)
        return dict(best[0]) if best else None


@dataclass(frozen=True, kw_only=True, eq=False)
class Readings:
    """Every reading of the fixed list with its state, and the curve where there is one."""

    states: Mapping[Reading, str]
    results: tuple[ReadingResult, ...]
    curve: SpecificationCurve | None
    sentence: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Reach:
    """What a reading is looked for in: test cells of all suites with the group's data set, preset
    and split, by setting, and the inner cells with their mean DSC."""

    scores: Scores
    inner: Sequence[tuple[Entry, float]]
    organs: Sequence[str]
    plan: AnalysisPlan
    timing: str


def readings_of(
    scores: Scores,
    analysis: Analysis,
    ledger: Sequence[Entry],
    workspace: Workspace,
    plan: AnalysisPlan,
    timing: str,
) -> Readings:
    """Return the readings of a group. `ledger` are the cells of all suites: one suite has one value
    of a hyper-parameter for all its rows, so readings lie in several."""
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
    states: dict[Reading, str] = {}
    results = []
    for reading in READINGS:
        found = _result(reading, reach)
        states[reading] = found if isinstance(found, str) else found.verdict.outcome
        results += [] if isinstance(found, str) else [found]
    try:
        curve = specification_curve(results, plan) if results else None
        sentence = curve.sentence if curve else "No reading was run and tuned: no curve."
    except BadInput as error:
        curve, sentence = None, f"No curve: {error}."
    return Readings(states=states, results=tuple(results), curve=curve, sentence=sentence)


def _untuned(tested: Sequence[Entry], plan: AnalysisPlan) -> Readings:
    settings = {tuple(sorted(e.params.items())): e.params for e in tested if e.row == plan.subject}
    states = {
        reading: "run, not tuned"
        if any(holds(p, reading) for p in settings.values())
        else "not run"
        for reading in READINGS
    }
    sentence = "No reading was run and tuned: no curve."
    return Readings(states=states, results=(), curve=None, sentence=sentence)


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
    return scores_of(group, workspace)


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


def _result(reading: Reading, reach: Reach) -> ReadingResult | str:
    """One reading's result, or what it lacks."""
    plan, scores = reach.plan, reach.scores
    trials = {row: _trials(row, reading, reach) for row in (plan.subject, *plan.controls)}
    labels = {row: _test_label(row, reading, trials[row], scores) for row in trials}
    subject, best = labels[plan.subject], trials[plan.subject].best
    if subject is None:
        return "not run"
    if best is None:
        return "run, not tuned"
    gap = gap_of(subject, scores)
    against = _against(labels, reach)
    intervals = [each.primary for each in against.values() if isinstance(each, Comparison)]
    return ReadingResult(
        reading=reading,
        verdict=judge(
            against,
            absent("the GT gap", scores) if gap is not None and scores.absent_folds else gap,
            dataset=scores.group.dataset,
            preset=preset_of(scores),
            plan=plan,
            timing=reach.timing,
        ),
        weakest=min(
            (each for each in intervals if each is not None),
            key=lambda each: each.estimate,
            default=None,
        ),
        inner_validation=best,
        trials={row: len(each.found) for row, each in trials.items()},
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


def _trials(row: str, reading: Reading, reach: Reach) -> Trials:
    found: dict[tuple[tuple[str, str], ...], list[float]] = {}
    for entry, value in reach.inner:
        if entry.row == row and holds(entry.params, reading):
            found.setdefault(tuple(sorted(entry.params.items())), []).append(value)
    return Trials(found={setting: sum(v) / len(v) for setting, v in found.items()})


def _test_label(row: str, reading: Reading, trials: Trials, scores: Scores) -> str | None:
    """The label whose test cells count for a reading: the tuned setting, if any."""
    for label, members in scores.group.cells.items():
        params = members[0].params
        if members[0].row != row or not holds(params, reading):
            continue
        if trials.chosen is None or dict(params) == dict(trials.chosen):
            return label
    return None


def holds(params: Mapping[str, str], reading: Reading) -> bool:
    """Return whether a row's parameters are those of a reading, as far as the row has them."""
    wanted = {name: getattr(reading, of) for of, name in FIELDS.items()}
    return all(params.get(name, value) == value for name, value in wanted.items())
