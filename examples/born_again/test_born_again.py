"""What every row must hold: pytest test_born_again.py"""

from typing import ClassVar

from born_again import METHODS

from benchmark.testing import MethodConformance


class TestMine(MethodConformance):
    rows: ClassVar = METHODS
