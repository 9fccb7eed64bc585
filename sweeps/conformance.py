"""What a space of one's own must hold, as a pytest class that anyone can subclass."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import pytest
from optuna.trial import FixedTrial

from benchmark.settings.registry import load_registry
from benchmark.settings.resolve import Setting, resolve
from benchmark.testing.others import once_each
from sweeps.spaces import Space, Sweep, check_space, drawn_params, parameters


class SpaceConformance:
    """Subclass it with `spaces` and with the row (`method`) whose values they hold."""

    spaces: ClassVar[Mapping[str, Space]] = {}
    method: ClassVar[str] = "fsm"

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run every test once a space."""
        once_each(metafunc, self.spaces)

    def sweep(self, name: str) -> Sweep:
        """Return a space with its name."""
        return Sweep(name=name, space=self.spaces[name])

    def test_it_suggests_something(self, name: str) -> None:
        """It has at least one parameter."""
        assert parameters(self.sweep(name))

    def test_it_is_a_pure_function(self, name: str) -> None:
        """The same parameters give the same values, plain ones that a file can hold."""
        sweep = self.sweep(name)
        for params in drawn_params(sweep):
            first, second = (sweep.overrides(FixedTrial(params)) for _ in range(2))
            assert first == second, f"{params}: it gives other values the second time"
            assert first, f"{params}: it gives no value"
            json.dumps(first)

    def test_the_row_takes_every_end(self, name: str) -> None:
        """Every end and every choice is a value that the row's fields allow."""
        sweep, registry = self.sweep(name), load_registry()
        check_space(sweep, parameters(sweep), partial(_setting, registry, self.method))


def _setting(registry: Any, method: str, overrides: Mapping[str, Any]) -> Setting:
    return resolve(registry, method, "quick", dict(overrides))
