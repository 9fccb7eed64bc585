"""A migrated database to copy, a real server, and reports to send."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow_servers import Server as Server
from tracking_dump import Dump as Dump
from tracking_dump import dump_experiment as dump_experiment
from tracking_dump import files_of as files_of

from benchmark.tracking.database import default_uri
from benchmark.tracking.follower import Changes, Follower
from benchmark.tracking.report import AnyReport, CellReport, CurvePoint, RowReport
from benchmark.tracking.server import connect, prepare_environment

START_MS = 1_700_000_000_000


def make_row(label: str = "fsm", **changes: object) -> RowReport:
    values: dict[str, object] = {
        "dataset": "phantom",
        "suite": "main",
        "label": label,
        "method": "fsm",
        "preset": "quick",
        "params": {"xi": "0.5", "noise": "0.1"},
        "metrics": {"cv/dice/mean": 0.8, "cv/dice/sd": 0.02},
    }
    return RowReport(**(values | changes))  # type: ignore[arg-type]


def make_points(fold: int, epochs: int = 3) -> tuple[CurvePoint, ...]:
    return tuple(
        CurvePoint(
            name=f"train/n_gt/{term}",
            epoch=epoch,
            value=1 / (1 + epoch + fold),
            at_ms=START_MS + 60_000 * fold + 1000 * epoch,
        )
        for term in ("dice", "fsm")
        for epoch in range(epochs)
    )


def make_cell(row: RowReport, fold: int, **changes: object) -> CellReport:
    values: dict[str, object] = {
        "row": row,
        "fold": fold,
        "seed": 0,
        "key": f"key-{row.label}-{fold}",
        "done": True,
        "params": {"xi": "0.5", "lr": "0.0003"},
        "metrics": {"test/dice/liver": 0.8 + fold / 100, "time/seconds": 12.5},
        "points": make_points(fold),
        "spec": {"kind": "Train", "xi": 0.5},
        "dataset_digest": "0123456789abcdef",
        "flags": ("resumed",),
    }
    return CellReport(**(values | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database with all tables; making one takes seconds, copying it none."""
    root = tmp_path_factory.mktemp("template")
    connect(default_uri(root), root / "mlartifacts", 3.0)
    return root / "mlflow.db"


@pytest.fixture
def root(template: Path, tmp_path: Path) -> Path:
    """A workspace with an empty database."""
    folder = tmp_path / "work space"
    folder.mkdir()
    shutil.copy(template, folder / "mlflow.db")
    return folder


class Mirror:
    """A follower of what it is told, in place of a disk: of each run the latest report, of a cell
    with the points of all before."""

    def __init__(
        self, uri: str, *, artifacts: Path, warn: Callable[[str], None], seconds: float = 3.0
    ) -> None:
        self._lock = threading.Lock()
        self._latest: dict[str, CellReport] = {}
        self._waiting: dict[str, AnyReport] = {}
        self._follower = Follower(
            uri,
            self._changes,
            artifacts=artifacts,
            warn=warn,
            seconds=seconds,
            every_seconds=0.02,
        )

    def cell(self, report: CellReport) -> None:
        if before := self._latest.get(report.identity):
            points = tuple(dict.fromkeys((*before.points, *report.points)))
            report = replace(report, points=points)
        self._latest[report.identity] = report
        self.row(report)

    def row(self, report: AnyReport) -> None:
        with self._lock:
            self._waiting[report.identity] = report

    suite = row

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def close(self, seconds: float = 20.0) -> bool:
        return self._follower.close(seconds) and not self._waiting

    def __enter__(self) -> Mirror:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(20.0 if kind is None else 3.0)

    def _changes(self, last: bool) -> Changes:
        for identity, report in list(self._waiting.items()):
            if (yield report, not report.done):
                with self._lock:
                    if self._waiting[identity] is report:
                        del self._waiting[identity]


def mirror_of(root: Path, warnings: list[str]) -> Mirror:
    return Mirror(default_uri(root), artifacts=root / "mlartifacts", warn=warnings.append)


@pytest.fixture(scope="module")
def server(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(template, folder / "mlflow.db")
    running = Server(folder)
    running.start()
    yield running
    running.kill()


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture(autouse=True, scope="session")
def quiet() -> None:
    prepare_environment(1.0)
