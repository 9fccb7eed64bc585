"""For tests: the preset `quick` with other values, and those of before as `quick-1`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmark.plan.presets import PRESETS

OLD = PRESETS["quick"]
NEW = replace(OLD, ce=0.25)


def change_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Change it until the test ends."""
    monkeypatch.setitem(PRESETS, "quick", NEW)
    monkeypatch.setitem(PRESETS, "quick-1", OLD)
