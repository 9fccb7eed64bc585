"""Brings MLflow up to date with the disk: makes what is missing, takes away what is double or was
measured by an attempt that the disk no longer knows, ends what is dead."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import BadInput
from benchmark.tracking.report import (
    IDENTITY,
    PARENT,
    AnyReport,
    CellReport,
    RowReport,
    SuiteReport,
)
from benchmark.tracking.runs import KnownRun, age, known_from
from benchmark.tracking.server import Store, bounded, first_line
from benchmark.tracking.writer import Writer

if TYPE_CHECKING:
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


class _Whole(Writer):
    """Looks at all runs of a data set, so that doubles and what is dead are found too. `training`
    holds the keys of cells that a living process trains now."""

    def __init__(self, store: Store, training: Collection[str]) -> None:
        super().__init__(store)
        self.training = training
        self.seen: dict[str, dict[str, list[Run]]] = {}  # by experiment and identity

    def row(self, row: RowReport, cells: Iterable[CellReport]) -> int:
        """Take a row and its cells; return how many it has."""
        reported: set[str] = set()
        for cell in cells:
            reported.add(cell.identity)
            self.take(cell, living=not cell.done and cell.key in self.training)
        self._known(row)
        self._end_unknown(row, self.runs.open(row).run_id, reported)
        self.take(row)
        return len(reported)

    def take(self, report: AnyReport, living: bool = False) -> bool:
        """As above, for one run of all with its identity."""
        self._known(report)
        return super().take(report, living)

    def _known(self, report: AnyReport) -> KnownRun | None:
        if report.above:
            self._known(report.above)
        if isinstance(report, RowReport) and report.apart:
            self._drop_former(report)
        self._merge(self._experiment(report.dataset), report.identity)
        return self.runs.known.get(report.identity)

    def _experiment(self, dataset: str) -> dict[str, list[Run]]:
        """Read all runs of a data set at once; return them by identity, the oldest first."""
        experiment = self.runs.store.experiment(dataset)
        if experiment not in self.seen:
            runs: dict[str, list[Run]] = defaultdict(list)
            token, first = None, True
            while token or first:
                page = self.client.search_runs([experiment], max_results=PAGE, page_token=token)
                for run in page:
                    runs[run.data.tags.get(IDENTITY, "")].append(run)
                token, first = page.token, False
            self.seen[experiment] = {i: sorted(found, key=age) for i, found in runs.items()}
        return self.seen[experiment]

    def _merge(self, runs: dict[str, list[Run]], identity: str) -> None:
        """Keep the oldest of several runs of the same thing and hang their children below it."""
        found = runs.pop(identity, [])
        if not found or identity in self.runs.known:
            return
        kept = self.runs.known[identity] = known_from(found[0])
        doubles = {run.info.run_id for run in found[1:]}
        for child in (run for group in runs.values() for run in group):
            if child.data.tags.get(PARENT) in doubles:
                self.client.set_tag(child.info.run_id, PARENT, kept.run_id)
                child.data.tags[PARENT] = kept.run_id
        for run_id in sorted(doubles):
            self.client.delete_run(run_id)
            self.removed += 1

    def _drop_former(self, row: RowReport) -> None:
        """Take away what showed a test on a kept-apart set under the names of the row's folds."""
        runs = self._experiment(row.dataset)
        dropped = {run.info.run_id for run in runs.pop(row.former, [])}
        for identity, found in list(runs.items()) if dropped else ():
            below = {x.info.run_id for x in found if x.data.tags.get(PARENT) in dropped}
            runs[identity] = [x for x in found if x.info.run_id not in below]
            dropped |= below
        for run_id in sorted(dropped):
            self.client.delete_run(run_id)
            self.removed += 1

    def _end_unknown(self, row: RowReport, parent: str, reported: set[str]) -> None:
        """End the runs below a row that disk knows nothing of and that nobody trains."""
        for identity, found in self._experiment(row.dataset).items():
            for run in found if identity not in reported else ():
                busy = run.data.tags.get("key") in self.training
                below = run.data.tags.get(PARENT) == parent
                if below and run.info.status == "RUNNING" and not busy:
                    self.runs.status(known_from(run), "KILLED")
                    self.ended += 1


def _shown(
    whole: _Whole,
    rows: Iterable[tuple[RowReport, Iterable[CellReport]]],
    suites: Iterable[SuiteReport],
    others: Iterable[tuple[AnyReport, bool]],
) -> Synced:
    cells = [whole.row(row, below) for row, below in rows]
    above = [whole.take(suite) for suite in suites]
    for report, living in others:
        whole.take(report, living)
    return Synced(
        suites=len(above),
        rows=len(cells),
        cells=sum(cells),
        runs=whole.runs.made,
        points=whole.runs.points,
        files=whole.files,
        removed=whole.removed,
        ended=whole.ended,
        refused=tuple(whole.refusals),
    )


def sync(
    uri: str,
    artifacts: Path,
    rows: Iterable[tuple[RowReport, Iterable[CellReport]]],
    *,
    suites: Iterable[SuiteReport] = (),
    others: Iterable[tuple[AnyReport, bool]] = (),
    training: Collection[str] = (),
    seconds: float = 3.0,
    say: Callable[[str], None] = lambda text: None,
) -> Synced:
    """Make the MLflow at `uri` show `rows` with whole curves, and `suites`; return the changes.

    Idempotent. `training` holds the keys of cells that a living process trains now: other runs
    that are still marked as running and not done become KILLED. `others` come last, each with
    whether a living process works at it. `say` is told of a broken database of the workspace, which
    is set aside and filled anew.

    Raises:
        BadInput: the store does not answer in time, or is made by another version of MLflow.
    """

    def work(store: Store) -> Synced:
        return _shown(_Whole(store, training), rows, suites, others)

    try:
        return bounded(uri, artifacts, work, seconds=seconds, say=say)
    except BadInput:
        raise
    except Exception as error:  # whatever MLflow, SQLite or the network raise
        raise BadInput(
            f"MLflow at {uri} does not take the results: {first_line(error)}. "
            "Start it, or give another --mlflow, and run `bench sync` again."
        ) from error
