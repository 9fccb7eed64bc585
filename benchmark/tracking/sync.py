"""Fills MLflow from disk: makes what is missing, takes away what is double, ends what is dead."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from benchmark.errors import BadInput
from benchmark.tracking import naming
from benchmark.tracking.bounded import Clock, Timed, bounded
from benchmark.tracking.report import CellReport, RowReport, SuiteReport
from benchmark.tracking.runs import Known, age, known_from
from benchmark.tracking.server import connect, one_line
from benchmark.tracking.writer import Writer

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PAGE = 1000  # runs a search


@dataclass(frozen=True, kw_only=True)
class Synced:
    """What `sync` changed; all zero when MLflow already showed what is on disk.

    `runs` were missing, `points` and `files` were sent, `removed` runs were doubles or showed an
    earlier training of the same cell, `ended` runs were left running by a process that died.
    `refused` holds one line for each thing that MLflow did not accept.
    """

    rows: int
    cells: int
    runs: int
    points: int
    files: int
    removed: int
    ended: int
    refused: tuple[str, ...] = ()
    suites: int = 0


def sync(
    uri: str,
    artifacts: Path,
    rows: Iterable[tuple[RowReport, Iterable[CellReport]]],
    *,
    suites: Iterable[SuiteReport] = (),
    training: Collection[str] = (),
    seconds: float = 3.0,
    say: Callable[[str], None] = lambda text: None,
) -> Synced:
    """Make the MLflow at `uri` show `rows` with whole curves, and `suites`; return the changes.

    Idempotent. `training` holds the keys of cells that a living process trains now: other runs
    that are still marked as running and not done become KILLED. `say` is told of a broken database
    of the workspace, which is set aside and filled anew.

    Raises:
        BadInput: the store does not answer in time, or is made by another version of MLflow.
    """
    clock = Clock()

    def work() -> Synced:
        store = connect(uri, artifacts, seconds, say)
        store.client = cast("MlflowClient", Timed(store.client, clock))
        return _Sync(Writer(store), training).all(rows, suites)

    try:
        return cast("Synced", bounded(work, clock))
    except BadInput:
        raise
    except Exception as error:  # whatever MLflow, SQLite or the network raise
        raise BadInput(
            f"MLflow at {uri} does not take the results: {one_line(error)}. "
            "Start it, or give another --mlflow, and run `bench sync` again."
        ) from error


class _Sync:
    def __init__(self, writer: Writer, training: Collection[str]) -> None:
        self.writer, self.training = writer, training
        self.client = writer.client
        self.seen: dict[str, dict[str, list[Run]]] = {}  # by experiment and identity
        self.removed = 0
        self.ended = 0

    def all(
        self, rows: Iterable[tuple[RowReport, Iterable[CellReport]]], suites: Iterable[SuiteReport]
    ) -> Synced:
        n_suites = n_rows = n_cells = 0
        for row, cells in rows:
            n_rows += 1
            n_cells += self._row(row, cells)
        for suite in suites:
            n_suites += 1
            self._merge(self._experiment(suite.dataset), naming.suite_identity(suite))
            self.writer.write(suite)
        return Synced(
            suites=n_suites,
            rows=n_rows,
            cells=n_cells,
            runs=self.writer.runs.made,
            points=self.writer.batches.points,
            files=self.writer.files,
            removed=self.removed,
            ended=self.ended,
            refused=tuple(self.writer.refusals),
        )

    def _row(self, row: RowReport, cells: Iterable[CellReport]) -> int:
        """Write a row and its cells; return how many cells it has."""
        runs = self._experiment(row.dataset)
        if row.above:
            self._merge(runs, naming.suite_identity(row.above))
        self._merge(runs, naming.row_identity(row))
        reported: set[str] = set()
        for cell in cells:
            identity = naming.cell_identity(cell)
            reported.add(identity)
            self._merge(runs, identity)
            self._compare(cell)
            was = self._status(identity)
            self.writer.write(cell, living=cell.key in self.training)
            self.ended += was == "RUNNING" != self._status(identity)
        parent = self.writer.runs.row(row).run_id
        self._end_unknown(runs, parent, reported)
        self.writer.write(row)
        return len(reported)

    def _experiment(self, dataset: str) -> dict[str, list[Run]]:
        """Read all runs of a data set at once; return them by identity, the oldest first."""
        experiment = self.writer.runs.store.experiment(dataset)
        if experiment not in self.seen:
            runs: dict[str, list[Run]] = defaultdict(list)
            token = None
            while True:
                page = self.client.search_runs([experiment], max_results=PAGE, page_token=token)
                for run in page:
                    runs[run.data.tags.get(naming.IDENTITY, "")].append(run)
                token = page.token
                if not token:
                    break
            self.seen[experiment] = {i: sorted(found, key=age) for i, found in runs.items()}
        return self.seen[experiment]

    def _merge(self, runs: dict[str, list[Run]], identity: str) -> None:
        """Keep the oldest of several runs of the same thing and hang their children below it."""
        known = self.writer.runs.known
        found = runs.pop(identity, [])
        if not found or identity in known:
            return
        kept = known[identity] = known_from(found[0])
        doubles = {run.info.run_id for run in found[1:]}
        for child in (run for group in runs.values() for run in group):
            if child.data.tags.get(naming.PARENT) in doubles:
                self.client.set_tag(child.info.run_id, naming.PARENT, kept.run_id)
                child.data.tags[naming.PARENT] = kept.run_id
        for run_id in sorted(doubles):
            self.client.delete_run(run_id)
            self.removed += 1

    def _compare(self, cell: CellReport) -> None:
        """Look whether a run that is not whole holds values that are not on disk (an attempt that
        was killed and repeated, a training made afresh), and if so let it be made anew."""
        identity = naming.cell_identity(cell)
        run = self.writer.runs.known.get(identity)
        living = not cell.done and cell.key in self.training
        if run is None or living or run.tags.get(naming.WHOLE) == naming.cell_digest(cell):
            return
        wanted = {
            (naming.clean_name(p.name), p.epoch, p.value, p.at_ms): p
            for p in naming.finite_points(cell.points)
        }
        there = self._points(run, {name for name, *_ in wanted})
        singles = set(run.metrics) - {name for name, *_ in there}
        if there <= set(wanted) and singles <= set(naming.finite(cell.metrics)):
            run.trusted = True
            run.points = {wanted[point] for point in there}
        else:
            self.client.delete_run(run.run_id)
            self.removed += 1
            del self.writer.runs.known[identity]

    def _points(self, run: Known, names: set[str]) -> set[tuple[str, int, float, int]]:
        """Return name, epoch, value and time of the points of these curves in MLflow."""
        return {
            (name, one.step, one.value, one.timestamp)
            for name in sorted(set(run.metrics) & names)
            for one in self.client.get_metric_history(run.run_id, name)
        }

    def _end_unknown(self, runs: dict[str, list[Run]], parent: str, reported: set[str]) -> None:
        """End the runs below a row that disk knows nothing of and that nobody trains."""
        for identity, found in runs.items():
            for run in found:
                below = run.data.tags.get(naming.PARENT) == parent
                busy = run.data.tags.get("key") in self.training
                running = run.info.status == "RUNNING"
                if below and running and not busy and identity not in reported:
                    self.writer.runs.status(known_from(run), "KILLED")
                    self.ended += 1

    def _status(self, identity: str) -> str:
        run = self.writer.runs.known.get(identity)
        return run.status if run else ""
