"""The word of a comparison, by rule, and the one patient that it must not hang on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from benchmark.errors import BadInput
from benchmark.plan.analysis import AnalysisPlan, Metric
from benchmark.scoring.statistics.components import Interval, Primary, primary
from benchmark.scoring.statistics.layout import Floats, Integers
from benchmark.scoring.statistics.paired import equivalence, wrong_sign_probability

Word = Literal["better", "worse", "equivalent", "undecided", "values only"]


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
