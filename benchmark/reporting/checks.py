"""The comparison's own controls of a group (docs/methods.md section 7), from what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from benchmark.errors import BadInput
from benchmark.plan.analysis import AnalysisPlan, Metric
from benchmark.reporting.analysis import Analysis, Values, gathered
from benchmark.reporting.reading.measured import MOVED, MOVED_MM, measured_frame, truth_frame
from benchmark.reporting.reading.suite import Scores
from benchmark.running.bench import Bench
from benchmark.scoring.controls import Check, degraded, permuted_names, same_row, truth_itself
from benchmark.scoring.statistics.layout import Incomplete

TENTH = 0.1  # of the steps: what a row must be trained for at most to count as degraded


def checks_of(
    scores: Scores, analysis: Analysis, plan: AnalysisPlan, bench: Bench
) -> tuple[Check, ...]:
    """Return the checks in a fixed order; one that could not be made says why."""
    first = plan.metrics[0]
    found = []
    for row in (plan.baseline, plan.subject):
        found.append(_same_row(row, analysis, first, plan))
    found.append(_permuted(analysis, first, plan))
    found += _degraded(scores, analysis, first, plan, bench)
    truth = truth_frame(scores, bench)
    for metric in plan.metrics:
        found.append(_truth(truth, scores, analysis, metric))
    return tuple(found)


def _same_row(row: str, analysis: Analysis, metric: Metric, plan: AnalysisPlan) -> Check:
    values = analysis.values.get((row, metric.name))
    if values is None:
        return Check(name="A/A", passed=None, sentence=f"{row} was not run.")
    try:
        return same_row(values, metric=metric, plan=plan)
    except BadInput as error:
        return Check(name="A/A", passed=None, sentence=f"{row}: {error}.")


def _permuted(analysis: Analysis, metric: Metric, plan: AnalysisPlan) -> Check:
    both = [analysis.values.get((row, metric.name)) for row in (plan.subject, plan.baseline)]
    if both[0] is None or both[1] is None:
        why = f"needs {plan.subject} and {plan.baseline}."
        return Check(name="permuted names", passed=None, sentence=why)
    return permuted_names(both[0], both[1], metric=metric, plan=plan)


def _degraded(
    scores: Scores, analysis: Analysis, metric: Metric, plan: AnalysisPlan, bench: Bench
) -> list[Check]:
    """The baseline against itself made worse: its label maps moved by 5 mm, and any row of it that
    was trained for a tenth of its steps or less."""
    base = analysis.values.get((plan.baseline, metric.name))
    if base is None:
        why = f"needs {plan.baseline}."
        return [Check(name="degraded row", passed=None, sentence=why)]
    worse: list[Values] = [_moved(scores, analysis, metric, plan, bench)]
    worse += [analysis.values[row, metric.name] for row in short_rows(scores, plan.baseline)]
    checks = []
    for values in worse:
        try:
            checks.append(degraded(values, base, metric=metric, plan=plan))
        except BadInput as error:
            checks.append(Check(name="degraded row", passed=None, sentence=f"{error}."))
    return checks


def short_rows(scores: Scores, baseline: str) -> list[str]:
    """Return the rows that are the baseline trained for a tenth of its steps or less."""
    whole = scores.group.cells.get(baseline, ())
    if not whole:
        return []
    steps = _length(whole[0].params)
    return [
        row
        for row, members in scores.group.cells.items()
        if members[0].row == baseline and _length(members[0].params) <= TENTH * steps
    ]


def _length(params: Mapping[str, str]) -> float:
    per_epoch = params.get("schedule.steps_per_epoch", "null")
    epochs = float(params.get("schedule.epochs", "nan"))
    return epochs * (1.0 if per_epoch == "null" else float(per_epoch))


def _moved(
    scores: Scores, analysis: Analysis, metric: Metric, plan: AnalysisPlan, bench: Bench
) -> Values:
    frame = measured_frame(scores, bench, MOVED)
    frame = frame[frame["row"] == plan.baseline]
    name = f"{plan.baseline}, moved by {MOVED_MM:g} mm"
    return _values(name, frame, scores, analysis, metric, scores.group.seeds)


def _truth(frame: pd.DataFrame, scores: Scores, analysis: Analysis, metric: Metric) -> Check:
    return truth_itself(_values("truth", frame, scores, analysis, metric, (0,)), metric=metric)


def _values(
    name: str,
    frame: pd.DataFrame,
    scores: Scores,
    analysis: Analysis,
    metric: Metric,
    seeds: Sequence[int],
) -> Values:
    chosen = frame[(frame["metric"] == metric.name) & frame["organ"].isin(analysis.organs)]
    found = gathered(name, chosen, scores.patients, analysis.organs, seeds)
    if isinstance(found, Incomplete) and chosen.empty:
        return Incomplete(row=f"{name} (no label maps or no data set here)", missing=found.missing)
    return found
