"""The metrics of people's own that are installed, found through entry points.

Each entry point of the group `beyond_loss.metrics` names a module (or package) whose modules
define `METRICS: dict[str, OwnMetric]`. What cannot be had is named and breaks nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import entry_points

from benchmark.errors import BadInput, near, one_line
from benchmark.files.code import Code
from benchmark.files.source import reached, readable
from benchmark.scoring.cases import METRIC_UNITS
from benchmark.scoring.own import OwnMetric, own_scores
from benchmark.settings.registry import NAME, modules_of

GROUP = "beyond_loss.metrics"


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """The metrics by name, and one line for each package or metric that could not be had."""

    metrics: Mapping[str, OwnMetric] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def metric(self, name: str) -> OwnMetric:
        """Return a metric; raises `BadInput` with the known names, and with what failed."""
        if name in self.metrics:
            return self.metrics[name]
        known = ", ".join(sorted(self.metrics)) or "none: bench new metric NAME writes one"
        lost = f" ({'; '.join(self.problems)})" if self.problems else ""
        raise BadInput(
            f"no metric {name!r}: {near(name, self.metrics)}the installed ones are {known}{lost}"
        )


def load_metrics() -> Metrics:
    """Return all metrics of one's own that are installed; who claims a name first keeps it."""
    found: dict[str, OwnMetric] = {}
    problems: list[str] = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            for module in modules_of(entry.value):
                offered = getattr(module, "METRICS", {})
                problems += _take(offered, module.__name__, found)
        except (Exception, SystemExit) as error:
            problems.append(f"{entry.value}: {one_line(error)}")
    return replace(Metrics(metrics=found), problems=tuple(problems))


def _take(offered: object, module: str, found: dict[str, OwnMetric]) -> Iterator[str]:
    """Take a module's metrics; yield a line for each that is refused."""
    if not isinstance(offered, dict):
        yield f"{module}: METRICS is not a dict"
        return
    for name, metric in offered.items():
        if found.get(name) is metric:  # a package that shows its modules' metrics
            continue
        why = refusal(name, metric) or ("its name is taken already" if name in found else "")
        if why:
            yield f"{module}: METRICS[{name!r}] is left out: {why}"
        else:
            found[name] = metric


def refusal(name: object, metric: object) -> str:
    """Return why something is no metric of one's own under this name, "" where it is."""
    if not re.fullmatch(NAME, str(name)):
        return "a metric's name is of letters, digits, '.', '_', '-'"
    if name in METRIC_UNITS:
        return "its name is that of a built-in metric"
    if not isinstance(metric, OwnMetric):
        return "it is not an OwnMetric"
    if not readable(metric.measure):
        return "its function must stand at the top of a module, so that an edit of it is seen"
    return ""


def metric_code(name: str, metric: OwnMetric) -> Code:
    """Return the code behind a metric's rows: its function with all that it reaches, what is
    declared beside it, and our own part."""
    text = json.dumps(metric.values(), sort_keys=True, default=str)
    declared = (f"the declaration of {name}", hashlib.sha256(text.encode()).hexdigest()[:8])
    code = reached((own_scores, metric.measure))
    return replace(code, others=(code.others or frozenset()) | {declared})
