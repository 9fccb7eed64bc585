"""What things are called in MLflow, and what counts as the same thing. Pure functions."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmark.plan.presets import lasting_name
from benchmark.tracking.report import CellReport, Point, RowReport, SuiteReport

LONGEST = 500  # characters of a parameter or tag; older servers refuse more
LONGEST_NAME = 250
LONGEST_DIGEST = 36  # MLflow's limit for the digest of a data set

WHOLE = "mirror"  # tag: digest of the report that arrived whole. Written last.
IDENTITY = "identity"  # tag: which row or cell a run shows; how it is found again
PARENT = "mlflow.parentRunId"


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def suite_identity(suite: SuiteReport) -> str:
    """Return what makes a suite one run: data set and name."""
    return _hash(["suite", suite.dataset, suite.suite])


def row_identity(row: RowReport) -> str:
    """Return what makes a row one parent run: data set, suite, label, the preset's values, and a
    split that is not the data set's own."""
    preset = lasting_name(row.preset, row.preset_hash)
    named = ["row", row.dataset, row.suite, row.label, preset]
    return _hash([*named, row.split] if row.split else named)


def cell_identity(cell: CellReport) -> str:
    """Return what makes a cell one child run: its row, fold, seed and key."""
    return _hash(["cell", row_identity(cell.row), cell.fold, cell.seed, cell.key])


def cell_name(cell: CellReport) -> str:
    """Return the run name of a cell, such as `fsm/fold0/seed0`."""
    return f"{cell.row.label}/fold{cell.fold}/seed{cell.seed}"[:LONGEST_NAME]


def clean_name(name: str) -> str:
    """Return `name` as MLflow takes it for a metric or parameter.

    Other characters than letters, digits and `_ - . / space` become `_`; empty, `.` and `..`
    parts of a path are left out, as MLflow refuses names that are not normal paths.
    """
    parts = re.sub(r"[^\w\-./ ]", "_", name, flags=re.ASCII).split("/")
    kept = [part for part in parts if part not in ("", ".", "..")]
    return "/".join(kept)[:LONGEST_NAME].rstrip("/") or "_"


def short(value: object) -> str:
    """Return `value` as a string of at most 500 characters, the cut shown by an ellipsis."""
    text = str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def suite_tags(suite: SuiteReport) -> dict[str, str]:
    """Return the tags of a suite's run."""
    tags = {
        "level": "suite",
        "dataset": suite.dataset,
        "suite": suite.suite,
        IDENTITY: suite_identity(suite),
        "mlflow.source.name": "bench",
    }
    return {name: short(value) for name, value in tags.items()}


def flag_tags(flags: Iterable[str]) -> dict[str, str]:
    """Return a tag with all flags, and one for each name (`flag.no_gt_gap`) to filter by."""
    found: dict[str, list[str]] = {}
    for flag in flags:
        found.setdefault("flags", []).append(flag)
        found.setdefault(clean_name(f"flag.{flag.partition(':')[0]}"), []).append(flag)
    return {name: short("; ".join(texts)) for name, texts in found.items()}


def row_tags(row: RowReport) -> dict[str, str]:
    """Return the tags of a parent run, but for the suite above it and its flags."""
    tags = {
        "level": "row",
        "method": row.method,
        "dataset": row.dataset,
        "suite": row.suite,
        "label": row.label,
        "preset": row.preset,
        IDENTITY: row_identity(row),
        "mlflow.source.name": "bench",
    }
    return {name: short(value) for name, value in tags.items()}


def cell_tags(cell: CellReport, parent: str) -> dict[str, str]:
    """Return the tags of a child run below the run `parent`."""
    return row_tags(cell.row) | {
        "level": "fold",
        "fold": str(cell.fold),
        "seed": str(cell.seed),
        "key": short(cell.key),
        IDENTITY: cell_identity(cell),
        PARENT: parent,
        **flag_tags(cell.flags),
    }


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics that may be sent, under their clean names."""
    return {clean_name(name): float(v) for name, v in metrics.items() if math.isfinite(v)}


def finite_points(points: Iterable[Point]) -> list[Point]:
    """Return the points that may be sent."""
    return [point for point in points if math.isfinite(point.value)]


def undefined(metrics: Mapping[str, float], points: Iterable[Point] = ()) -> dict[str, str]:
    """Return the tags that stand for values which are not finite, and so are never sent."""
    names = [name for name, value in metrics.items() if not math.isfinite(value)]
    names += [point.name for point in points if not math.isfinite(point.value)]
    return {f"{clean_name(name)}_state": "undefined" for name in names}


def file_state(path: Path) -> tuple[str, int, int]:
    """Return name, size and time of an artifact; (name, -1, 0) where there is no such file."""
    try:
        state = path.stat()
    except OSError:
        return path.name, -1, 0
    return path.name, state.st_size, state.st_mtime_ns


def cell_digest(cell: CellReport) -> str:
    """Return a digest of all that a cell's run shall hold; the order of points is no matter."""
    curves = sorted({(p.name, p.epoch, p.at_ms, repr(p.value)) for p in cell.points})
    plain = [dict(cell.params), dict(cell.metrics), dict(cell.spec), list(cell.flags)]
    files = [file_state(path) for path in cell.artifacts]
    return _hash([cell.done, cell.dataset_digest, curves, plain, files])


def row_digest(row: RowReport) -> str:
    """Return a digest of all that a row's run shall hold."""
    files = [file_state(path) for path in row.artifacts]
    return _hash([dict(row.params), dict(row.metrics), list(row.flags), row.in_suite, files])


def suite_digest(suite: SuiteReport) -> str:
    """Return a digest of all that a suite's run shall hold."""
    files = {
        name: [
            (path.relative_to(folder).as_posix(), *file_state(path))
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        ]
        for name, folder in suite.folders.items()
    }
    return _hash([dict(suite.metrics), files])
