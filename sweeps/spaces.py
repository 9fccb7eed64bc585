"""Spaces: each a function of an Optuna trial that returns overrides, as `--set` takes them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import BadInput

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

GROUP = "beyond_loss.sweeps"
LEVELS = (-1, -2, -3)  # of a network, from the bottom upwards
Overrides = Mapping[str, Any]
Space = Callable[["BaseTrial"], Overrides]


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
            return dict(self.space(trial))
        except Exception as error:
            why = f"{type(error).__name__}: {error}".splitlines()[0]
            raise BadInput(f"the space {self.name!r} fails with {why}") from error


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
        known = ", ".join([*OURS, *sorted(installed)])
        raise BadInput(f"no sweep {name!r}: the sweeps are {known}, or give FILE.py:FUNCTION")
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
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        raise BadInput(f"{path} fails with {why}") from error
    space = getattr(module, function, None)
    if not callable(space):
        raise BadInput(f"{path} has no function {function!r}: give FILE.py:FUNCTION")
    found: Space = space
    return found
