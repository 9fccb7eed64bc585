"""The seconds left that a suite shows."""

from __future__ import annotations

from typing import Any, cast

import pytest

from benchmark.cli import view
from benchmark.cli.view import Forecast
from benchmark.running.tasks import Task


def task(name: str, seconds: float, scores: bool = False) -> Task:
    return Task(
        name=name, title="", scores=scores, cell=cast(Any, None), entry="e", group=0,
        needs=frozenset(), seconds=seconds,
    )  # fmt: skip


def test_trainings_and_scorings_have_a_pace_each(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(view.time, "monotonic", lambda: now[0])
    tasks = [task("a", 10), task("b", 10), task("s", 1, True), task("t", 1, True)]
    forecast = Forecast(workers=2, open={each.name: each for each in tasks})
    assert forecast.seconds({}) == 11
    for each, took in ((tasks[0], 20), (tasks[2], 10)):  # twice, and ten times the estimate
        forecast.begin(each)
        now[0] += took
        forecast.end(each)
    assert forecast.seconds({}) == (2 * 10 + 10 * 1) / 2
    assert forecast.seconds({"b": 0.5}) == (2 * 5 + 10 * 1) / 2
    forecast.keep({"t"})
    assert forecast.seconds({}) == 5
