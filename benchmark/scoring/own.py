"""A metric of one's own: a pure function of two masks, with what a table must know of it.

    def measure(truth_ZYX, predicted_ZYX, spacing_mm, organ) -> float

Both masks are boolean, canonical (Z to the head, Y to the back, X to the left) and cut to the crop
box where the case has one; `spacing_mm` is (z, y, x); `organ` is the data set's own name of it.

What a case gives where a mask is empty is declared beside the function, one rule for each state:

| rule          | what is stored                                                        |
|---------------|-----------------------------------------------------------------------|
| a number      | that number                                                           |
| `"undefined"` | nan: the case is in no mean of this metric                            |
| `"diagonal"`  | the diagonal of the whole volume in mm, as `assd_penalised` has it    |
| `"function"`  | what the function says of the two masks, one or both of them empty    |

A metric whose rule for `missed` is `"undefined"` is shown, and tested only where no row missed an
organ: else missing one more organ could improve a mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from benchmark.errors import BadInput
from benchmark.scoring.cases import Box, Label, Score
from benchmark.scoring.overlap import Mask, State, state_of

Spacing = tuple[float, float, float]
Measure = Callable[[Mask, Mask, Spacing, str], float]
Rule = float | Literal["undefined", "diagonal", "function"]
WORDS = ("undefined", "diagonal", "function")
LONGEST_UNIT = 20
AS_PERFECT = 1e-6  # how far rounding may carry a value beyond the perfect one


@dataclass(frozen=True, kw_only=True)
class OwnMetric:
    """A metric of one's own. `perfect` is its value for two equal masks that are not empty.

    `margin` is the largest difference, in `unit`, that counts as none; it is fixed before a result
    is seen. `missed`, `false_alarm` and `both_empty` are the rules above. A `symmetric` metric has
    the same value when truth and prediction change places. Raises `BadInput` for what is none.
    """

    measure: Measure
    unit: str
    higher_is_better: bool
    perfect: float
    margin: float
    about: str
    missed: Rule
    false_alarm: Rule = "undefined"
    both_empty: Rule = "undefined"
    symmetric: bool = False

    def __post_init__(self) -> None:
        if not callable(self.measure) or not hasattr(self.measure, "__qualname__"):
            raise BadInput("measure must be a function at the top of a module")
        if not isinstance(self.unit, str) or not 0 < len(self.unit) <= LONGEST_UNIT:
            raise BadInput(f"unit must be a word of 1 to {LONGEST_UNIT} letters, not {self.unit!r}")
        if not isinstance(self.about, str) or not self.about.endswith("."):
            raise BadInput(f"about must be a sentence that ends in '.', not {self.about!r}")
        for name in ("higher_is_better", "symmetric"):
            if not isinstance(getattr(self, name), bool):
                raise BadInput(f"{name} must be True or False, not {getattr(self, name)!r}")
        if not _is_number(self.perfect):
            raise BadInput(f"perfect must be a finite number, not {self.perfect!r}")
        if not _is_number(self.margin) or self.margin <= 0:
            raise BadInput(f"margin must be a number above 0, not {self.margin!r}")
        for name in ("missed", "false_alarm", "both_empty"):
            rule = getattr(self, name)
            if rule not in WORDS and not _is_number(rule):
                known = ", ".join(WORDS)
                raise BadInput(f"{name} must be a finite number or one of {known}, not {rule!r}")

    def rule(self, state: State) -> Rule:
        """Return the rule of a state; of "overlap" it is "function"."""
        rules: dict[State, Rule] = {
            "overlap": "function",
            "missed": self.missed,
            "false_alarm": self.false_alarm,
            "both_empty": self.both_empty,
        }
        return rules[state]

    def values(self) -> dict[str, object]:
        """Return all that is declared but for the function, as plain values."""
        named = {name: value for name, value in vars(self).items() if name != "measure"}
        return {**named, "measure": f"{self.measure.__module__}.{self.measure.__qualname__}"}


def _is_number(value: object) -> bool:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return number and math.isfinite(float(value))  # type: ignore[arg-type]


def own_scores(
    name: str,
    metric: OwnMetric,
    truth_ZYX: Label,
    predicted_ZYX: Label,
    *,
    spacing_mm: Spacing,
    organs: Sequence[str],
    annotated: Collection[str],
    box: Box | None = None,
    unknown_ZYX: Mask | None = None,
) -> list[Score]:
    """Return one Score of the metric per annotated organ, in the order of `organs`.

    Maps, box and organs are as in `score_case`; a voxel of `unknown_ZYX` (of which nobody said what
    is there) is in neither mask. Raises `BadInput`, naming metric and organ, where
    the function raises, gives what is no finite number in a state whose rule asks it, or what is
    better than `perfect`.
    """
    if truth_ZYX.shape != predicted_ZYX.shape:
        raise BadInput(
            f"{name}: truth has shape {truth_ZYX.shape}, predicted {predicted_ZYX.shape}"
        )
    diagonal_mm = math.hypot(*(n * mm for n, mm in zip(truth_ZYX.shape, spacing_mm, strict=True)))
    maps = [truth_ZYX, predicted_ZYX]
    if unknown_ZYX is not None:
        maps = [np.where(unknown_ZYX, np.uint8(0), each) for each in maps]
    truth_ZYX, predicted_ZYX = maps if box is None else (each[box] for each in maps)
    scores = []
    for number, organ in enumerate(organs, start=1):
        if organ in annotated:
            truth, predicted = truth_ZYX == number, predicted_ZYX == number
            voxels = int(np.count_nonzero(truth))
            state = state_of(voxels, int(np.count_nonzero(predicted)))
            if (value := _by_rule(metric.rule(state), diagonal_mm)) is None:
                value = measured(name, metric, truth, predicted, spacing_mm, organ)
                _check_order(name, metric, value, organ)
            about = {"organ": organ, "metric": name, "unit": metric.unit}
            scores.append(Score(**about, state=state, value=value, n_voxels_true=voxels))
    return scores


def _check_order(name: str, metric: OwnMetric, value: float, organ: str) -> None:
    """Raise `BadInput` for a value beyond the perfect one: of a signed metric neither a mean nor a
    gain says what is better."""
    beyond = value - metric.perfect if metric.higher_is_better else metric.perfect - value
    if beyond > AS_PERFECT * max(1.0, abs(metric.perfect)):
        raise BadInput(
            f"the metric {name} gives {value:g} for {organ}, better than equal masks "
            f"({metric.perfect:g}): where a perfect value lies between too low and too high, "
            "measure the distance from it"
        )


def _by_rule(rule: Rule, diagonal_mm: float) -> float | None:
    """What a rule gives; None where the function is asked."""
    if isinstance(rule, str):
        return {"undefined": math.nan, "diagonal": diagonal_mm}.get(rule)
    return float(rule)


def measured(
    name: str, metric: OwnMetric, truth: Mask, predicted: Mask, spacing_mm: Spacing, organ: str
) -> float:
    """Return what the function says of two masks; it is given copies. Raises `BadInput` where it
    raises, and where it gives what is no finite number."""
    try:
        value = metric.measure(truth.copy(), predicted.copy(), spacing_mm, organ)
    except (Exception, SystemExit) as error:  # somebody's own code may raise anything
        cause = " ".join(f"{type(error).__name__}: {error}".split())
        raise BadInput(f"the metric {name} fails on {organ}: {cause}") from error
    if not _is_number(value):
        raise BadInput(
            f"the metric {name} gives {value!r} for {organ}, which is not a finite number: for an "
            "empty mask declare a rule"
        )
    return float(value)
