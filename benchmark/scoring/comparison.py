"""Two rows, paired: every figure, and one word by rule."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from benchmark.plan.analysis import AnalysisPlan, Metric
from benchmark.plan.wording import counted
from benchmark.scoring.statistics.components import (
    PATIENTS_INTERVAL,
    PATIENTS_P,
    SEEDS_P,
    Components,
    Interval,
    components,
    interval,
    p_two_sided,
    rough_components,
)
from benchmark.scoring.statistics.folds import fold_excess_p
from benchmark.scoring.statistics.layout import Floats, Incomplete, Integers, RowValues, gain
from benchmark.scoring.statistics.paired import (
    Equivalence,
    equivalence,
    false_claim_probability,
    nadeau_bengio,
    probability_better,
    sign_flip_p,
    ttost_p,
    wilcoxon_p,
)
from benchmark.scoring.statistics.planning import smallest_detectable

Word = Literal["better", "worse", "equivalent", "undecided", "values only"]
PATIENTS_WARN = 50


@dataclass(frozen=True, kw_only=True)
class PatientsOnly:
    """Tests over patients that hold for "these trained networks only": sign-flip p, Wilcoxon p and
    TOST p. None under 12 patients."""

    sign_flip_p: float | None
    wilcoxon_p: float | None
    ttost_p: float | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How much better `row` is than `reference`. All figures are gains in the metric's unit:
    positive is better, for distances too.

    `primary` and all that rests on it are None under 6 patients; `p`, the equivalence p and
    `false_claim` also under 12, `p` also under 3 seeds. `better` is P(row > reference) with its
    limits. `nadeau_bengio` is a sensitivity figure, None where a fold is empty. `fold_excess_p`
    tests whether folds differ by more than runs explain; then a note warns that the primary
    interval is short.
    """

    row: str
    reference: str
    metric: Metric
    patients: int
    seeds: int
    folds: int
    mean: float
    spread: Components
    primary: Interval | None
    p: float | None
    equivalence: Equivalence | None
    nadeau_bengio: Interval | None
    these_networks: PatientsOnly
    better: tuple[float, float, float] | None
    false_claim: float | None
    smallest_detectable: float | None
    fold_excess_p: float | None
    word: Word
    notes: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The comparison in one line, made of its numbers."""
        unit, name = self.metric.unit, f"{self.row} against {self.reference}"
        if self.primary is None:
            there = counted(self.patients, "patient")
            return f"{name}: mean gain {self.mean:+z.2f} {unit}, {there}: {self.word}"
        found = self.primary
        return (
            f"{name}: {self.word} ({found.estimate:+z.2f} {unit}, {found.level:.0%} interval "
            f"{found.low:+z.2f} to {found.high:+z.2f}, margin {self.metric.margin:g})"
        )


def compare(
    row: RowValues | Incomplete,
    reference: RowValues | Incomplete,
    *,
    metric: Metric,
    plan: AnalysisPlan,
) -> Comparison | Incomplete:
    """Return the paired comparison of two rows in one metric; `Incomplete` where one is.

    Raises `BadInput` for rows that cannot be paired.
    """
    if isinstance(row, Incomplete):
        return row
    if isinstance(reference, Incomplete):
        return reference
    gain_nS = gain(row, reference, higher_is_better=metric.higher_is_better)
    missed = metric.higher_is_better and bool(
        (row.value_nS == 0).any() or (reference.value_nS == 0).any()
    )
    return compare_gain(
        gain_nS, row.fold_n, row=row.row, reference=reference.row, metric=metric, plan=plan,
        missed=missed,
    )  # fmt: skip


def compare_gain(
    gain_nS: Floats,
    fold_n: Integers,
    *,
    row: str,
    reference: str,
    metric: Metric,
    plan: AnalysisPlan,
    missed: bool = False,
) -> Comparison:
    """Return the comparison that belongs to gains of shape (n patients, S seeds).

    `missed` says that a row missed the endpoint in some patient, which a note then tells.
    """
    n, n_seeds = gain_nS.shape
    n_folds = len(np.unique(fold_n))
    primary = interval(gain_nS, fold_n, level=plan.level)
    excess = fold_excess_p(gain_nS, fold_n) if primary else None
    return Comparison(
        row=row,
        reference=reference,
        metric=metric,
        patients=n,
        seeds=n_seeds,
        folds=n_folds,
        mean=float(gain_nS.mean()),
        spread=(rough_components if primary is None else components)(gain_nS, fold_n),
        primary=primary,
        p=p_two_sided(primary) if primary and n >= PATIENTS_P and n_seeds >= SEEDS_P else None,
        equivalence=_equivalence(primary, metric, n) if primary else None,
        nadeau_bengio=_sensitivity(gain_nS, fold_n, plan) if primary else None,
        these_networks=_patients_only(gain_nS.mean(axis=1), metric, plan),
        better=_better(gain_nS, fold_n, plan) if primary else None,
        false_claim=(
            false_claim_probability(gain_nS, primary) if primary and n >= PATIENTS_P else None
        ),
        smallest_detectable=smallest_detectable(primary, power=plan.power) if primary else None,
        fold_excess_p=excess,
        word=_word(gain_nS, primary, metric, plan),
        notes=_notes(n, n_seeds, n_folds, missed, excess, plan),
    )


def word_in_family(found: Comparison, adjusted_p: float | None, *, alpha: float = 0.05) -> Word:
    """Return the comparison's word as a member of a Holm family: "better" and "worse" only with an
    adjusted p of at most `alpha`; without a p neither can be said."""
    if found.word in ("better", "worse") and (adjusted_p is None or adjusted_p > alpha):
        return "undecided"
    return found.word


def level_of(seeds: int, folds: int, planned_folds: int = 5) -> Literal["look", "screen", "claim"]:
    """Return how much a number of seeds can carry: 3 are a screen, 5 in all folds a claim, less
    is a look."""
    if seeds >= 5 and folds >= planned_folds:
        return "claim"
    return "screen" if seeds >= 3 else "look"


def _word(gain_nS: Floats, found: Interval | None, metric: Metric, plan: AnalysisPlan) -> Word:
    """Equivalence goes first: a difference inside the margin is none, however sure it is.

    Beyond the interval, "better" and "worse" need a false-claim probability of at most alpha."""
    if found is None:
        return "values only"
    if equivalence(found, metric.margin).holds:
        return "equivalent"
    if found.low > 0 and false_claim_probability(gain_nS, found) <= plan.alpha:
        return "better"
    if found.high < 0 and 1 - false_claim_probability(gain_nS, found) <= plan.alpha:
        return "worse"
    return "undecided"


def _equivalence(found: Interval, metric: Metric, patients: int) -> Equivalence:
    """Whether the interval lies within the margin; without a p where the patients are few."""
    whole = equivalence(found, metric.margin)
    return whole if patients >= PATIENTS_P else replace(whole, p=None)


def _sensitivity(gain_nS: Floats, fold_n: Integers, plan: AnalysisPlan) -> Interval | None:
    return nadeau_bengio(gain_nS, fold_n, folds=plan.folds, level=plan.level)


def _better(gain_nS: Floats, fold_n: Integers, plan: AnalysisPlan) -> tuple[float, float, float]:
    return probability_better(
        gain_nS, fold_n, level=plan.level, draws=plan.draws_bootstrap, seed=plan.draws_seed
    )


def _patients_only(gain_n: Floats, metric: Metric, plan: AnalysisPlan) -> PatientsOnly:
    if len(gain_n) < PATIENTS_P:
        return PatientsOnly(sign_flip_p=None, wilcoxon_p=None, ttost_p=None)
    return PatientsOnly(
        sign_flip_p=sign_flip_p(gain_n, seed=plan.draws_seed),
        wilcoxon_p=wilcoxon_p(gain_n),
        ttost_p=ttost_p(gain_n, metric.margin),
    )


def _notes(
    n: int, n_seeds: int, n_folds: int, missed: bool, excess: float | None, plan: AnalysisPlan
) -> tuple[str, ...]:
    notes, there = [], counted(n, "patient")
    if n < PATIENTS_INTERVAL:
        notes.append(f"{there}: values only, no interval under {PATIENTS_INTERVAL}")
    elif n < PATIENTS_P:
        notes.append(f"{there}: no p under {PATIENTS_P}")
    elif n < PATIENTS_WARN:
        notes.append(f"{there}: fewer than {PATIENTS_WARN}, read the interval with care")
    if missed and n < PATIENTS_WARN:
        notes.append("the organ was missed somewhere: with so few patients the interval is short")
    if n_seeds < SEEDS_P:
        notes.append(f"{counted(n_seeds, 'seed')}: a look, no p under {SEEDS_P}")
    if n_folds < plan.folds:
        notes.append(f"{n_folds} of {plan.folds} folds hold patients")
    if excess is not None and excess <= plan.alpha:
        notes.append(
            f"folds differ by more than their runs explain (p {excess:.2g}): the interval is short"
        )
    return tuple(notes)
