"""The examples in docstrings of scoring and parts run, and give what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import benchmark.parts
import benchmark.scoring

MODULES = sorted(
    found.name
    for package in (benchmark.scoring, benchmark.parts)
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
)
WITH_EXAMPLES = {
    "benchmark.parts.similarity": 1,
    "benchmark.scoring.cases": 2,
    "benchmark.scoring.overlap": 3,
    "benchmark.scoring.statistics.components": 2,
    "benchmark.scoring.statistics.corrections": 2,
    "benchmark.scoring.statistics.paired": 4,
    "benchmark.scoring.surface": 2,
}


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_say(name: str) -> None:
    module = importlib.import_module(name)
    found = [test for test in doctest.DocTestFinder().find(module) if test.examples]
    assert len(found) >= WITH_EXAMPLES.get(name, 0)
    runner = doctest.DocTestRunner(verbose=False)
    for test in found:
        assert runner.run(test).failed == 0, f"the example of {test.name} gives something else"
