"""Optuna's samplers with every argument pinned, seeded by a trial's place in the sweep.

The place, not the clock or the process, decides the random numbers: a sequential sweep that was
killed and resumed asks for the same settings as one that was left alone.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GridSampler, QMCSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from benchmark.plan.keys import digest

SAMPLERS = ("tpe", "grid", "random", "qmc")
STARTUP = 10  # random trials before TPE has something to go by


def make_sampler(
    name: str, seed: int, distributions: Mapping[str, BaseDistribution], trials: int
) -> BaseSampler:
    """Return a sampler; `distributions` and `trials` are what a grid is made of."""
    points = grid(distributions, trials) if name == "grid" else {}

    def one(place: int) -> BaseSampler:
        own = int(digest([seed, place])[:8], 16)
        if name == "grid":
            return GridSampler(points, seed=seed)
        if name == "qmc":
            return _qmc(seed, own)
        if name == "random":
            return RandomSampler(seed=own)
        return TPESampler(
            n_startup_trials=STARTUP,
            n_ei_candidates=24,
            gamma=None,
            multivariate=True,
            group=False,
            constant_liar=True,
            seed=own,
        )

    return _ByPlace(one)


def _qmc(seed: int, own: int) -> BaseSampler:
    """A scrambled Sobol sequence, the same for all trials; its first trial is random."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # said since Optuna 3.0
        return QMCSampler(
            qmc_type="sobol",
            scramble=True,
            seed=seed,
            independent_sampler=RandomSampler(seed=own),
            warn_independent_sampling=False,
            warn_asynchronous_seeding=False,
        )


def grid(distributions: Mapping[str, BaseDistribution], trials: int) -> dict[str, list[Any]]:
    """Return a grid of at most `trials` points: every choice of a categorical, and the other
    parameters evenly (on their own scale), at least two values each."""
    numeric = [n for n, d in distributions.items() if not isinstance(d, CategoricalDistribution)]
    choices = math.prod(
        len(d.choices) for d in distributions.values() if isinstance(d, CategoricalDistribution)
    )
    each = int((trials / choices) ** (1 / len(numeric)) + 1e-9) if numeric else 0
    return {name: _points(d, max(2, each)) for name, d in distributions.items()}


def grid_size(distributions: Mapping[str, BaseDistribution], trials: int) -> int:
    """Return how many points the grid has."""
    return math.prod(len(points) for points in grid(distributions, trials).values())


def place_of(trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> int:
    """Return how many trials before this one count. One that failed was taken up by another."""
    return sum(t.number < trial.number and t.state != TrialState.FAIL for t in trials)


def at_share(distribution: Any, share: float) -> float:
    """Return the value at a share of a range, on its own scale: 0 its lower end, 1 its upper, and
    beyond these what lies outside."""
    low, high = float(distribution.low), float(distribution.high)
    if distribution.log:
        return math.exp(math.log(low) + share * math.log(high / low))
    return low + share * (high - low)


def _points(distribution: Any, count: int) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    low, high = float(distribution.low), float(distribution.high)
    values = [at_share(distribution, index / (count - 1)) for index in range(count)]
    inside = [min(high, max(low, value)) for value in values]
    if distribution.step is not None:
        step = distribution.step
        inside = [low + round((value - low) / step) * step for value in inside]
    is_whole = type(distribution).__name__ == "IntDistribution"
    return list(dict.fromkeys(round(v) if is_whole else v for v in inside))


class _ByPlace(BaseSampler):
    """Passes everything on to a sampler of its own for each trial. A trial that is taken up again
    has its parameters already and draws nothing."""

    def __init__(self, make: Any) -> None:
        self._make = make
        self._made: tuple[int, BaseSampler] | None = None

    def _of(self, study: Study, trial: FrozenTrial) -> BaseSampler:
        if self._made is None or self._made[0] != trial.number:
            place = place_of(trial, study.get_trials(deepcopy=False))
            self._made = trial.number, self._make(place)
        return self._made[1]

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Let it prepare."""
        self._of(study, trial).before_trial(study, trial)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return what it wants to draw at once."""
        if trial.params:
            return {}
        return self._of(study, trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return what it draws at once."""
        if trial.params:
            return {}
        return self._of(study, trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Return what it draws for one parameter."""
        sampler = self._of(study, trial)
        return sampler.sample_independent(study, trial, param_name, param_distribution)
