"""Two rows, paired: every figure, and one word by rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from benchmark.plan.analysis import ANALYSES, AnalysisPlan, Metric
from benchmark.plan.wording import counted, p_text
from benchmark.scoring.statistics.components import (
    PATIENTS_P,
    SEEDS_P,
    Components,
    Interval,
    p_in_family,
    p_two_sided,
)
from benchmark.scoring.statistics.corrections import fold_excess_p, smallest_detectable
from benchmark.scoring.statistics.layout import Floats, Incomplete, Integers, RowValues, gain
from benchmark.scoring.statistics.paired import (
    Equivalence,
    OnePatient,
    Word,
    equivalence,
    false_claim_probability,
    movers_of,
    nadeau_bengio,
    one_patient,
    primary_of,
    probability_better,
    sign_flip_p,
    ttost_p,
    wilcoxon_p,
    word_of,
)

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

    `primary` and all that rests on it are None where `no_interval` says why; `p`, the equivalence p
    and `false_claim` also under 12 patients, `p` also under 3 seeds. `family_p` is what Holm's
    correction takes in place of `p`. `median` is that of the
    patients' mean gains and `patients_better` how many of them are above 0: figures that a single
    failure does not move. `better` is P(row > reference) with its limits. `nadeau_bengio` is a
    sensitivity figure, None where a fold is empty. `fold_excess_p` tests whether folds differ by
    more than patients and runs explain.
    """

    row: str
    reference: str
    metric: Metric
    patients: int
    seeds: int
    folds: int
    mean: float
    median: float
    patients_better: int
    spread: Components
    primary: Interval | None
    no_interval: str
    one_patient: OnePatient | None
    p: float | None
    family_p: float | None
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
            + (f"; {self.influence}" if self.one_patient else "")
        )

    @property
    def influence(self) -> str:
        """Who moves the mean by more than the margin, and how far; "" where nobody does."""
        if self.one_patient is None:
            return ""
        return (
            f"one patient, {self.one_patient.case}, moves the gain by "
            f"{self.one_patient.moves:+z.2f} {self.metric.unit} (one_patient)"
        )


def compare(
    row: RowValues | Incomplete,
    reference: RowValues | Incomplete,
    *,
    metric: Metric,
    plan: AnalysisPlan,
    of_folds: int | None = None,
) -> Comparison | Incomplete:
    """Return the paired comparison of two rows in one metric; `Incomplete` where one is. Their
    split has `of_folds` folds (None: as many as the plan).

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
    names = {"row": row.row, "reference": reference.row}
    found = compare_gain(
        gain_nS, row.fold_n, cases=row.cases, metric=metric, plan=plan, missed=missed, **names
    )
    if found.folds < (count := plan.folds if of_folds is None else of_folds):
        lacks = f"{found.folds} of {count} folds hold patients"
        found = replace(found, notes=(*found.notes, lacks))
    return found


def compare_gain(
    gain_nS: Floats,
    fold_n: Integers,
    *,
    cases: Sequence[str],
    row: str,
    reference: str,
    metric: Metric,
    plan: AnalysisPlan,
    missed: bool = False,
) -> Comparison:
    """Return the comparison that belongs to gains of shape (n patients, S seeds) of `cases`.

    `missed` says that a row missed the endpoint in some patient, which a note then tells.
    """
    n, n_seeds = gain_nS.shape
    gain_n = gain_nS.mean(axis=1)
    whole = primary_of(gain_nS, fold_n, plan)
    primary = whole.interval
    tested = primary if n >= PATIENTS_P and n_seeds >= SEEDS_P else None
    n_folds = len(np.unique(fold_n))
    movers = movers_of(gain_n, metric) if primary else []
    found = Comparison(
        row=row,
        reference=reference,
        metric=metric,
        patients=n,
        seeds=n_seeds,
        folds=n_folds,
        mean=float(gain_nS.mean()),
        median=float(np.median(gain_n)),
        patients_better=int(np.count_nonzero(gain_n > 0)),
        spread=whole.spread,
        primary=primary,
        no_interval=whole.why_not,
        one_patient=one_patient(gain_nS, fold_n, cases, movers, plan),
        p=p_two_sided(tested) if tested else None,
        family_p=_family_p(tested, n_folds, plan) if tested else None,
        these_networks=_patients_only(gain_n, metric, plan),
        word=word_of(gain_nS, fold_n, primary, movers, metric, plan),
        notes=(),
        **_beside(gain_nS, fold_n, primary, metric, plan),
    )
    notes = [*_notes(found, missed, plan), *_version_notes(gain_nS, fold_n, plan)]
    return replace(found, notes=tuple(notes))


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


def _beside(
    gain_nS: Floats,
    fold_n: Integers,
    found: Interval | None,
    metric: Metric,
    plan: AnalysisPlan,
) -> dict[str, Any]:
    """The figures that stand beside the primary interval, each None without one."""
    n = len(fold_n)
    if found is None:
        beside = "equivalence nadeau_bengio better false_claim smallest_detectable fold_excess_p"
        return dict.fromkeys(beside.split())
    return {
        "equivalence": _equivalence(found, metric, n),
        "nadeau_bengio": _sensitivity(gain_nS, fold_n, plan),
        "better": _better(gain_nS, fold_n, plan),
        "false_claim": false_claim_probability(gain_nS, found) if n >= PATIENTS_P else None,
        "smallest_detectable": smallest_detectable(found, margin=metric.margin, power=plan.power),
        "fold_excess_p": fold_excess_p(gain_nS, fold_n),
    }


def _family_p(found: Interval, folds: int, plan: AnalysisPlan) -> float:
    return p_in_family(found, folds) if plan.fold_luck else p_two_sided(found)


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


def _notes(found: Comparison, missed: bool, plan: AnalysisPlan) -> list[str]:
    n, there = found.patients, counted(found.patients, "patient")
    notes = [found.no_interval] if found.no_interval else []
    if found.primary and n < PATIENTS_P:
        notes.append(f"{there}: no p under {PATIENTS_P}")
    elif found.primary and n < PATIENTS_WARN:
        notes.append(f"{there}: fewer than {PATIENTS_WARN}, read the interval with care")
    if missed and n < PATIENTS_WARN:
        notes.append("the organ was missed somewhere: with so few patients the interval is short")
    if found.seeds < SEEDS_P:
        notes.append(f"{counted(found.seeds, 'seed')}: a look, no p under {SEEDS_P}")
    excess = found.fold_excess_p
    if found.primary and excess is not None and excess <= plan.alpha:
        notes.append(
            f"folds differ by more than patients and runs explain (p {p_text(excess)}): "
            + (
                f"the interval counts it, with {found.primary.degrees:.1f} degrees of freedom"
                if plan.fold_luck
                else "the interval is short"
            )
        )
    return notes


def _version_notes(gain_nS: Floats, fold_n: Integers, plan: AnalysisPlan) -> list[str]:
    """Of a plan that was made with an earlier analysis: what the present one would give."""
    newest = max(ANALYSES)
    if plan.version == newest:
        return []
    other = primary_of(gain_nS, fold_n, replace(plan, version=newest))
    found = other.interval
    limits = f"{found.low:+z.2f} to {found.high:+z.2f}" if found else other.why_not
    return [f"planned with {ANALYSES[plan.version]}; by {ANALYSES[newest]}: {limits}"]
