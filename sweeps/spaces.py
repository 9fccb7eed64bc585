"""Spaces: each a function of an Optuna trial that returns overrides, as `--set` takes them; and a
look at one before the first trial: its parameters, and whether every corner is allowed."""

from __future__ import annotations

import importlib.util
import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, cast

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import RandomSampler
from optuna.trial import BaseTrial, FixedTrial

from benchmark.errors import BadInput, near
from benchmark.settings.resolve import Setting
from sweeps.samplers import at_share

GROUP = "beyond_loss.sweeps"
LEVELS = (-1, -2, -3)  # of a network, from the bottom upwards
Overrides = Mapping[str, Any]
Space = Callable[[BaseTrial], Overrides]
KEPT = (type(None), bool, int, float, str)  # choices that Optuna's storages keep as they are
LOOKS = 16  # random draws, to find parameters that depend on others
NEAR = 0.02  # of a parameter's range counts as its edge
BEYOND = 0.1  # of the range: how far out we look whether there is anything

Resolve = Callable[[Mapping[str, Any]], Setting]


def xi(trial: BaseTrial) -> Overrides:
    """Return the weight of M in stage 2, on a log scale around the paper's 0.3."""
    return {"xi": three_digits(trial.suggest_float("xi", 0.01, 10.0, log=True))}


def noise(trial: BaseTrial) -> Overrides:
    """Return p, the share of foreground that N_GT does not see."""
    return {"noise": three_digits(trial.suggest_float("noise", 0.0, 0.9))}


def taps(trial: BaseTrial) -> Overrides:
    """Return one pair of tapped levels: of N_CT and of N_GT."""
    levels = [trial.suggest_categorical(f"taps.{net}", LEVELS) for net in ("ct", "gt")]
    return {"taps": [levels]}


def joint(trial: BaseTrial) -> Overrides:
    """Return all three."""
    return {**xi(trial), **noise(trial), **taps(trial)}


OURS: dict[str, Space] = {"xi": xi, "noise": noise, "taps": taps, "joint": joint}


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A named space."""

    name: str
    space: Space

    def overrides(self, trial: BaseTrial) -> dict[str, Any]:
        """Return what the space says for a trial. Raises `BadInput` where it fails: it may be
        anybody's code."""
        try:
            return dict(self.space(cast(BaseTrial, _Keeping(trial))))
        except BadInput:
            raise
        except Exception as error:
            raise BadInput(f"the space {self.name!r} fails with {_first_line(error)}") from error


class _Keeping:
    """A trial whose choices a storage gives back as they were.

    Optuna keeps None, truth values, numbers and text; a tuple comes back as a list, which it takes
    for another choice. So any other choice is kept as its JSON text, and the space is given the
    choice itself.
    """

    def __init__(self, trial: BaseTrial) -> None:
        self._trial = trial

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trial, name)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return one of the choices. Raises `BadInput` for one that no storage can keep."""
        own = {_as_text(name, c): c for c in choices if not isinstance(c, KEPT)}
        kept = [c if isinstance(c, KEPT) else _as_text(name, c) for c in choices]
        chosen = self._trial.suggest_categorical(name, kept)
        return own.get(chosen, chosen) if isinstance(chosen, str) else chosen


def _as_text(name: str, choice: Any) -> str:
    try:
        return json.dumps(choice)
    except (TypeError, ValueError) as error:
        raise BadInput(
            f"the parameter {name!r} has the choice {choice!r}, which no study can keep: give "
            "None, True, False, numbers, text, or tuples and lists of these"
        ) from error


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def three_digits(value: float) -> float:
    """Return a value as a person would write it down: `fsm[xi=0.306]`."""
    return float(f"{value:.3g}")


def find_sweep(name: str) -> Sweep:
    """Return one of our sweeps, an installed package's, or that of a file: `FILE.py` (its function
    `space`) or `FILE.py:FUNCTION`. Raises `BadInput` with the known names."""
    path, _, function = name.rpartition(":") if ".py:" in name else (name, "", "")
    if path.endswith(".py"):
        space = _from_file(Path(path), function or "space")
        return Sweep(name=function or Path(path).stem, space=space)
    installed = {point.name: point for point in entry_points(group=GROUP)}
    if name in OURS:
        return Sweep(name=name, space=OURS[name])
    if name not in installed:
        names = [*OURS, *sorted(installed)]
        known = f"{near(name, names)}the sweeps are {', '.join(names)}"
        raise BadInput(f"no sweep {name!r}: {known}, or give FILE.py:FUNCTION")
    try:
        return Sweep(name=name, space=installed[name].load())
    except Exception as error:
        raise BadInput(f"the sweep {name!r} cannot be loaded: {error}") from error


def _from_file(path: Path, function: str) -> Space:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise BadInput(f"no file {path}: a space of your own is FILE.py:FUNCTION")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise BadInput(f"{path} fails with {_first_line(error)}") from error
    space = getattr(module, function, None)
    if not callable(space):
        raise BadInput(f"{path} has no function {function!r}: give FILE.py:FUNCTION")
    found: Space = space
    return found


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


def drawn_params(sweep: Sweep) -> Iterator[dict[str, Any]]:
    """Yield the parameters of a few random draws from a space. Raises `BadInput` where it fails."""
    for trial in _draws():
        sweep.overrides(trial)
        yield trial.params


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
    is_low = edge == "lower"
    if isinstance(distribution, IntDistribution):
        return distribution.low - 1 if is_low else distribution.high + 1
    return at_share(distribution, -BEYOND if is_low else 1 + BEYOND)


def _allowed(sweep: Sweep, params: Mapping[str, Any], name: str, value: Any, to: Resolve) -> bool:
    """Whether the field takes a value outside the space."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna says that the value is outside, as we know
        try:
            to(sweep.overrides(FixedTrial({**params, name: value})))
        except BadInput:
            return False
    return True
