"""What stands beside the primary interval: tests over patients, equivalence, and the word of a
comparison, by rule, with the one patient that it must not hang on.

`sign_flip_p`, `wilcoxon_p` and `ttost_p` see patients alone. They hold for "these trained networks
only": the luck of a training is shared by a fold's patients, and they take it for a difference of
the methods (type I error of 18 to 37 % at 90 patients, docs/methods.md section 7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy import stats

from benchmark.errors import BadInput
from benchmark.plan.analysis import AnalysisPlan, Metric
from benchmark.scoring.statistics.components import (
    PATIENTS_P,
    ROUNDING,
    Interval,
    Primary,
    as_interval,
    mirrored,
    primary,
)
from benchmark.scoring.statistics.corrections import RunWeights, run_weights
from benchmark.scoring.statistics.layout import Floats, Integers

THESE_NETWORKS = "these trained networks only"
EXACT_PATIENTS = 20
EXACT_RANKS = 200
FLIPS = 10_000

Word = Literal["better", "worse", "equivalent", "undecided", "values only"]


@dataclass(frozen=True, kw_only=True)
class Equivalence:
    """Two one-sided tests against +-`margin` with the primary interval's error and degrees.

    `p`, the equivalence p, is the larger of the two one-sided p; a comparison of few patients
    leaves it out. `holds` is stricter than p <= 0.05: the whole 95 %
    interval, the one the verdict reads, lies inside the margin."""

    margin: float
    p: float | None
    holds: bool


def sign_flip_p(gain_n: Floats, *, seed: int = 0) -> float:
    """Return the two-sided sign-flip permutation p of "the mean gain is 0", one value a patient.

    Exact over all 2^n flips for n <= 20, else from 10,000 random flips, the observed one counted
    too. Raises `BadInput` for fewer than 12 values, so never five fold means.

    >>> sign_flip_p(np.ones(12)) == 2 / 2**12
    True
    """
    _check_patients(gain_n)
    n = len(gain_n)
    limit = abs(gain_n.sum()) - 1e-12 * np.abs(gain_n).sum()  # equal sums differ by rounding
    if n <= EXACT_PATIENTS:
        halves = (_signed_sums(gain_n[: n // 2]), _signed_sums(gain_n[n // 2 :]))
        return float(np.mean(np.abs(np.add.outer(*halves)) >= limit))
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), size=(FLIPS, n))
    return float((1 + np.count_nonzero(np.abs(signs @ gain_n) >= limit)) / (1 + FLIPS))


def wilcoxon_p(gain_n: Floats) -> float:
    """Return the two-sided p of Wilcoxon's signed-rank test, one value a patient.

    Zeros are left out, ties share their mean rank, and the p is exact, over all 2^m signs of the m
    others; from 200 others on it is the normal approximation's, which is the same to 6 %. (SciPy
    1.17 changes between the two by the number of patients and by whether one is zero or tied, so
    that one non-zero patient gives p 1.0 among 12 and 0.317 among 30.) 1 where all are 0. Raises
    `BadInput` for fewer than 12 values.

    >>> wilcoxon_p(np.arange(1.0, 13.0)) == 2 / 2**12
    True
    """
    _check_patients(gain_n)
    moved_m = gain_n[gain_n != 0]
    if len(moved_m) == 0:
        return 1.0
    if len(moved_m) >= EXACT_RANKS:
        return float(stats.wilcoxon(moved_m, method="approx").pvalue)
    twice_m = np.rint(2 * stats.rankdata(np.abs(moved_m))).astype(int)  # whole numbers
    ways = np.ones(1)  # by the sum of the ranks of gains, as a share of all signs
    for rank in twice_m:
        apart = np.zeros(rank)
        ways = (np.concatenate([ways, apart]) + np.concatenate([apart, ways])) / 2
    off_centre = np.abs(2 * np.arange(len(ways)) - (len(ways) - 1))
    seen = abs(2 * int(twice_m[moved_m > 0].sum()) - (len(ways) - 1))
    return min(1.0, float(ways[off_centre >= seen].sum()))


def ttost_p(gain_n: Floats, margin: float) -> float:
    """Return the TOST p of patient-wise equivalence within +-`margin` (Schuirmann 1987): the larger
    p of two one-sided t tests. Raises `BadInput` for fewer than 12 values.

    >>> gain_n = np.tile([-0.5, 0.5], 6)
    >>> ttost_p(gain_n, margin=1.0) < 0.001 < ttost_p(gain_n, margin=0.1)
    True
    """
    _check_patients(gain_n)
    if np.ptp(gain_n) == 0:
        return 0.0 if abs(float(gain_n[0])) < margin else 1.0
    above = stats.ttest_1samp(gain_n, -margin, alternative="greater").pvalue
    return float(max(above, stats.ttest_1samp(gain_n, margin, alternative="less").pvalue))


def equivalence(found: Interval, margin: float) -> Equivalence:
    """Return whether a mean lies within +-`margin`, by two one-sided t tests (Schuirmann 1987)."""
    holds = -margin < found.low and found.high < margin
    above = stats.t.sf((found.estimate + margin) / found.error, found.degrees)
    below = stats.t.cdf((found.estimate - margin) / found.error, found.degrees)
    return Equivalence(margin=margin, p=float(max(above, below)), holds=holds)


def nadeau_bengio(
    gain_nS: Floats, fold_n: Integers, *, folds: int, level: float = 0.95
) -> Interval | None:
    """Return the interval from the J = folds * seeds means of runs, variance times
    (1/J + n_test / n_train), t with J - 1 degrees (Nadeau & Bengio, Machine Learning 52, 2003).

    A sensitivity figure: no p is made of it. None where one of the `folds` folds is empty, and
    where the means do not differ: an interval of width 0 would claim too much.

    >>> found = nadeau_bengio(np.array([[1.0], [3.0]]), np.array([0, 1]), folds=2)
    >>> found.estimate, round(found.error, 3), found.degrees
    (2.0, 1.732, 1)
    """
    members = [np.flatnonzero(fold_n == fold) for fold in np.unique(fold_n)]
    if len(members) != folds or folds < 2:
        return None
    means = np.concatenate([gain_nS[each].mean(axis=0) for each in members])
    factor = 1 / len(means) + 1 / (folds - 1)
    error = float(np.sqrt(factor * means.var(ddof=1)))
    if error <= ROUNDING * float(np.abs(gain_nS).max()):
        return None
    return as_interval(float(means.mean()), error, len(means) - 1, level=level)


def probability_better(
    gain_nS: Floats, fold_n: Integers, *, level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> tuple[float, float, float]:
    """Return P(row > reference) with the limits of its bootstrap interval, each in [0, 1].

    The share of (patient, seed) pairs with a gain, half of the ties added; patients are drawn, and
    seeds within folds (Bouthillier et al., MLSys 2021, eq. 7 and appendix C).
    """
    won_nS = (gain_nS > 0) + 0.5 * (gain_nS == 0)
    weights = _seeded_weights(tuple(fold_n.tolist()), gain_nS.shape[1], draws, seed)
    drawn = weights.means(won_nS)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(won_nS.mean()), float(low), float(high)


@lru_cache(maxsize=1)  # the rows of a table share their patients, folds and seeds
def _seeded_weights(folds: tuple[int, ...], n_seeds: int, draws: int, seed: int) -> RunWeights:
    rng = np.random.default_rng(seed)
    return run_weights(np.array(folds), n_seeds, draws=draws, rng=rng)


def false_claim_probability(gain_nS: Floats, found: Interval) -> float:
    """Return the probability that "the row outperforms" is false although it looks so.

    Christodoulou et al. 2025 (arXiv 2505.04720): t_{n-1}(-sqrt(n) mean / sd) of the patients' mean
    gains. That formula does not know the luck of a training, so the larger of it and of the
    same with the primary interval's error and degrees is returned.
    """
    gain_n = gain_nS.mean(axis=1)
    published = _left_of_zero(found.estimate, stats.sem(gain_n), len(gain_n) - 1)
    return max(published, _left_of_zero(found.estimate, found.error, found.degrees))


def wrong_sign_probability(gain_nS: Floats, found: Interval) -> float:
    """Return `false_claim_probability` of the claim that the estimate's sign makes: of a gain where
    it is positive, of a loss where it is negative. Exactly the same when the rows change places."""
    if found.estimate < 0:
        return false_claim_probability(-gain_nS, mirrored(found))
    return false_claim_probability(gain_nS, found)


def _left_of_zero(estimate: float, error: float, degrees: float) -> float:
    if error == 0:
        return 0.5 if estimate == 0 else float(estimate < 0)
    return float(stats.t.cdf(-estimate / error, degrees))


def _signed_sums(value_n: Floats) -> Floats:
    """All 2^n sums of +-value."""
    sums = np.zeros(1)
    for value in value_n:
        sums = np.concatenate([sums - value, sums + value])
    return sums


def _check_patients(gain_n: Floats) -> None:
    if gain_n.ndim != 1 or len(gain_n) < PATIENTS_P:
        raise BadInput(
            f"a test needs at least {PATIENTS_P} patients, not {gain_n.shape}: fewer give no p, "
            "and five fold means never do (their least signed-rank p is 0.0625)"
        )


@dataclass(frozen=True, kw_only=True)
class OnePatient:
    """The patient that moves the mean gain most, by more than the margin: the flag `one_patient`.

    `moves` is the mean with it minus the mean without, in the metric's unit. `without` is the
    primary interval of the other patients, None where they give none."""

    case: str
    moves: float
    without: Interval | None


def primary_of(gain_nS: Floats, fold_n: Integers, plan: AnalysisPlan) -> Primary:
    """Return the primary interval of gains (n, S), or why there is none, as the plan has it."""
    return primary(gain_nS, fold_n, level=plan.level, fold_luck=plan.fold_luck)


def word_of(
    gain_nS: Floats,
    fold_n: Integers,
    found: Interval | None,
    movers: Sequence[int],
    metric: Metric,
    plan: AnalysisPlan,
) -> Word:
    """Return the word of all patients; "undecided" where it is another without one of `movers`: a
    word must not hang on one patient."""
    if found is None:
        return "values only"
    word = _by_rule(gain_nS, found, metric, plan)
    for mover in movers if word != "undecided" else ():
        others_nS, others = _without(gain_nS, fold_n, mover, plan)
        if others is None or _by_rule(others_nS, others, metric, plan) != word:
            return "undecided"
    return word


def _by_rule(gain_nS: Floats, found: Interval, metric: Metric, plan: AnalysisPlan) -> Word:
    """Equivalence goes first: a difference inside the margin is none, however sure it is.

    Beyond the interval, "better" and "worse" need a false-claim probability of at most alpha."""
    if equivalence(found, metric.margin).holds:
        return "equivalent"
    if found.low <= 0 <= found.high or wrong_sign_probability(gain_nS, found) > plan.alpha:
        return "undecided"
    return "better" if found.low > 0 else "worse"


def movers_of(gain_n: Floats, metric: Metric) -> list[int]:
    """Return the patients without whom the mean gain is another by more than the margin, as
    indices, the one that moves it most first."""
    moves_n = _moves(gain_n)
    order = np.argsort(-np.abs(moves_n), kind="stable")
    return [int(i) for i in order if abs(moves_n[i]) > metric.margin]


def _moves(gain_n: Floats) -> Floats:
    """The mean minus the mean of the others, of each patient."""
    return np.asarray((gain_n - gain_n.mean()) / (len(gain_n) - 1))


def one_patient(
    gain_nS: Floats,
    fold_n: Integers,
    cases: Sequence[str],
    movers: Sequence[int],
    plan: AnalysisPlan,
) -> OnePatient | None:
    """Return the first of `movers` with what it does; None where there is none."""
    if not movers:
        return None
    return OnePatient(
        case=cases[movers[0]],
        moves=float(_moves(gain_nS.mean(axis=1))[movers[0]]),
        without=_without(gain_nS, fold_n, movers[0], plan)[1],
    )


def _without(
    gain_nS: Floats, fold_n: Integers, patient: int, plan: AnalysisPlan
) -> tuple[Floats, Interval | None]:
    """The gains of the other patients and their interval, None where they give none."""
    others_nS, others_n = np.delete(gain_nS, patient, axis=0), np.delete(fold_n, patient)
    try:
        return others_nS, primary_of(others_nS, others_n, plan).interval
    except BadInput:  # no fold has two patients left
        return others_nS, None
