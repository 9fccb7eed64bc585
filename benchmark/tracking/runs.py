"""Finding, making and ending runs: always the same one for the same report; and sending to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from benchmark.tracking.names import LONGEST_NAME
from benchmark.tracking.report import (
    IDENTITY,
    PARENT,
    AnyReport,
    CurvePoint,
)
from benchmark.tracking.server import Store, first_line, is_refusal

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run

PER_BATCH = 100  # parameters or tags a call
METRICS_PER_BATCH = 800  # with the other two, at most the 1000 entities that MLflow takes a call


class Gone(Exception):  # noqa: N818 - says what happened to the run
    """Somebody deleted the run since it was last seen."""


@dataclass
class KnownRun:
    """What this process knows of a run, so that little has to be asked twice.

    `points` were sent by this process. `trusted` means that the run holds no point but those: it
    was made here, or was compared. `end_ms` is when the last of them was measured; `told` is the
    last report that was written.
    """

    run_id: str
    experiment: str
    status: str
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    inputs: set[tuple[str, str]]
    trusted: bool
    points: set[CurvePoint] = field(default_factory=set)
    end_ms: int = 0
    told: AnyReport | None = None


def known_from(run: Run, *, trusted: bool = False) -> KnownRun:
    """Return what a run read from MLflow tells about itself."""
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return KnownRun(
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


class Runs:
    """The runs of one store. `made` counts those that were missing, `points` what was sent,
    `refusals` holds one line for each thing not accepted; `before` is what an earlier connection
    knew."""

    def __init__(self, store: Store, before: dict[str, KnownRun] | None = None) -> None:
        self.store = store
        self.before = before or {}
        self.known: dict[str, KnownRun] = {}
        self.refusals: list[str] = []
        self.made = self.points = 0

    def open(self, report: AnyReport, start_ms: int | None = None) -> KnownRun:
        """Return the run of a report, made where there is none, below the one above it."""
        start_ms = report.start_ms or start_ms
        above = self.open(report.above, start_ms) if report.above else None
        run = self.known.get(report.identity) or self._find(report, above, start_ms)
        if above and run.tags.get(PARENT) != above.run_id:  # that was made anew, or merged
            self.store.client.set_tag(run.run_id, PARENT, above.run_id)
            run.tags[PARENT] = above.run_id
        return run

    def there(self, report: AnyReport) -> KnownRun | None:
        """Return the run of a report, None where there is none."""
        if report.identity not in self.known:
            found = self.search(self.store.experiment(report.dataset), report.identity)
            if not found:
                return None
            self._know(report.identity, known_from(found[0]))
        return self.known[report.identity]

    def search(self, experiment: str, identity: str) -> list[Run]:
        """Return the runs with this identity, the oldest first."""
        wanted = f"tags.{IDENTITY} = '{identity}'"
        runs = self.store.client.search_runs([experiment], wanted, max_results=100)
        return sorted(runs, key=age)

    def status(self, run: KnownRun, status: str) -> bool:
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

    def settle(self, run: KnownRun) -> None:
        """Give a run with others below it its status: running as long as one of them is."""
        running = f"tags.`{PARENT}` = '{run.run_id}' and attributes.status = 'RUNNING'"
        busy = self.store.client.search_runs([run.experiment], running, max_results=1)
        self.status(run, "RUNNING" if busy else "FINISHED")

    def forget(self) -> None:
        """Look everything up anew from now on."""
        self.known.clear()
        self.store.experiments.clear()

    def log(
        self,
        run: KnownRun,
        metrics: Sequence[Metric] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Send what the run has not got, in batches; what is refused does not cost the rest. Raises
        `Gone` when the run was deleted, and whatever MLflow raises when the store is down."""
        from mlflow.entities import Param, RunTag

        new_params = {n: v for n, v in (params or {}).items() if n not in run.params}
        new_tags = {n: v for n, v in (tags or {}).items() if run.tags.get(n) != v}
        left: dict[str, tuple[Iterator[Any], int]] = {
            "metrics": (iter(metrics), METRICS_PER_BATCH),
            "params": (iter([Param(*item) for item in new_params.items()]), PER_BATCH),
            "tags": (iter([RunTag(*item) for item in new_tags.items()]), PER_BATCH),
        }
        while any((batch := {k: list(islice(it, n)) for k, (it, n) in left.items()}).values()):
            self._send(run, batch)
        run.params |= new_params
        run.tags |= new_tags
        run.metrics |= {metric.key: metric.value for metric in metrics}

    def untag(self, run: KnownRun, name: str) -> None:
        """Take a tag away, where the run has it."""
        if name in run.tags:
            self.store.client.delete_tag(run.run_id, name)
            del run.tags[name]

    def _send(self, run: KnownRun, batch: dict[str, list[Any]]) -> None:
        client = self.store.client
        try:
            client.log_batch(run.run_id, **batch)  # type: ignore[arg-type]
            self.points += len(batch["metrics"])
        except Exception as error:
            if not is_refusal(error):
                raise
            if client.get_run(run.run_id).info.lifecycle_stage != "active":
                raise Gone(run.run_id) from error
            if sum(map(len, batch.values())) == 1:
                self.refusals.append(first_line(error))
                return
            for kind, entities in batch.items():
                for entity in entities:
                    self._send(run, {"metrics": [], kind: [entity]})

    def _find(self, report: AnyReport, above: KnownRun | None, start_ms: int | None) -> KnownRun:
        experiment = self.store.experiment(report.dataset)
        with self.store.lock:
            found = self.search(experiment, report.identity)
            if found:
                return self._know(report.identity, known_from(found[0]))
            tags = report.tags | ({PARENT: above.run_id} if above else {})
            name = report.title[:LONGEST_NAME]
            return self._know(report.identity, self._make(experiment, name, tags, start_ms))

    def _know(self, identity: str, run: KnownRun) -> KnownRun:
        before = self.before.pop(identity, None)
        if before is not None and before.run_id == run.run_id:
            run.trusted, run.points = before.trusted, before.points
        self.known[identity] = run
        return run

    def _make(
        self, experiment: str, name: str, tags: dict[str, str], start: int | None
    ) -> KnownRun:
        client = self.store.client
        run = client.create_run(experiment, start_time=start, tags=tags, run_name=name)
        # The lock reaches the processes of one workspace only. Where another machine was as
        # fast, both take the older run and the younger is taken back.
        oldest = self.search(experiment, tags[IDENTITY])[0]
        if oldest.info.run_id != run.info.run_id:
            client.delete_run(run.info.run_id)
            return known_from(oldest)
        self.made += 1
        return known_from(oldest, trusted=True)
