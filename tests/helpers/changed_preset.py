"""For tests: the first values of the preset `quick`, which are `quick-1` now, and those of now."""

from __future__ import annotations

from benchmark.plan.presets import PRESETS

OLD = PRESETS["quick-1"]
NEW = PRESETS["quick"]
