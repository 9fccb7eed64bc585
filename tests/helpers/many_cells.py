"""For tests: ten thousand cells of synthetic rows, written fast (no flush to disk for each).

By hand: python tests/helpers/many_cells.py ROOT, then bench report --root ROOT
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.plan.keys import digest
from benchmark.scoring.cases import METRIC_UNITS
from benchmark.store.ledger import Entry
from benchmark.store.results import SCHEMA
from benchmark.store.workspace import open_workspace

ORGANS = ("liver", "left_kidney", "right_kidney")
ROWS = (
    "unet", "shape-loss", "param-transfer", "joint-train", "no-refine", "no-noise", "fsm",
    "unet-200", "unet-200-restart", "refine-own", "refine-gt", "fsm-shuffled", "fsm-mean-shape",
    "fsm-random-teacher", "fsm-constant", "fsm-frozen", "fsm-no-target", "fsm-teacher-no-skips",
    "fsm-ct-teacher", "vid",
)  # fmt: skip
SETS = ("ircadb", "multi-organ")
FOLDS = 5


def write_cells(root: Path, cells: int = 10_000, patients: int = 20) -> int:
    """Write `cells` cells of 20 rows on two sets, as many seeds as it takes; return the number of
    rows in them."""
    open_workspace(root)
    seeds = cells // (len(ROWS) * len(SETS) * FOLDS)
    written = 0
    for dataset in SETS:
        for number, row in enumerate(ROWS):
            for seed in range(seeds):
                for fold in range(FOLDS):
                    entry = _entry(dataset, row, fold, seed)
                    written += _rows(root, entry, number, patients // FOLDS)
                    path = root / "ledger" / entry.suite / f"{entry.name}.json"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(json.dumps(asdict(entry)))
    return written


def _entry(dataset: str, row: str, fold: int, seed: int) -> Entry:
    key = digest([dataset, row, fold, seed])
    return Entry(
        dataset=dataset, row=row, label=row, preset="paper", overrides={}, fold=fold, seed=seed,
        part="test", key=key, evaluation="0123456789ab", split=f"split-of-{dataset}", nodes=(key,),
        state="done", params={"schedule.epochs": "100", "ct.width": "64"},
    )  # fmt: skip


def _rows(root: Path, entry: Entry, number: int, patients: int) -> int:
    rng = np.random.default_rng([number, entry.fold, entry.seed])
    places = [
        (f"case_{entry.fold}_{n}", organ, metric, unit)
        for n in range(patients)
        for organ in ORGANS
        for metric, unit in METRIC_UNITS.items()
    ]
    count = len(places)
    case, organ, metric, unit = (list(column) for column in zip(*places, strict=True))
    columns = {
        "key": [entry.key] * count, "seed": [entry.seed] * count, "fold": [entry.fold] * count,
        "case": case, "organ": organ, "state": ["overlap"] * count, "metric": metric,
        "value": 90 + 0.1 * number + rng.normal(0, 1, count), "unit": unit,
        "n_voxels_true": [1000] * count, "code": ["c0de"] * count,
    }  # fmt: skip
    folder = root / "results" / entry.key / entry.evaluation
    folder.mkdir(parents=True)
    pq.write_table(pa.table(columns, schema=SCHEMA), folder / "rows.parquet")
    found = hashlib.sha256((folder / "rows.parquet").read_bytes()).hexdigest()
    (folder / "checksums.json").write_text(json.dumps({"rows.parquet": found}))
    return count


if __name__ == "__main__":
    print(write_cells(Path(sys.argv[1])), "rows")
