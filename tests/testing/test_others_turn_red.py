"""The conformance checks of metrics, data sets and spaces catch what they are for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from optuna.trial import BaseTrial

from benchmark.data.volume import Volume
from benchmark.errors import BadInput
from benchmark.scoring.own import OwnMetric
from benchmark.testing import MetricConformance, SourceConformance, TinySource, tiny_volume
from sweeps.conformance import SpaceConformance

Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]
calls: list[int] = []


def error(truth: Mask, predicted: Mask, spacing: Spacing, organ: str) -> float:
    """Wrong voxels in percent of the true ones: a good metric, and not symmetric."""
    return 100.0 * float(np.sum(truth ^ predicted)) / float(np.sum(truth))


def draws(truth: Mask, predicted: Mask, spacing: Spacing, organ: str) -> float:
    np.random.random()
    return error(truth, predicted, spacing, organ)


def counts(truth: Mask, predicted: Mask, spacing: Spacing, organ: str) -> float:
    calls.append(1)
    return error(truth, predicted, spacing, organ) * len(calls)


def writes(truth: Mask, predicted: Mask, spacing: Spacing, organ: str) -> float:
    found = error(truth, predicted, spacing, organ)
    predicted[:] = False
    return found


def undefined(truth: Mask, predicted: Mask, spacing: Spacing, organ: str) -> float:
    return error(truth, predicted, spacing, organ) if (truth & predicted).any() else math.nan


def knows_one_organ(truth: Mask, predicted: Mask, spacing: Spacing, organ: str) -> float:
    return {"liver": 1.0}[organ] * error(truth, predicted, spacing, organ)


def always(truth: Mask, predicted: Mask, spacing: Spacing, organ: str) -> float:
    return 0.0


GOOD = OwnMetric(
    measure=error, unit="percent", higher_is_better=False, perfect=0.0, margin=1.0,
    about="Wrong voxels.", missed="function",
)  # fmt: skip

NAMELESS = replace(GOOD, measure=lambda *given: error(*given))


class Metrics(MetricConformance):
    __test__ = False
    metrics: ClassVar = {
        "good": GOOD,
        "draws": replace(GOOD, measure=draws),
        "counts": replace(GOOD, measure=counts),
        "writes": replace(GOOD, measure=writes),
        "undefined": replace(GOOD, measure=undefined),
        "knows-one-organ": replace(GOOD, measure=knows_one_organ),
        "always": replace(GOOD, measure=always),
        "wrong-way": replace(GOOD, higher_is_better=True),
        "other-perfect": replace(GOOD, perfect=1.0),
        "symmetric": replace(GOOD, symmetric=True),
        "lambda": NAMELESS,
        "false-alarm": replace(GOOD, false_alarm="function"),
        "dsc": GOOD,
    }


CHECKS = [name for name in dir(Metrics) if name.startswith("test_")]


def test_a_good_metric_passes() -> None:
    for check in CHECKS:
        if "symmetric" not in check:
            getattr(Metrics(), check)("good")
    with pytest.raises(pytest.skip.Exception):
        Metrics().test_it_is_symmetric_where_it_says_so("good")


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
@pytest.mark.parametrize(
    ("name", "check", "said"),
    [
        ("draws", "test_it_is_a_pure_function", "global random state"),
        ("counts", "test_it_is_a_pure_function", "another value the second time"),
        ("writes", "test_it_is_a_pure_function", "it changes a mask"),
        ("undefined", "test_every_value_is_finite", "not a finite number"),
        ("knows-one-organ", "test_every_value_is_finite", "KeyError"),
        ("always", "test_nothing_is_better_than_perfect", "perfect for any two masks"),
        ("wrong-way", "test_nothing_is_better_than_perfect", "better than equal masks"),
        ("other-perfect", "test_equal_masks_are_perfect", "not 1.0"),
        ("symmetric", "test_it_is_symmetric_where_it_says_so", "a smaller block"),
        ("lambda", "test_it_can_be_installed", "at the top of a module"),
        ("dsc", "test_it_can_be_installed", "built-in metric"),
        ("false-alarm", "test_empty_masks_go_by_the_rule", "false-alarm fails|not a finite number"),
    ],
)
def test_a_bad_metric_is_caught(name: str, check: str, said: str) -> None:
    with pytest.raises((AssertionError, BadInput), match=said):
        getattr(Metrics(), check)(name)


class Shifts(TinySource):
    """A source whose volumes are others each time."""

    times: ClassVar[list[int]] = []

    def volumes(self) -> Iterator[Volume]:
        self.times.append(1)
        for number in range(self.patients):
            yield replace(tiny_volume(number + len(self.times)), case=f"p{number}")


class Twice(TinySource):
    def volumes(self) -> Iterator[Volume]:
        yield tiny_volume(0)
        yield tiny_volume(0)


class Sources(SourceConformance):
    __test__ = False
    sources: ClassVar = {
        "good": TinySource(), "shifts": Shifts(), "twice": Twice(), "few": TinySource(patients=1),
    }  # fmt: skip


def test_sources(tmp_path: Path) -> None:
    suite = Sources()
    suite.test_its_volumes_are_volumes("good")
    suite.test_it_is_the_same_each_time("good")
    suite.test_it_can_be_stored_and_split("good", tmp_path / "good")
    with pytest.raises(AssertionError, match="changes"):
        suite.test_it_is_the_same_each_time("shifts")
    with pytest.raises(AssertionError, match="named twice"):
        suite.test_its_volumes_are_volumes("twice")
    with pytest.raises(BadInput):
        suite.test_it_can_be_stored_and_split("few", tmp_path / "few")


def beyond(trial: BaseTrial) -> Mapping[str, Any]:
    return {"noise": trial.suggest_float("noise", 0.0, 2.0)}


def unsteady(trial: BaseTrial) -> Mapping[str, Any]:
    calls.append(1)
    return {"xi": trial.suggest_float("xi", 0.1, 1.0) / len(calls)}


def nothing(trial: BaseTrial) -> Mapping[str, Any]:
    return {"xi": 0.5}


class Spaces(SpaceConformance):
    __test__ = False
    spaces: ClassVar = {"beyond": beyond, "unsteady": unsteady, "nothing": nothing}


def test_spaces() -> None:
    suite = Spaces()
    with pytest.raises(BadInput, match="reaches noise = 2"):
        suite.test_the_row_takes_every_end("beyond")
    with pytest.raises(AssertionError, match="the second time"):
        suite.test_it_is_a_pure_function("unsteady")
    with pytest.raises(BadInput, match="suggests no parameter"):
        suite.test_it_suggests_something("nothing")
