"""The paper (Song et al., ISBI 2020, arXiv 2004.03882): the numbers that it prints, and the ways to
read what it leaves open.

The printed numbers (Table 1 and text; docs/methods.md) stand beside ours in a column of their own,
never mixed with them and never an input of a test; the claims ledger takes the size of a claim from
them.

The fairest case for the paper is a verdict per reading, as a specification curve (Simonsohn,
Simmons & Nelson, Nature Human Behaviour 4, 2020). The paper does not say which norm its network
has, which distance M is, nor which way M's gradient runs. The list of readings is fixed here; xi is
re-tuned in each on the inner validation patients, with as many trials for the controls. A
refutation must hold for the reading with the best inner validation.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmark.errors import BadInput
from benchmark.plan.analysis import AnalysisPlan
from benchmark.scoring.statistics.components import Interval
from benchmark.scoring.verdict import Outcome, Verdict

IRCADB, MULTI_ORGAN = "ircadb", "multi-organ"

MARKS = {
    "?": "the last digit of the +- is cut off in our copy",
    "derived": "not printed: derived from the mean gains in the paper's text",
    "*": "92.3 +- 1.9 / 1.16 +- 1.06 belongs to one of these two rows; our copy does not say which",
}
"""What each mark beside a printed number means."""


@dataclass(frozen=True, kw_only=True)
class Printed:
    """One printed number: `mean` +- `sd` of a row on a set, DSC in percent or ASSD in mm.

    `sd` is None where none is printed; `mark` is "" or one of `MARKS`; `mean` is None where the
    number is known to exist but not which row it belongs to (mark "*")."""

    row: str
    dataset: str
    metric: str
    mean: float | None
    sd: float | None
    mark: str = ""


def _pair(
    row: str,
    dataset: str,
    dsc: tuple[float | None, float | None],
    assd: tuple[float | None, float | None],
    marks: tuple[str, str] = ("", ""),
) -> tuple[Printed, Printed]:
    return (
        Printed(row=row, dataset=dataset, metric="dsc", mean=dsc[0], sd=dsc[1], mark=marks[0]),
        Printed(row=row, dataset=dataset, metric="assd", mean=assd[0], sd=assd[1], mark=marks[1]),
    )


PRINTED: tuple[Printed, ...] = (
    *_pair("unet", IRCADB, (90.4, 2.7), (1.32, 1.2), ("", "?")),
    *_pair("shape-loss", IRCADB, (91.9, 2.1), (1.17, 1.10)),
    *_pair("param-transfer", IRCADB, (92.3, 1.9), (1.11, 0.99)),
    *_pair("joint-train", IRCADB, (90.9, 2.5), (1.27, 1.1), ("", "?")),
    *_pair("no-refine", IRCADB, (93.9, 1.7), (1.01, 1.0), ("", "?")),
    *_pair("no-noise", IRCADB, (84.2, 6.2), (1.67, 2.1), ("", "?")),
    *_pair("fsm", IRCADB, (94.6, 1.5), (0.93, 0.91)),
    *_pair("unet", MULTI_ORGAN, (90.6, None), (1.25, None), ("derived", "derived")),
    *_pair("shape-loss", MULTI_ORGAN, (None, None), (None, None), ("*", "*")),
    *_pair("param-transfer", MULTI_ORGAN, (None, None), (None, None), ("*", "*")),
    *_pair("no-refine", MULTI_ORGAN, (94.2, 1.8), (0.97, 0.96)),
    *_pair("fsm", MULTI_ORGAN, (94.8, 1.6), (0.90, 0.88)),
)
"""Every number that the paper prints. A row that is not here is not in the paper's table."""

MEAN_GAIN = {"dsc": 4.2, "assd": 0.37}
"""The paper's mean gain of its method over the U-Net, over both sets: points, and mm."""


def printed(row: str, dataset: str, metric: str) -> Printed | None:
    """Return the printed number of a row; None where the paper has none.

    `assd_penalised`, our tested column, has the paper's ASSD beside it."""
    name = metric.removesuffix("_penalised")
    for each in PRINTED:
        if (each.row, each.dataset, each.metric) == (row, dataset, name):
            return each
    return None


def printed_gain(row: str, reference: str, dataset: str, metric: str) -> float | None:
    """Return how much better the paper prints `row` than `reference` (positive is better, for
    distances too), in points or mm; None where one of the two is not printed."""
    first, second = (printed(name, dataset, metric) for name in (row, reference))
    if first is None or second is None or first.mean is None or second.mean is None:
        return None
    sign = 1.0 if metric == "dsc" else -1.0
    return round(sign * (first.mean - second.mean), 6)


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
