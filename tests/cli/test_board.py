"""The seconds left that a suite shows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmark.cli import forecast as forecast_module
from benchmark.cli.forecast import Forecast
from benchmark.running.tasks import Task


def task(name: str, seconds: float, scores: bool = False, *needs: str, title: str = "") -> Task:
    cell = SimpleNamespace(setting=SimpleNamespace(label="row"), stage="")
    return Task(
        name=name, title=title, scores=scores, cell=cast(Any, cell), entry="e", group=0,
        needs=frozenset(needs), seconds=seconds,
    )  # fmt: skip


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that the test moves."""
    clock = [0.0]
    monkeypatch.setattr(forecast_module.time, "monotonic", lambda: clock[0])
    return clock


def took(forecast: Forecast, each: Task, seconds: float, now: list[float]) -> None:
    forecast.begin(each)
    now[0] += seconds
    forecast.end(each)


def of(*tasks: Task, workers: int = 2) -> Forecast:
    return Forecast(workers=workers, open={each.name: each for each in tasks})


def test_trainings_and_scorings_have_a_pace_each(now: list[float]) -> None:
    tasks = [task("a", 10), task("b", 10), task("s", 1, True), task("t", 1, True)]
    forecast = of(*tasks)
    assert forecast.seconds({}) == 11
    took(forecast, tasks[0], 20, now)  # twice, and ten times the estimate
    took(forecast, tasks[2], 10, now)
    assert forecast.seconds({}) == 20 == max((2 * 10 + 10 * 1) / 2, 2 * 10), "one is left"
    assert forecast.seconds({"b": 0.5}) == (2 * 5 + 10 * 1) / 2
    forecast.keep({"t"})
    assert forecast.seconds({}) == 10


def test_a_kind_that_was_seen_is_foretold_by_itself(now: list[float]) -> None:
    """One kind whose estimate was far off says nothing of the others."""
    kinds = {"slow": 9.0, "as foretold": 1.0, "quick": 0.5}
    first = [task(f"{name} 1", 10, title=name) for name in kinds]
    second = [task(f"{name} 2", 10, title=name) for name in (*kinds, "another")]
    forecast = of(*first, *second, workers=1)
    for each in first:
        took(forecast, each, 10 * kinds[each.title], now)
    assert forecast.seconds({}) == 90 + 10 + 5 + 10, "another: the middle of the three"


def test_before_a_scoring_ends_trainings_tell_how_slow_the_machine_is(now: list[float]) -> None:
    for times, told in ((2.0, 2.0), (50.0, 3.0), (0.01, 1 / 3)):
        forecast = of(task("a", 10), task("s", 6, True))
        took(forecast, forecast.open["a"], 10 * times, now)
        assert forecast.seconds({}) == pytest.approx(6 * told)


def test_tasks_that_wait_for_one_another_are_not_shared(now: list[float]) -> None:
    chain = [task("a", 10), task("b", 20, False, "a"), task("s", 5, True, "b")]
    assert of(*chain, workers=8).seconds({}) == 35
    assert of(*chain, task("c", 65), workers=2).seconds({}) == 65


def test_what_was_stored_or_resumed_does_not_tell_of_whole_trainings(now: list[float]) -> None:
    tasks = [task("stored", 10), task("resumed", 10), task("b", 10)]
    forecast = of(*tasks, workers=1)
    forecast.begin(tasks[0])
    forecast.end(tasks[0], worked=False)
    assert not forecast.knows({}) and forecast.seconds({}) == 20
    forecast.resume(tasks[1], 0.75)
    took(forecast, tasks[1], 5, now)  # a quarter of the steps
    assert forecast.knows({}) and forecast.seconds({}) == 20
