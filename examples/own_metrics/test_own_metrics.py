"""The conformance checks of the two metrics: pytest examples/own_metrics."""

from typing import ClassVar

from own_metrics import METRICS

from benchmark.testing import MetricConformance


class TestMine(MetricConformance):
    metrics: ClassVar = METRICS
