"""For tests: `bench suite` on the tiny set, what it stores, and the processes it starts."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
from bench_process import SMALL, SMALL_GT

VALUES = {**SMALL, **SMALL_GT}


def suite_argv(root: Path, rows: str, *more: str, **values: Any) -> list[str]:
    """The arguments of a tiny suite on folds 0 and 1; `values` changes fields (`__`: a dot)."""
    chosen = VALUES | {name.replace("__", "."): value for name, value in values.items()}
    if "fsm" not in rows:
        chosen = {name: value for name, value in chosen.items() if not name.startswith("gt.")}
    sets = [part for n, v in chosen.items() for part in ("--set", f"{n}={json.dumps(v)}")]
    given = {"--datasets": "tiny", "--folds": "0,1", "--seeds": "0", "--threads": "1",
             "--workers": "2", "--mlflow": "none"}  # fmt: skip
    defaults = [word for name, v in given.items() if name not in more for word in (name, v)]
    return ["suite", "--root", str(root), "--rows", rows, *defaults, *sets, *more]


def rows(root: Path) -> dict[str, list[dict[str, Any]]]:
    """Every stored row of every evaluation, NaN as text so that equal means equal; without what
    was set aside."""
    return {
        path.parent.relative_to(root / "results").as_posix(): [
            {name: str(value) for name, value in row.items()}
            for row in pq.read_table(path).to_pylist()
        ]
        for path in sorted((root / "results").glob("[0-9a-f]*/[!.]*/rows.parquet"))
        if path.parts[-3] != "aside"
    }


def workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The living workers: children of the server that forks them."""
    try:
        children = psutil.Process(process.pid).children()
        found = [worker for child in children for worker in child.children()]
        return [worker for worker in found if worker.status() != psutil.STATUS_ZOMBIE]
    except psutil.Error:
        return []


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The command's process and all below it."""
    parent = psutil.Process(process.pid)
    return [parent, *parent.children(recursive=True)]


def progress(root: Path) -> tuple[int, int]:
    """How many trainings are stored, and the steps that all checkpoints stand at together."""
    steps = [p for p in (root / "objects").glob("*.partial/*") if p.name.isdigit()]
    newest: dict[Path, int] = {}
    for path in steps:
        newest[path.parent] = max(newest.get(path.parent, 0), int(path.name))
    return len(list((root / "objects").glob("*/record.json"))), sum(newest.values())


def wait_for(root: Path, process: subprocess.Popen[str], beyond: tuple[int, int]) -> None:
    """Wait until the suite stands elsewhere than it stood."""
    until = time.monotonic() + 120
    while progress(root) == beyond:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "the suite makes no progress"
        time.sleep(0.005)
