"""Finding, making and ending runs: always the same one for the same row or cell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmark.tracking import naming
from benchmark.tracking.report import CellReport, Point, RowReport, SuiteReport
from benchmark.tracking.server import Store

if TYPE_CHECKING:
    from mlflow.entities import Run


@dataclass
class Known:
    """What this process knows of a run, so that little has to be asked twice.

    `points` were sent by this process. `trusted` means that the run holds no point but those: it
    was made here, or `sync` has looked. `end_ms` is when the last of them was measured.
    """

    run_id: str
    experiment: str
    status: str
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    inputs: set[tuple[str, str]]
    trusted: bool
    points: set[Point] = field(default_factory=set)
    end_ms: int = 0


def known_from(run: Run, *, trusted: bool = False) -> Known:
    """Return what a run read from MLflow tells about itself."""
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return Known(
        run_id=run.info.run_id,
        experiment=run.info.experiment_id,
        status=run.info.status,
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        tags=dict(run.data.tags),
        inputs={(i.dataset.name, i.dataset.digest) for i in inputs},
        trusted=trusted,
    )


def age(run: Run) -> tuple[int, str]:
    """Return a sorting key that is the same on every machine: the oldest run comes first."""
    return run.info.start_time, run.info.run_id


def started_ms(report: CellReport) -> int | None:
    """Return when a cell's training began (Unix milliseconds), None where it has no curve."""
    return min((point.at_ms for point in report.points), default=None)


class Runs:
    """The runs of one store. `made` counts those that were missing, `before` is what an earlier
    connection knew."""

    def __init__(self, store: Store, before: dict[str, Known] | None = None) -> None:
        self.store = store
        self.before = before or {}
        self.known: dict[str, Known] = {}
        self.made = 0

    def suite(self, suite: SuiteReport, start_ms: int | None = None) -> Known:
        """Return the run of a suite, made where there is none."""
        name, tags = suite.suite[: naming.LONGEST_NAME], naming.suite_tags(suite)
        return self._open(self.store.experiment(suite.dataset), name, tags, start_ms)

    def row(self, row: RowReport, start_ms: int | None = None) -> Known:
        """Return the parent run of a row, made where there is none, below that of its suite."""
        name, tags = row.label[: naming.LONGEST_NAME], naming.row_tags(row)
        above = row.above and self.suite(row.above, start_ms)
        if above:
            tags[naming.PARENT] = above.run_id
        run = self._open(self.store.experiment(row.dataset), name, tags, start_ms)
        if above and run.tags.get(naming.PARENT) != above.run_id:  # its suite's run was made anew
            self.store.client.set_tag(run.run_id, naming.PARENT, above.run_id)
            run.tags[naming.PARENT] = above.run_id
        return run

    def cell(self, cell: CellReport, parent: Known) -> Known:
        """Return the child run of a cell, made where there is none."""
        tags = naming.cell_tags(cell, parent.run_id)
        return self._open(parent.experiment, naming.cell_name(cell), tags, started_ms(cell))

    def search(self, experiment: str, identity: str) -> list[Run]:
        """Return the runs with this identity, the oldest first."""
        wanted = f"tags.{naming.IDENTITY} = '{identity}'"
        runs = self.store.client.search_runs([experiment], wanted, max_results=100)
        return sorted(runs, key=age)

    def status(self, run: Known, status: str) -> bool:
        """Set the status of a run; return whether it had another. It ended with its last point."""
        if run.status == status:
            return False
        if status == "RUNNING":
            self.store.client.update_run(run.run_id, status=status)
        else:
            # No time at all would be taken for now.
            self.store.client.set_terminated(run.run_id, status, end_time=run.end_ms or None)
        run.status = status
        return True

    def settle(self, row: Known) -> None:
        """Give a run with others below it its status: running as long as one of them is."""
        running = f"tags.`{naming.PARENT}` = '{row.run_id}' and attributes.status = 'RUNNING'"
        busy = self.store.client.search_runs([row.experiment], running, max_results=1)
        self.status(row, "RUNNING" if busy else "FINISHED")

    def forget(self) -> None:
        """Look everything up anew from now on."""
        self.known.clear()
        self.store.experiments.clear()

    def _open(self, experiment: str, name: str, tags: dict[str, str], start: int | None) -> Known:
        identity = tags[naming.IDENTITY]
        if identity not in self.known:
            with self.store.lock:
                found = self.search(experiment, identity)
                run = known_from(found[0]) if found else self._make(experiment, name, tags, start)
            before = self.before.pop(identity, None)
            if before is not None and before.run_id == run.run_id:
                run.trusted, run.points = before.trusted, before.points
            self.known[identity] = run
        return self.known[identity]

    def _make(self, experiment: str, name: str, tags: dict[str, str], start: int | None) -> Known:
        client = self.store.client
        run = client.create_run(experiment, start_time=start, tags=tags, run_name=name)
        # The lock reaches the processes of one workspace only. Where another machine was as
        # fast, both take the older run and the younger is taken back.
        oldest = self.search(experiment, tags[naming.IDENTITY])[0]
        if oldest.info.run_id != run.info.run_id:
            client.delete_run(run.info.run_id)
            return known_from(oldest)
        self.made += 1
        return known_from(oldest, trusted=True)
