"""The seconds left that a suite shows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmark.cli import forecast as forecast_module
from benchmark.cli.forecast import Forecast
from benchmark.running.tasks import Task


def task(
    name: str,
    seconds: float,
    scores: bool = False,
    *needs: str,
    title: str = "",
    row: str = "row",
) -> Task:
    cell = SimpleNamespace(setting=SimpleNamespace(label=row), stage="")
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


# Measured: three rows in two folds by two workers, on two cores with ten other processes. The row,
# the title, the estimate, what was waited for; when it was handed out, began to train, and ended.
MEASURED: list[tuple[str, str, float, list[int], tuple[int, int, int]]] = [
    ("unet", "N_CT", 10.6, [], (0, 6, 71)),
    ("unet", "scoring", 5.0, [0], (71, 71, 81)),
    ("fsm", "N_GT", 10.8, [], (0, 6, 74)),
    ("fsm", "N_CT + FSM", 13.8, [2], (74, 74, 163)),
    ("fsm", "refine", 8.0, [3, 2], (163, 164, 210)),
    ("fsm", "headroom", 1.2, [4, 3], (210, 211, 216)),
    ("fsm", "scoring", 35.0, [5, 4, 3, 2], (216, 216, 251)),
    ("fsm@stage2", "scoring", 5.0, [3, 2], (212, 212, 217)),
    ("param-transfer", "N_CT held near N_GT", 10.6, [2], (81, 82, 154)),
    ("param-transfer", "scoring", 5.0, [8, 2], (154, 154, 160)),
    ("unet", "N_CT", 10.6, [], (251, 251, 310)),
    ("unet", "scoring", 5.0, [10], (408, 408, 420)),
    ("fsm", "N_GT", 10.8, [], (160, 161, 212)),
    ("fsm", "N_CT + FSM", 13.8, [12], (217, 217, 270)),
    ("fsm", "refine", 8.0, [12, 13], (270, 271, 320)),
    ("fsm", "headroom", 1.2, [14, 13], (320, 321, 332)),
    ("fsm", "scoring", 35.0, [15, 12, 14, 13], (332, 332, 415)),
    ("fsm@stage2", "scoring", 5.0, [12, 13], (416, 416, 428)),
    ("param-transfer", "N_CT held near N_GT", 10.6, [12], (311, 311, 408)),
    ("param-transfer", "scoring", 5.0, [12, 18], (420, 420, 431)),
]


def test_after_the_first_training_a_measured_plan_is_foretold_within_half(
    now: list[float],
) -> None:
    """At the end of every task as long as a third of the whole is left; later the machine that was
    measured became slower by half, which nothing foretells."""
    tasks: list[Task] = []
    for number, (row, title, estimate, needs, _) in enumerate(MEASURED):
        waits = (str(need) for need in needs)
        tasks.append(task(str(number), estimate, title == "scoring", *waits, title=title, row=row))
    times = [measured[-1] for measured in MEASURED]
    forecast, end = of(*tasks), max(ended for _, _, ended in times)
    moments = sorted((at, kind, n) for n, each in enumerate(times) for kind, at in enumerate(each))
    factors = []
    for at, kind, number in moments:
        now[0] = at
        if kind == 2:
            forecast.end(tasks[number])
        elif kind == 0 or not tasks[number].scores:
            forecast.begin(tasks[number])
        running = [n for n, (_, began, ended) in enumerate(times) if began < at < ended]
        share = {
            str(n): (at - times[n][1]) / (times[n][2] - times[n][1])
            for n in running
            if not tasks[n].scores
        }
        if kind == 2 and end - at > end / 3:
            factors.append(forecast.seconds(share) / (end - at))
    assert len(factors) == 12 and min(factors) > 1 / 1.5 and max(factors) < 1.5, factors
