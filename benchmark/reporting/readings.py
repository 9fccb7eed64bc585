"""The specification curve of a group, from what the ledger holds of each reading of the paper.

A reading is run where the subject and every control of the verdict have test cells with its norm,
distance and gradient; it is tuned where the same rows have inner cells (`bench run --inner`,
`bench sweep`): each setting of theirs is a trial, and the one with the best inner validation is
the one whose test cells count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from benchmark.errors import BadInput
from benchmark.plan.analysis import AnalysisPlan
from benchmark.reporting.analysis import Analysis, Values, absent, gap_of, preset_of
from benchmark.reporting.reading.bulk import read_rows
from benchmark.reporting.reading.suite import Scores
from benchmark.running.bench import Bench
from benchmark.scoring.comparison import Comparison, compare
from benchmark.scoring.readings import (
    READINGS,
    Reading,
    ReadingResult,
    SpecificationCurve,
    specification_curve,
)
from benchmark.scoring.statistics.layout import Incomplete
from benchmark.scoring.verdict import judge
from benchmark.store.ledger import Entry

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
        return dict(max(self.found, key=lambda each: self.found[each])) if self.found else None


@dataclass(frozen=True, kw_only=True, eq=False)
class Readings:
    """Every reading of the fixed list with its state, and the curve where there is one."""

    states: Mapping[Reading, str]
    results: tuple[ReadingResult, ...]
    curve: SpecificationCurve | None
    sentence: str


def readings_of(
    scores: Scores,
    analysis: Analysis,
    inner: Sequence[Entry],
    bench: Bench,
    plan: AnalysisPlan,
    timing: str,
) -> Readings:
    """Return the readings of a group; `inner` are its cells on inner validation patients."""
    states: dict[Reading, str] = {}
    results = []
    values = _inner_values(inner, analysis, bench)
    for reading in READINGS:
        found = _result(reading, scores, analysis, values, plan, timing)
        if isinstance(found, str):
            states[reading] = found
        else:
            states[reading] = found.verdict.outcome
            results.append(found)
    try:
        curve = specification_curve(results, plan) if results else None
        sentence = curve.sentence if curve else "No reading was run and tuned: no curve."
    except BadInput as error:
        curve, sentence = None, f"No curve: {error}."
    return Readings(states=states, results=tuple(results), curve=curve, sentence=sentence)


Inner = list[tuple[Entry, float]]


def _inner_values(inner: Sequence[Entry], analysis: Analysis, bench: Bench) -> Inner:
    """Each inner cell with its mean DSC of the endpoint organs."""
    rows = read_rows(bench.results, [(entry.key, entry.evaluation) for entry in inner])
    frame = rows.frame[(rows.frame["metric"] == "dsc") & rows.frame["organ"].isin(analysis.organs)]
    means = frame.groupby("pair")["value"].mean()
    place = {pair: number for number, pair in enumerate(rows.pairs)}
    return [
        (entry, float(means[number]))
        for entry in inner
        if (number := place[entry.key, entry.evaluation]) in means.index
    ]


def _result(
    reading: Reading,
    scores: Scores,
    analysis: Analysis,
    inner: Inner,
    plan: AnalysisPlan,
    timing: str,
) -> ReadingResult | str:
    """One reading's result, or what it lacks."""
    trials = {row: _trials(row, reading, inner) for row in (plan.subject, *plan.controls)}
    rows = {row: _test_row(row, reading, trials[row], scores) for row in trials}
    subject, best = rows[plan.subject], trials[plan.subject].best
    if subject is None:
        return "not run"
    if best is None:
        return "run, not tuned"
    metric = plan.metrics[0]
    against: dict[str, Comparison | Incomplete] = {}
    for control in plan.controls:
        if (name := rows[control]) is None:
            continue
        values = [analysis.values[row, metric.name] for row in (subject, name)]
        named = [_renamed(v, row) for v, row in zip(values, (plan.subject, control), strict=True)]
        against[control] = compare(named[0], named[1], metric=metric, plan=plan)
        if scores.absent_folds:
            against[control] = absent(control, scores)
    gap = gap_of(subject, scores)
    verdict = judge(
        against,
        absent("the GT gap", scores) if gap is not None and scores.absent_folds else gap,
        dataset=scores.group.dataset,
        preset=preset_of(scores),
        plan=plan,
        timing=timing,
    )
    intervals = [c.primary for c in against.values() if isinstance(c, Comparison)]
    known = [each for each in intervals if each is not None]
    return ReadingResult(
        reading=reading,
        verdict=verdict,
        weakest=min(known, key=lambda each: each.estimate, default=None),
        inner_validation=best,
        trials={row: len(each.found) for row, each in trials.items()},
    )


def _trials(row: str, reading: Reading, inner: Inner) -> Trials:
    found: dict[tuple[tuple[str, str], ...], list[float]] = {}
    for entry, value in inner:
        if entry.row == row and holds(entry.params, reading):
            found.setdefault(tuple(sorted(entry.params.items())), []).append(value)
    return Trials(found={setting: sum(v) / len(v) for setting, v in found.items()})


def _test_row(row: str, reading: Reading, trials: Trials, scores: Scores) -> str | None:
    """The row in tables whose test cells count for a reading: the tuned setting, if any."""
    for name, members in scores.group.cells.items():
        params = members[0].params
        if members[0].row != row or not holds(params, reading):
            continue
        if trials.chosen is None or dict(params) == dict(trials.chosen):
            return name
    return None


def holds(params: Mapping[str, str], reading: Reading) -> bool:
    """Return whether a row's parameters are those of a reading, as far as the row has them."""
    wanted = {name: getattr(reading, of) for of, name in FIELDS.items()}
    return all(params.get(name, value) == value for name, value in wanted.items())


def _renamed(values: Values, row: str) -> Values:
    """The same values under the row's plain name, which the verdict's rule asks for."""
    return replace(values, row=row)
