"""Writes reports into MLflow, synchronously: each run shows its report and nothing else.

All calls carry explicit run ids: the fluent interface and its active run (MLFLOW_RUN_ID) are
never used. Writing the same report again changes nothing: runs are found by a tag, parameters
are write-once, a curve point is the same row of the database, and a metric that already has its
value is not sent.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmark.tracking.names import clean_name, finite, flag_tags, undefined, value_text
from benchmark.tracking.report import (
    LONGEST_DIGEST,
    WHOLE,
    AnyReport,
    CellReport,
    CurvePoint,
    RowReport,
    SuiteReport,
    TrialReport,
)
from benchmark.tracking.runs import Gone, KnownRun, Runs
from benchmark.tracking.server import Store, first_line, is_refusal

if TYPE_CHECKING:
    from mlflow.entities import Metric


class Writer:
    """Brings one open store up to date, report by report. `before` is the writer of an earlier
    connection: what it sent is not sent again as far as its runs are still there."""

    def __init__(self, store: Store, before: Writer | None = None) -> None:
        self.client = store.client
        self.runs: Runs = Runs(store, before.runs.known if before else None)
        self.files = self.removed = self.ended = 0

    @property
    def refusals(self) -> list[str]:
        """What the store did not accept so far, one line each."""
        return self.runs.refusals

    def take(self, report: AnyReport, living: bool = False) -> bool:
        """Make a report's run show it and nothing else; return whether all was accepted. A cell
        that is neither done nor `living` is shown as killed, where it is shown at all."""
        if not isinstance(report, CellReport):
            return self.write(report)
        run = self._known(report)
        if run is None and not report.done and not living:
            return True
        was = run.status if run else ""
        if run and not living and run.tags.get(WHOLE) != report.digest:
            self._compare(report, run)
        accepted = self.write(report, living=living)
        self.ended += was == "RUNNING" != self.runs.open(report).status
        return accepted

    def _known(self, report: AnyReport) -> KnownRun | None:
        """The run of a report as far as it is there."""
        return self.runs.there(report)

    def _compare(self, cell: CellReport, run: KnownRun) -> None:
        """Let a run be made anew that holds values which are not on disk: of an attempt that was
        killed and repeated, of a training made afresh."""
        wanted = _by_value(cell.points)
        there = (
            set(_by_value(run.points))
            if run.trusted
            else self._points(run, {name for name, *_ in wanted})
        )
        singles = set(run.metrics) - {name for name, *_ in there}
        if there <= set(wanted) and singles <= set(finite(cell.metrics)):
            run.trusted = True
            run.points = {wanted[point] for point in there}
        else:
            self.client.delete_run(run.run_id)
            self.removed += 1
            del self.runs.known[cell.identity]

    def _points(self, run: KnownRun, names: set[str]) -> set[tuple[str, int, float, int]]:
        """Name, epoch, value and time of the points of these curves in MLflow."""
        return {
            (name, one.step, one.value, one.timestamp)
            for name in sorted(set(run.metrics) & names)
            for one in self.client.get_metric_history(run.run_id, name)
        }

    def write(self, report: AnyReport, *, living: bool = True) -> bool:
        """Write a report; return whether all was accepted. What is not done is shown as running
        when it is `living`, else as killed. Raises when the store is down."""
        before = len(self.refusals)
        try:
            self._write(report, living)
        except Exception as error:
            if not (isinstance(error, Gone) or is_refusal(error)):
                raise
            # The run or its experiment was deleted under us: look again, make it again.
            del self.refusals[before:]
            self.runs.forget()
            self._write(report, living)
        return len(self.refusals) == before

    def _write(self, report: AnyReport, living: bool) -> None:
        before, ended = len(self.refusals), report.done or not living
        run = self.runs.open(report)
        run.end_ms = report.end_ms or run.end_ms
        if isinstance(report, CellReport):
            self._introduce(report, run)
        if not ended:
            for one in _with_those_above(report):
                self.runs.status(self.runs.open(one), "RUNNING")
        digest = report.digest
        if run.tags.get(WHOLE, "") != digest or (not digest and run.told != report):
            self._fill(run, report)
            if ended:
                self._attach(run, report)
                if digest and len(self.refusals) == before:
                    self.runs.log(run, tags={WHOLE: digest})
                else:
                    self.runs.untag(run, WHOLE)
            if isinstance(report, TrialReport):
                run.told, run.status = report, ""  # its end is another now
        if ended:
            self._end(report, run)

    def _introduce(self, cell: CellReport, run: KnownRun) -> None:
        """Give the row what it has from its first cell on: its values and its data set."""
        row = self.runs.open(cell.row)
        row.end_ms = max(row.end_ms, run.end_ms)
        self.runs.log(row, params=_params(cell.row))
        self._input(row, cell)

    def _end(self, report: AnyReport, run: KnownRun) -> None:
        """Give a run its last status, and those above it theirs."""
        if isinstance(report, SuiteReport | RowReport):
            self.runs.settle(run)
        elif not self.runs.status(run, "FINISHED" if report.done else "KILLED"):
            return
        for one in _with_those_above(report.above):
            higher = self.runs.open(one)
            higher.end_ms = max(higher.end_ms, run.end_ms)
            self.runs.settle(higher)

    def _fill(self, run: KnownRun, report: AnyReport) -> None:
        """Send parameters, curves, single values and tags, as far as the run lacks them."""
        from mlflow.entities import Metric

        new = [p for p in dict.fromkeys(report.points) if p not in run.points]
        values = [
            Metric(clean_name(p.name), p.value, p.at_ms, p.epoch)
            for p in new
            if math.isfinite(p.value)
        ]
        values += self._singles(run, report)
        params, flags = _params(report), flag_tags(report.flags)
        states = undefined(report.metrics, report.points)
        tags = {**report.tags, **flags, **states, **_changed(run.params, params)}
        self.runs.log(run, values, params, tags)
        run.points.update(new)
        old = {
            name
            for name in run.tags
            if name in ("flags", "gain", "gain_95") or name.startswith("flag.")
        }
        known = {f"{name}_state" for name in finite(report.metrics)}
        for name in (old - tags.keys()) | (known - states.keys()):
            self.runs.untag(run, name)
        if isinstance(report, CellReport):
            self._input(run, report)

    def _singles(self, run: KnownRun, report: AnyReport) -> list[Metric]:
        """Return the single values that differ from what the run shows. The first is dated by
        the end of the curves, a correction by the clock: MLflow shows the latest."""
        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        first = report.end_ms or now
        return [
            Metric(name, value, max(now, first + 1) if name in run.metrics else first, 0)
            for name, value in finite(report.metrics).items()
            if run.metrics.get(name) != value
        ]

    def _input(self, run: KnownRun, report: CellReport) -> None:
        """Log the data set as an input of the run."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        name, digest = report.dataset, report.dataset_digest[:LONGEST_DIGEST]
        if digest and (name, digest) not in run.inputs:
            source = json.dumps({"name": name})
            dataset = Dataset(name=name, digest=digest, source_type="bench", source=source)
            context = InputTag("mlflow.data.context", "training")
            self.client.log_inputs(run.run_id, datasets=[DatasetInput(dataset, [context])])
            run.inputs.add((name, digest))

    def _attach(self, run: KnownRun, report: AnyReport) -> None:
        """Attach files by name and folders whole. The first failure ends it: the others would wait
        as long."""
        log, run_id = self.client, run.run_id
        sent: list[tuple[str, int, Callable[[], Any]]] = []
        if report.spec:
            sent = [("spec.json", 1, partial(log.log_dict, run_id, dict(report.spec), "spec.json"))]
        for path in report.artifacts:
            sent.append((str(path), 1, partial(log.log_artifact, run_id, str(path))))
        for name, folder in report.folders.items():
            count = sum(1 for path in folder.rglob("*") if path.is_file())
            sent.append((name, count, partial(log.log_artifacts, run_id, str(folder), name)))
        for name, count, send in sent:
            try:
                send()
            except Exception as error:  # artifact stores raise whatever their libraries raise
                self.refusals.append(f"{name}: {first_line(error)}")
                return
            self.files += count


def _with_those_above(report: AnyReport | None) -> list[AnyReport]:
    """A report, and those of the runs above its own, from below."""
    return [report, *_with_those_above(report.above)] if report else []


def _params(report: AnyReport) -> dict[str, str]:
    """Return the parameters of a run as MLflow takes them; every run of a row has its method."""
    wanted = {clean_name(n): value_text(v) for n, v in report.params.items()}
    row = report.row if isinstance(report, CellReport) else report
    method = getattr(row, "method", None)
    return wanted if method is None else {"method": value_text(method), **wanted}


def _changed(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """Return a tag that names the parameters whose value is not the one MLflow keeps for good."""
    names = [f"{name}={value}" for name, value in new.items() if old.get(name, value) != value]
    return {"changed_params": value_text("; ".join(names))} if names else {}


def _by_value(points: Iterable[CurvePoint]) -> dict[tuple[str, int, float, int], CurvePoint]:
    """Points that may be sent, by name, epoch, value and time as MLflow has them."""
    return {
        (clean_name(p.name), p.epoch, p.value, p.at_ms): p for p in points if math.isfinite(p.value)
    }
