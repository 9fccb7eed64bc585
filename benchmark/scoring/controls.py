"""The comparison's own controls: does the comparison find what is there, and nothing else?

In every report (docs/methods.md section 7). Each gives one `ControlCheck`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from benchmark.plan.analysis import AnalysisPlan, Metric
from benchmark.scoring.comparison import Comparison, compare, compare_gain
from benchmark.scoring.statistics.components import PATIENTS_P, components
from benchmark.scoring.statistics.layout import Incomplete, RowValues, gain

PERMUTATIONS = 2000


@dataclass(frozen=True, kw_only=True)
class ControlCheck:
    """One control. `passed` is None where it could not be made; the sentence says why."""

    name: str
    passed: bool | None
    sentence: str
    comparison: Comparison | None = None


def seeds_agree(row: RowValues | Incomplete, *, metric: Metric, plan: AnalysisPlan) -> ControlCheck:
    """A/A: return whether a row's first seeds are found neither better nor worse than its other.

    Needs two seeds; of an odd number the last is left out. The sentence warns where the margin is
    under two standard errors of this comparison: then equivalence is out of reach. (The margin is
    not widened for it.)
    """
    name = "A/A"
    if isinstance(row, Incomplete):
        return ControlCheck(name=name, passed=None, sentence=row.sentence)
    half = len(row.seeds) // 2
    if half == 0:
        return ControlCheck(name=name, passed=None, sentence=f"{row.row}: A/A needs two seeds")
    first, second = row.value_nS[:, :half], row.value_nS[:, half : 2 * half]
    sign = 1.0 if metric.higher_is_better else -1.0
    found = compare_gain(
        sign * (first - second),
        row.fold_n,
        cases=row.cases,
        row=f"{row.row} (seeds {_names(row.seeds[:half])})",
        reference=f"{row.row} (seeds {_names(row.seeds[half : 2 * half])})",
        metric=metric,
        plan=plan,
    )
    if found.primary is None:
        return ControlCheck(name=name, passed=None, sentence=found.sentence + ".", comparison=found)
    narrow = metric.margin < 2 * found.primary.error
    warning = "; the margin is under two standard errors of it" if narrow else ""
    return ControlCheck(
        name=name,
        passed=found.word not in ("better", "worse"),
        sentence=f"{found.sentence}{warning}.",
        comparison=found,
    )


def permuted_names(
    row: RowValues | Incomplete,
    reference: RowValues | Incomplete,
    *,
    metric: Metric,
    plan: AnalysisPlan,
) -> ControlCheck:
    """Return whether the primary p errs no more than it says once names are dealt at random.

    Names are swapped within a patient, for all its seeds. Passed: the share of 2000 permutations
    with p <= alpha is not above alpha by more than chance (one-sided 0.1 %). It may well be under:
    where folds do not differ, the interval that allows for their luck is wide."""
    name = "permuted names"
    for each in (row, reference):
        if isinstance(each, Incomplete):
            return ControlCheck(name=name, passed=None, sentence=each.sentence)
    assert isinstance(row, RowValues) and isinstance(reference, RowValues)
    gain_nS = gain(row, reference, higher_is_better=metric.higher_is_better)
    n, n_seeds = gain_nS.shape
    if n < PATIENTS_P or n_seeds < 2 or not gain_nS.any():
        why = "needs 12 patients, two seeds and rows that differ"
        return ControlCheck(name=name, passed=None, sentence=f"{row.row}, {reference.row}: {why}")
    rng = np.random.default_rng(plan.draws_seed)
    sign_bn = rng.choice((-1.0, 1.0), size=(PERMUTATIONS, n))
    found = components(sign_bn[..., None] * gain_nS, row.fold_n, fold_luck=plan.fold_luck)
    p_b = 2 * stats.t.sf(np.abs(found.mean) / found.error, found.degrees)
    rejected = int(np.count_nonzero(p_b <= plan.alpha))
    most = int(stats.binom.ppf(0.999, PERMUTATIONS, plan.alpha))
    return ControlCheck(
        name=name,
        passed=rejected <= most,
        sentence=(
            f"{row.row} and {reference.row} under permuted names: p <= {plan.alpha:g} in "
            f"{rejected / PERMUTATIONS:.1%} of {PERMUTATIONS} (at most {most / PERMUTATIONS:.1%})."
        ),
    )


def degraded(
    worse: RowValues | Incomplete,
    row: RowValues | Incomplete,
    *,
    metric: Metric,
    plan: AnalysisPlan,
) -> ControlCheck:
    """Positive control: return whether a row that was degraded on purpose (a tenth of the steps) is
    found worse than the row."""
    name, found = "degraded row", compare(worse, row, metric=metric, plan=plan)
    if isinstance(found, Incomplete):
        return ControlCheck(name=name, passed=None, sentence=found.sentence)
    passed = None if found.primary is None else found.word == "worse"
    return ControlCheck(name=name, passed=passed, sentence=found.sentence + ".", comparison=found)


def truth_itself(truth: RowValues | Incomplete, *, metric: Metric) -> ControlCheck:
    """Return whether the ground truth scored against itself has the exact best value everywhere.

    That is 100 for a metric that is better when higher (percent), and 0 for a distance."""
    name = "ground truth against itself"
    if isinstance(truth, Incomplete):
        return ControlCheck(name=name, passed=None, sentence=truth.sentence)
    best = 100.0 if metric.higher_is_better else 0.0
    wrong = int(np.count_nonzero((truth.value_nS != best).any(axis=1)))
    return ControlCheck(
        name=name,
        passed=wrong == 0,
        sentence=(
            f"{name}: {metric.name} is exactly {best:g} in {len(truth.cases) - wrong} of "
            f"{len(truth.cases)} patients."
        ),
    )


def _names(seeds: tuple[int, ...]) -> str:
    return ", ".join(str(seed) for seed in seeds)
