"""Rows of people's own metrics that may stand in a table: all cells of a line have them, and one
version of the metric made them. Never a mean over fewer patients, never two definitions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmark.plan.analysis import Metric
from benchmark.plan.wording import counted
from benchmark.scoring.own import OwnMetric
from benchmark.settings.metrics import Metrics, load_metrics, metric_code
from benchmark.store.ledger import Entry
from benchmark.store.results import ResultRow
from benchmark.store.workspace import Workspace

Pair = tuple[str, str]  # (key, evaluation)
AGAIN = "bench score scores what is stored"


@dataclass(frozen=True, kw_only=True)
class Own:
    """For each cell, by its (key, evaluation), where its rows of metrics of one's own lie, by
    metric; and a line for each metric that cannot be shown, or was edited since."""

    places: Mapping[Pair, Mapping[str, str]]
    lines: tuple[str, ...]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that some line has."""
        return tuple(sorted({name for found in self.places.values() for name in found}))

    def of(self, entry: Entry) -> list[Pair]:
        """Return where a cell's rows lie: its own, then those of each metric of one's own."""
        pair = entry.key, entry.evaluation
        return [pair, *((entry.key, name) for name in self.places.get(pair, {}).values())]

    def rows(self, workspace: Workspace, entry: Entry) -> list[ResultRow]:
        """Return a cell's rows, those of metrics of one's own last."""
        return [row for pair in self.of(entry) for row in workspace.results.rows(*pair)]

    def shared(self, entries: Iterable[Entry]) -> tuple[str, ...]:
        """Return the metrics that all of these cells have."""
        each = [set(self.places.get((e.key, e.evaluation), ())) for e in entries]
        return tuple(sorted(set.intersection(*each))) if each else ()


def own_of(workspace: Workspace, entries: Iterable[Entry]) -> Own:
    """Return which rows of metrics of one's own may stand in a table of these cells, and what a
    reader must know of the others."""
    done = [e for e in entries if e.state != "failed"]
    pairs = dict.fromkeys((e.key, e.evaluation) for e in done)
    results = workspace.results
    beside = {
        pair: {m: n for m, n in results.beside(*pair).items() if results.intact(pair[0], n)}
        for pair in pairs
    }
    names = sorted({metric for found in beside.values() for metric in found})
    if not names:
        return Own(places={}, lines=())
    installed, lines = load_metrics(), []
    kept: dict[Pair, dict[str, str]] = {pair: {} for pair in pairs}
    for metric in names:
        codes = {
            pair: results.code(pair[0], found[metric])
            for pair, found in beside.items()
            if metric in found
        }
        chosen, said = _of_one_version(metric, codes, workspace, installed)
        lacking = _whole(done, chosen)
        for pair in chosen - lacking:
            kept[pair][metric] = beside[pair][metric]
        if n := sum((e.key, e.evaluation) not in chosen for e in done):
            said.append(
                f"the metric {metric} is not on {counted(n, 'cell')} of {len(done)}, and not "
                f"shown for their rows: {AGAIN}"
            )
        lines += said
    return Own(places=kept, lines=tuple(lines))


def not_scored(workspace: Workspace, entries: Sequence[Entry]) -> str:
    """Return which installed metrics other rows of the suite have on this data set, and these cells
    have not, with the command; "" where there is none."""
    if not (installed := load_metrics().metrics):
        return ""
    first, beside = entries[0], workspace.results.beside
    others = [
        entry
        for entry in workspace.ledger.entries(first.suite)
        if (entry.dataset, entry.part) == (first.dataset, first.part)
    ]
    ours = [set(beside(entry.key, entry.evaluation)) for entry in entries]
    theirs = {name for entry in others for name in beside(entry.key, entry.evaluation)}
    lost = sorted(x for x in theirs if x in installed and not all(x in each for each in ours))
    told = ", ".join(lost)
    commands = "".join(f" --metric {name}" for name in lost)
    return (
        f"other rows have {told}, and {first.label} has not: bench score{commands}" if lost else ""
    )


def _of_one_version(
    metric: str, codes: Mapping[Pair, str], workspace: Workspace, installed: Metrics
) -> tuple[set[Pair], list[str]]:
    """The cells whose rows one version of a metric made, that of now where several did."""
    versions = set(codes.values())
    if metric not in installed.metrics:
        if len(versions) == 1:
            return set(codes), []
        return set(), [f"the metric {metric} has rows of {len(versions)} versions and is not shown"]
    now = metric_code(metric, installed.metrics[metric])
    current = {code for code in versions if not workspace.codes.difference(code, now)}
    if current:
        return {pair for pair, code in codes.items() if code in current}, []
    if len(versions) > 1:
        return set(), []
    return set(codes), [f"the metric {metric} was edited since its rows were made: {AGAIN}"]


def _whole(done: Sequence[Entry], chosen: set[Pair]) -> set[Pair]:
    """The cells of lines of which another cell lacks the metric."""
    lines: dict[tuple[str, ...], list[Pair]] = defaultdict(list)
    for e in done:
        place = (e.suite, e.dataset, e.label, e.preset, e.split, e.part)
        lines[place].append((e.key, e.evaluation))
    return {pair for found in lines.values() if not chosen.issuperset(found) for pair in found}


def secondary(names: Iterable[str], installed: Mapping[str, OwnMetric]) -> list[Metric]:
    """Return metrics of one's own as metrics that are tested: secondary endpoints, on which no
    verdict rests. One that is not installed here says neither direction nor margin: left out."""
    return [
        Metric(
            name=name,
            unit=installed[name].unit,
            higher_is_better=installed[name].higher_is_better,
            margin=installed[name].margin,
        )
        for name in names
        if name in installed
    ]
