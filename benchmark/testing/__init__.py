"""The conformance suite: what every row must hold, for our rows and for other people's.

    from benchmark.testing import MethodConformance
    from my_package import METHODS

    class TestMine(MethodConformance):
        rows = METHODS

It needs pytest, and takes about a second a row. `MetricConformance` (`metrics = METRICS`) and
`SourceConformance` (`sources = {"name": SOURCE}`) check metrics and data sets of one's own, and
`sweeps.conformance.SpaceConformance` (`spaces = {"name": space}`) spaces of sweeps. `MemoryTrainer`
and the tiny set need nothing but the engine: what is named here is imported when it is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.testing.conformance import MethodConformance as MethodConformance
    from benchmark.testing.others import MetricConformance as MetricConformance
    from benchmark.testing.others import SourceConformance as SourceConformance
    from benchmark.testing.tiny import ORGANS as ORGANS
    from benchmark.testing.tiny import MemoryTrainer as MemoryTrainer
    from benchmark.testing.tiny import TinySource as TinySource
    from benchmark.testing.tiny import tiny_volume as tiny_volume

_LIES_IN = {
    "MethodConformance": "conformance",
    "MetricConformance": "others",
    "SourceConformance": "others",
    "MemoryTrainer": "tiny",
    "ORGANS": "tiny",
    "TinySource": "tiny",
    "tiny_volume": "tiny",
}


def __getattr__(name: str) -> Any:
    if name not in _LIES_IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LIES_IN[name]}"), name)
