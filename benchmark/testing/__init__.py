"""The conformance suite: what every row must hold, for our rows and for other people's.

    from benchmark.testing import MethodConformance
    from my_package import METHODS

    class TestMine(MethodConformance):
        rows = METHODS

It needs pytest, and takes about a second a row.
"""

from benchmark.testing.conformance import MethodConformance as MethodConformance
from benchmark.testing.memory import MemoryTrainer as MemoryTrainer
from benchmark.testing.tiny import ORGANS as ORGANS
from benchmark.testing.tiny import TinySource as TinySource
from benchmark.testing.tiny import tiny_volume as tiny_volume
