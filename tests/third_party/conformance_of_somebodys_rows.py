"""What somebody else writes to check a row of their own."""

from typing import ClassVar

from somebody_elses_rows import METHODS

from benchmark.testing import MethodConformance


class TestSomebodysRows(MethodConformance):
    rows: ClassVar = METHODS
