"""Whether a local MLflow shows a report already, asked of its SQLite file without MLflow.

To import MLflow and to open its store takes longer than all else that `bench run` does for a row
that is stored. What is looked for was written by `Writer`: the tag with the digest of a report that
arrived whole. Whatever cannot be told here (another kind of store, other tables, a moved workspace,
a deleted run) counts as not shown, and MLflow itself is asked.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmark.tracking import naming
from benchmark.tracking.report import CellReport, RowReport, SuiteReport
from benchmark.tracking.server import HOME, sqlite_path

RUN = """
SELECT runs.run_uuid, runs.status
FROM tags
JOIN runs ON runs.run_uuid = tags.run_uuid AND runs.lifecycle_stage = 'active'
JOIN experiments ON experiments.experiment_id = runs.experiment_id
    AND experiments.lifecycle_stage = 'active' AND experiments.name = ?
JOIN experiment_tags AS home ON home.experiment_id = experiments.experiment_id
    AND home.key = ? AND home.value = ?
WHERE tags.key = ? AND tags.value = ?
ORDER BY runs.start_time, runs.run_uuid LIMIT 1
"""
TAGS = "SELECT key, value FROM tags WHERE run_uuid = ? AND key IN (?, ?)"


def is_shown(
    uri: str, artifacts: Path, report: CellReport | RowReport | SuiteReport, seconds: float
) -> bool:
    """Return whether the MLflow at `uri` shows a report whole, below the run that it belongs to.
    A locked database is waited for `seconds`; nothing is written, and nothing raised."""
    path = sqlite_path(uri)
    if path is None or not path.is_file():
        return False
    try:
        with closing(sqlite3.connect(path, timeout=seconds)) as database:
            store = _Store(database=database, home=artifacts.resolve().as_uri())
            return _shows(store, report)
    except sqlite3.Error:
        return False


@dataclass(frozen=True, kw_only=True)
class _Run:
    run_id: str
    status: str
    digest: str
    parent: str


@dataclass(frozen=True, kw_only=True)
class _Store:
    """An open database, and the address of the folder that its artifacts must lie in."""

    database: sqlite3.Connection
    home: str

    def run(self, dataset: str, identity: str) -> _Run | None:
        """Return the run with this identity, the oldest where there are several, as `Runs` does."""
        wanted = (dataset, HOME, self.home, naming.IDENTITY, identity)
        found = self.database.execute(RUN, wanted).fetchone()
        if found is None:
            return None
        run_id, status = found
        tags = dict(self.database.execute(TAGS, (run_id, naming.WHOLE, naming.PARENT)))
        return _Run(
            run_id=run_id,
            status=status,
            digest=tags.get(naming.WHOLE, ""),
            parent=tags.get(naming.PARENT, ""),
        )


def _shows(store: _Store, report: CellReport | RowReport | SuiteReport) -> bool:
    if isinstance(report, SuiteReport):
        run = store.run(report.dataset, naming.suite_identity(report))
        return _is_whole(run, naming.suite_digest(report))
    if isinstance(report, RowReport):
        run = store.run(report.dataset, naming.row_identity(report))
        above = report.above
        higher = store.run(above.dataset, naming.suite_identity(above)) if above else None
        return _is_whole(run, naming.row_digest(report)) and (not above or _below(run, higher))
    if not report.done:
        return False
    run = store.run(report.row.dataset, naming.cell_identity(report))
    row = store.run(report.row.dataset, naming.row_identity(report.row))
    return _is_whole(run, naming.cell_digest(report)) and _below(run, row)


def _is_whole(run: _Run | None, digest: str) -> bool:
    return run is not None and run.status == "FINISHED" and run.digest == digest


def _below(run: _Run | None, higher: _Run | None) -> bool:
    return run is not None and higher is not None and run.parent == higher.run_id
