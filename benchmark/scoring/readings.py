"""The fairest case for the paper: a verdict per reading, as a specification curve.

The paper does not say which norm its network has, which distance M is, nor which way M's gradient
runs. The list of readings is fixed here; xi is re-tuned in each on the inner validation patients,
with as many trials for the controls. A refutation must hold for the reading with the best inner
validation. (Specification curve: Simonsohn, Simmons & Nelson, Nature Human Behaviour 4, 2020.)
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmark.errors import BadInput
from benchmark.plan.analysis import AnalysisPlan
from benchmark.scoring.statistics.components import Interval
from benchmark.scoring.verdict import Outcome, Verdict

NETWORK_NORMS = ("none", "instance")
DISTANCES = ("relative", "rms", "exp")
GRADIENTS = ("both", "no_target")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One way to read the paper: the network's norm, the distance M, and M's gradient."""

    network_norm: str
    distance: str
    gradient: str

    @property
    def label(self) -> str:
        """The name in tables."""
        return f"norm {self.network_norm}, M {self.distance}, gradient {self.gradient}"


READINGS: tuple[Reading, ...] = tuple(
    Reading(network_norm=n, distance=d, gradient=g)
    for n, d, g in itertools.product(NETWORK_NORMS, DISTANCES, GRADIENTS)
)
"""The fixed list, twelve readings."""


@dataclass(frozen=True, kw_only=True)
class ReadingResult:
    """What one reading gave on a data set.

    `weakest` is the primary interval of the gain over the control against which it is least (None
    without intervals). `inner_validation` is the subject's mean on the inner validation
    patients, higher is better. `trials` counts the tuning trials of the subject and of each
    control, by row."""

    reading: Reading
    verdict: Verdict
    weakest: Interval | None
    inner_validation: float
    trials: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class SpecificationCurve:
    """All readings in the order of their weakest gain; those without an interval come last.

    `best` is the reading with the best inner validation; its verdict is `outcome`, or
    "incomplete" while a reading of the list is missing. `counts` says how many readings gave
    each outcome."""

    points: tuple[ReadingResult, ...]
    best: ReadingResult
    outcome: Outcome
    counts: Mapping[Outcome, int]
    missing: tuple[Reading, ...]
    sentence: str


def specification_curve(results: Sequence[ReadingResult], plan: AnalysisPlan) -> SpecificationCurve:
    """Return the curve of a data set's readings.

    Raises `BadInput` for no reading, a reading that is twice there or not on the list, and for
    unequal tuning: within a reading, the subject and every control have the same number of trials,
    and so have all readings.
    """
    _check(results, plan)
    best = max(results, key=lambda result: result.inner_validation)
    there = {result.reading for result in results}
    missing = tuple(reading for reading in READINGS if reading not in there)
    counts: dict[Outcome, int] = {}
    for result in results:
        counts[result.verdict.outcome] = counts.get(result.verdict.outcome, 0) + 1
    outcome: Outcome = "incomplete" if missing else best.verdict.outcome
    told = ", ".join(f"{n} {name}" for name, n in sorted(counts.items()))
    return SpecificationCurve(
        points=tuple(sorted(results, key=_height)),
        best=best,
        outcome=outcome,
        counts=counts,
        missing=missing,
        sentence=(
            f"{len(results)} of {len(READINGS)} readings: {told}; the reading with the best inner "
            f"validation ({best.reading.label}) is {best.verdict.outcome}; in all: {outcome}."
        ),
    )


def _height(result: ReadingResult) -> float:
    return float("inf") if result.weakest is None else result.weakest.estimate


def _check(results: Sequence[ReadingResult], plan: AnalysisPlan) -> None:
    if not results:
        raise BadInput("no reading was run: there is no specification curve")
    labels = [result.reading.label for result in results]
    for result in results:
        if result.reading not in READINGS or labels.count(result.reading.label) > 1:
            raise BadInput(f"{result.reading.label}: not on the fixed list, or there twice")
    wanted = (plan.subject, *plan.controls)
    trials = {(r.reading.label, row): r.trials.get(row, 0) for r in results for row in wanted}
    if len(set(trials.values())) > 1:
        place, least = min(trials.items(), key=lambda item: item[1])
        raise BadInput(
            f"unequal tuning: {place[1]} had {least} trials in the reading {place[0]}, others had "
            f"{max(trials.values())}; a verdict needs equal numbers"
        )
