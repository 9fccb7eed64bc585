"""For tests: `bench sweep` on the tiny set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench_process import SMALL, SMALL_GT, tiny_workspace

PATIENTS = 15  # six different inner patients in folds 0 and 1
VALUES: dict[str, Any] = {**SMALL, **SMALL_GT, "schedule.epochs": 1}


def workspace(root: Path) -> Path:
    """Store the tiny set in `root`."""
    return tiny_workspace(root, patients=PATIENTS)


def sweep_argv(root: Path, name: str = "xi", *more: str, **small: Any) -> list[str]:
    """The arguments of a tiny `bench sweep run`; `small` changes values (`__` stands for a dot)."""
    values = VALUES | {name.replace("__", "."): value for name, value in small.items()}
    sets = [part for n, v in values.items() for part in ("--set", f"{n}={json.dumps(v)}")]
    argv = ["sweep", "run", name, "--root", str(root), "--dataset", "tiny", "--threads", "1"]
    return [*argv, "--folds", "0,1", "--mlflow", "none", *sets, *more]


def objects(root: Path) -> set[str]:
    """The keys of all stored trainings."""
    return {path.parent.name for path in (root / "objects").glob("[0-9a-f]*/record.json")}
