"""The rule that says whether a response exceeds run noise, on planted responses."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from sweeps.summary import judge, run_variance

FOLDS = ("0", "1", "2", "3", "4")


def planted(height: float, noise_sd: float, seed: int) -> tuple[list[float], Any, Any]:
    """Trials over a peak of `height` points (0: flat), and repeats of the best and the default.
    Every training has its own run noise."""
    chance = random.Random(seed)

    def fold_values(true: float) -> dict[str, float]:
        return {fold: true + chance.gauss(0, noise_sd) for fold in FOLDS}

    places = [chance.uniform(-1, 1) for _ in range(12)]
    true = [80 + height * math.exp(-8 * x * x) for x in places]
    trials = [sum(fold_values(value).values()) / len(FOLDS) for value in true]
    best = true[trials.index(max(trials))]
    repeats = [{s: fold_values(value) for s in (1, 2)} for value in (best, 80)]
    return trials, repeats[0], repeats[1]


def verdicts(height: float) -> list[bool | None]:
    found = []
    for seed in range(40):
        trials, best, default = planted(height, 0.8, seed)
        found.append(judge(trials, best, default, seeds_per_trial=1, same=False).exceeds)
    return found


def test_a_flat_response_is_called_flat() -> None:
    """By a test at the level of 5 %: 2 of 40 are expected to be called otherwise."""
    assert verdicts(0).count(True) <= 5
    trials, best, default = planted(0, 0.8, 0)
    found = judge(trials, best, default, seeds_per_trial=1, same=False)
    assert found.sentence.startswith("The response is flat within run noise: 12 settings differ by")
    assert "is not shown to be better than the default" in found.sentence


def test_a_response_is_not_called_flat() -> None:
    assert verdicts(4).count(True) >= 38
    trials, best, default = planted(4, 0.8, 0)
    found = judge(trials, best, default, seeds_per_trial=1, same=False)
    assert found.sentence.startswith("The response exceeds run noise: 12 settings differ by")
    assert "the best setting is better than the default (+" in found.sentence
    assert found.low is not None and found.low > 0


def test_the_winners_value_does_not_count_for_itself() -> None:
    """The gain comes from fresh seeds alone: a lucky trial changes nothing in it."""
    trials, best, default = planted(0, 0.8, 3)
    plain = judge(trials, best, default, seeds_per_trial=1, same=False)
    lucky = judge([*trials, 99.0], best, default, seeds_per_trial=1, same=False)
    assert plain.gain == lucky.gain and plain.gain is not None and abs(plain.gain) < 2


def test_without_any_noise() -> None:
    same = {1: {"0": 80.0}, 2: {"0": 80.0}}
    assert judge([80.0, 80.0], same, same, seeds_per_trial=1, same=False).exceeds is False
    assert judge([80.0, 81.0], same, same, seeds_per_trial=1, same=False).exceeds is True


@pytest.mark.parametrize(
    "trials, seeds", [([80.0], 2), ([80.0, 81.0], 1), ([80.0, 81.0], 0), ([], 2)]
)
def test_what_is_not_known_is_said(trials: list[float], seeds: int) -> None:
    repeats = {seed: {"0": 80.0 + seed} for seed in range(seeds)}
    found = judge(trials, repeats, repeats, seeds_per_trial=1, same=False)
    assert found.exceeds is None and "not known" in found.sentence


def test_best_is_the_default() -> None:
    repeats = {1: {"0": 80.0, "1": 70.0}, 2: {"0": 81.0, "1": 70.0}}
    found = judge([60.0, 80.0], repeats, repeats, seeds_per_trial=1, same=True)
    assert found.gain is None and "the best setting is the default" in found.sentence
    assert found.noise == pytest.approx(math.sqrt(0.25 / 2))  # one group, not twice the same


def test_run_variance_is_within_settings_and_folds() -> None:
    one = {1: {"0": 80.0, "1": 60.0}, 2: {"0": 82.0, "1": 60.0}}
    other = {1: {"0": 10.0, "1": 20.0}, 2: {"0": 10.0, "1": 20.0}}
    assert run_variance([one, other]) == (pytest.approx(2.0 / 4), 4)
