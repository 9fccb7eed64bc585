"""Looks at a space before the first trial: its parameters, and whether every corner is allowed."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import RandomSampler
from optuna.trial import FixedTrial

from benchmark.errors import BadInput
from benchmark.settings.resolve import Setting
from sweeps.spaces import Sweep

LOOKS = 16  # random draws, to find parameters that depend on others
NEAR = 0.02  # of a parameter's range counts as its edge
BEYOND = 0.1  # of the range: how far out we look whether there is anything

Resolve = Callable[[Mapping[str, Any]], Setting]


def parameters(sweep: Sweep) -> dict[str, BaseDistribution]:
    """Return the parameters of a space and their ranges. Raises `BadInput` for a space that fails
    or has none."""
    found: dict[str, BaseDistribution] = {}
    for trial in _draws():
        sweep.overrides(trial)
        found |= trial.distributions
    if not found:
        raise BadInput(f"the space {sweep.name!r} suggests no parameter")
    return found


def check_space(sweep: Sweep, distributions: Mapping[str, BaseDistribution], to: Resolve) -> None:
    """Build the setting at every edge of every parameter. Raises `BadInput` for one that a field
    of the row does not allow, so that it does not show in the middle of a sweep."""
    drawn: dict[str, dict[str, Any]] = {}  # by parameter, the first draw that has it
    anything: dict[str, Any] = {}
    for trial in _draws():
        sweep.overrides(trial)
        anything |= trial.params
        drawn |= {name: trial.params for name in trial.params if name not in drawn}
    for name, params in drawn.items():
        for value in _edges(distributions[name]):
            # another choice may ask for parameters that this draw lacks
            corner = FixedTrial({**anything, **params, name: value})
            try:
                to(sweep.overrides(corner))
            except BadInput as error:
                raise BadInput(
                    f"the sweep {sweep.name!r} reaches {name} = {value}: {error}"
                ) from error


def at_the_edge(
    sweep: Sweep,
    params: Mapping[str, Any],
    distributions: Mapping[str, BaseDistribution],
    to: Resolve,
) -> list[str]:
    """Return a warning for each parameter whose value lies at an edge of the space, where the
    field itself would allow more."""
    lines = []
    for name, value in params.items():
        edge = _near(value, distributions[name])
        if edge and _allowed(sweep, params, name, _outside(distributions[name], edge), to):
            lines.append(
                f"the best {name} = {value:.3g} lies at the {edge} edge of the space: "
                "a wider one may hold a better value"
            )
    return lines


def _draws() -> Iterator[optuna.Trial]:
    """A few trials of a study in memory; the first shows all that is not conditional."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    for _ in range(LOOKS):
        yield study.ask()


def _edges(distribution: Any) -> tuple[Any, ...]:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    return (distribution.low, distribution.high)


def _near(value: Any, distribution: Any) -> str:
    if isinstance(distribution, CategoricalDistribution) or distribution.single():
        return ""
    share = _share(value, distribution)
    return "lower" if share <= NEAR else "upper" if share >= 1 - NEAR else ""


def _share(value: float, distribution: Any) -> float:
    """Where a value lies between the ends of its range, on its own scale."""
    low, high = float(distribution.low), float(distribution.high)
    if distribution.log:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def _outside(distribution: Any, edge: str) -> Any:
    low, high = distribution.low, distribution.high
    if distribution.log:
        factor = (high / low) ** BEYOND
        value = low / factor if edge == "lower" else high * factor
    else:
        value = low - BEYOND * (high - low) if edge == "lower" else high + BEYOND * (high - low)
    whole = type(distribution).__name__ == "IntDistribution"
    return (low - 1 if edge == "lower" else high + 1) if whole else value


def _allowed(sweep: Sweep, params: Mapping[str, Any], name: str, value: Any, to: Resolve) -> bool:
    """Whether the field takes a value outside the space."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna says that the value is outside, as we know
        try:
            to(sweep.overrides(FixedTrial({**params, name: value})))
        except BadInput:
            return False
    return True
