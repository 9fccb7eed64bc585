"""Writes one report into MLflow, synchronously. The background mirror and `sync` both use it.

All calls carry explicit run ids: the fluent interface and its active run (MLFLOW_RUN_ID) are
never used. Writing the same report again changes nothing: runs are found by a tag, parameters
are write-once, a curve point is the same row of the database, and a metric that already has its
value is not sent.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.tracking import naming
from benchmark.tracking.batches import Batches, Gone
from benchmark.tracking.report import CellReport, Point, RowReport, SuiteReport
from benchmark.tracking.runs import Known, Runs, started_ms
from benchmark.tracking.server import Store, is_refusal, one_line

if TYPE_CHECKING:
    from mlflow.entities import Metric


class Writer:
    """Writes reports through one open store. `before` is the writer of an earlier connection:
    what it sent is not sent again as far as its runs are still there."""

    def __init__(self, store: Store, before: Writer | None = None) -> None:
        self.client = store.client
        self.runs: Runs = Runs(store, before.runs.known if before else None)
        self.batches = Batches(store.client)
        self.files = 0

    @property
    def refusals(self) -> list[str]:
        """What the store did not accept so far, one line each."""
        return self.batches.refusals

    def write(self, report: CellReport | RowReport | SuiteReport, *, living: bool = True) -> bool:
        """Write a cell, row or suite; return whether all was accepted. A cell that is not done
        is shown as running when it is `living`, else as killed. Raises when the store is down."""
        if isinstance(report, SuiteReport):
            return self._twice(partial(self._suite, report))
        if isinstance(report, RowReport):
            return self._twice(partial(self._row, report))
        return self._twice(partial(self._cell, report, living))

    def _twice(self, write: Callable[[], None]) -> bool:
        before = len(self.refusals)
        try:
            write()
        except Exception as error:
            if not (isinstance(error, Gone) or is_refusal(error)):
                raise
            # The run or its experiment was deleted under us: look again, make it again.
            del self.refusals[before:]
            self.runs.forget()
            write()
        return len(self.refusals) == before

    def _suite(self, report: SuiteReport) -> None:
        before = len(self.refusals)
        run = self.runs.suite(report)
        digest = naming.suite_digest(report)
        if run.tags.get(naming.WHOLE) != digest:
            self._fill(run, {}, report.metrics)
            self._attach_folders(run, report.folders)
            if len(self.refusals) == before:
                self.batches.log(run, tags={naming.WHOLE: digest})
        self.runs.settle(run)

    def _row(self, report: RowReport) -> None:
        before = len(self.refusals)
        run = self.runs.row(report)
        digest = naming.row_digest(report)
        if run.tags.get(naming.WHOLE) != digest:
            flags = naming.flag_tags(report.flags)
            tags = {**flags, "preset": report.preset}  # its values may have another name by now
            self._fill(run, _params(report, report.params), report.metrics, tags=tags)
            self._drop_flags(run, flags)
            self._attach(run, report.artifacts)
            if len(self.refusals) == before:
                self.batches.log(run, tags={naming.WHOLE: digest})
        self._settle(run, report)

    def _settle(self, run: Known, row: RowReport) -> None:
        self.runs.settle(run)
        if row.above:
            above = self.runs.suite(row.above)
            above.end_ms = max(above.end_ms, run.end_ms)
            self.runs.settle(above)

    def _cell(self, report: CellReport, living: bool) -> None:
        before = len(self.refusals)
        row = self.runs.row(report.row, started_ms(report))
        self._fill(row, _params(report.row, report.row.params), {})
        self._input(row, report)
        run = self.runs.cell(report, row)
        run.end_ms = max((point.at_ms for point in report.points), default=0)
        row.end_ms = max(row.end_ms, run.end_ms)
        digest = naming.cell_digest(report)
        if living and not report.done:
            self.runs.status(run, "RUNNING")
            self.runs.status(row, "RUNNING")
            if report.row.above:
                self.runs.status(self.runs.suite(report.row.above), "RUNNING")
        if run.tags.get(naming.WHOLE) != digest:
            tags = naming.cell_tags(report, row.run_id)
            params = _params(report.row, report.params)
            self._fill(run, params, report.metrics, report.points, tags)
            self._drop_flags(run, tags)
            self._input(run, report)
            if report.done or not living:
                self._attach(run, report.artifacts, report.spec)
                self._mark(run, digest if len(self.refusals) == before else "")
        ended = "FINISHED" if report.done else "KILLED"
        if (report.done or not living) and self.runs.status(run, ended):
            self._settle(row, report.row)

    def _drop_flags(self, run: Known, wanted: Mapping[str, str]) -> None:
        """Take away the flags that hold no more."""
        old = [name for name in run.tags if name == "flags" or name.startswith("flag.")]
        for name in set(old) - wanted.keys():
            self.client.delete_tag(run.run_id, name)
            del run.tags[name]

    def _mark(self, run: Known, digest: str) -> None:
        """Mark a run as whole. A run that was found, not made, by this process may hold points of
        an earlier attempt: it is left without the mark, and `sync` will look."""
        if digest and run.trusted:
            self.batches.log(run, tags={naming.WHOLE: digest})
        elif run.tags.pop(naming.WHOLE, ""):
            self.client.delete_tag(run.run_id, naming.WHOLE)

    def _fill(
        self,
        run: Known,
        wanted: Mapping[str, str],
        metrics: Mapping[str, float],
        points: Iterable[Point] = (),
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Send parameters, curves, single values and tags, as far as the run lacks them."""
        from mlflow.entities import Metric

        new = [p for p in dict.fromkeys(points) if p not in run.points]
        values = [
            Metric(naming.clean_name(p.name), p.value, p.at_ms, p.epoch)
            for p in naming.finite_points(new)
        ]
        values += self._singles(run, naming.finite(metrics), points)
        states = naming.undefined(metrics, points)
        self.batches.log(
            run, values, wanted, {**(tags or {}), **states, **_changed(run.params, wanted)}
        )
        run.points.update(new)
        for name in naming.finite(metrics):
            if f"{name}_state" not in states and run.tags.pop(f"{name}_state", ""):
                self.client.delete_tag(run.run_id, f"{name}_state")

    def _singles(
        self, run: Known, metrics: Mapping[str, float], points: Iterable[Point]
    ) -> list[Metric]:
        """Return the single values that differ from what the run shows. The first is dated by
        the last point of the curves, a correction by the clock: MLflow shows the latest."""
        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        first = max((point.at_ms for point in points), default=now)
        return [
            Metric(name, value, max(now, first + 1) if name in run.metrics else first, 0)
            for name, value in metrics.items()
            if run.metrics.get(name) != value
        ]

    def _input(self, run: Known, report: CellReport) -> None:
        """Log the data set as an input of the run."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        name = report.row.dataset
        digest = report.dataset_digest[: naming.LONGEST_DIGEST]
        if digest and (name, digest) not in run.inputs:
            source = json.dumps({"name": name})
            dataset = Dataset(name=name, digest=digest, source_type="bench", source=source)
            context = InputTag("mlflow.data.context", "training")
            self.client.log_inputs(run.run_id, datasets=[DatasetInput(dataset, [context])])
            run.inputs.add((name, digest))

    def _attach(
        self, run: Known, paths: Iterable[Path], spec: Mapping[str, Any] | None = None
    ) -> None:
        """Attach files by name. The first failure ends it: the others would wait as long."""
        path: Path | str = "spec.json"
        try:
            if spec:
                self.client.log_dict(run.run_id, dict(spec), "spec.json")
                self.files += 1
            for path in paths:
                self.client.log_artifact(run.run_id, str(path))
                self.files += 1
        except Exception as error:  # artifact stores raise whatever their libraries raise
            self.refusals.append(f"{path}: {one_line(error)}")

    def _attach_folders(self, run: Known, folders: Mapping[str, Path]) -> None:
        """Attach folders whole, each under its name."""
        for name, folder in folders.items():
            try:
                self.client.log_artifacts(run.run_id, str(folder), name)
                self.files += sum(1 for path in folder.rglob("*") if path.is_file())
            except Exception as error:
                self.refusals.append(f"{name}: {one_line(error)}")


def _params(row: RowReport, params: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of a run as MLflow takes them; every run of a row has its method."""
    wanted = {naming.clean_name(n): naming.short(v) for n, v in params.items()}
    wanted.setdefault("method", naming.short(row.method))
    return wanted


def _changed(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """Return a tag that names the parameters whose value is not the one MLflow keeps for good."""
    names = [f"{name}={value}" for name, value in new.items() if old.get(name, value) != value]
    return {"changed_params": naming.short("; ".join(names))} if names else {}
