"""What every metric must hold: pytest test_boundary_iou.py"""

from typing import ClassVar

from boundary_iou import METRICS

from benchmark.testing import MetricConformance


class TestMine(MetricConformance):
    metrics: ClassVar = METRICS
