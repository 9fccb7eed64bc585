"""What the disk knows of the cells behind a trial, for MLflow's grandchildren."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from benchmark.analysis.suites import with_rows
from benchmark.running.bench import open_bench
from benchmark.running.reports import cell_report
from benchmark.training.precision import hardware
from sweeps.objective import suite


def cell_metrics(
    root: Path, study_name: str, preset: str, overrides: Mapping[str, Any], seeds: Collection[int]
) -> dict[str, dict[str, float]]:
    """Return the metrics of each cell of a setting by `fold0/seed0`; none for cells that another
    machine trained. They are named `inner/...`: no test patient is in them."""
    bench = open_bench(root, hardware("cpu"))
    entries = bench.ledger.entries(suite(study_name))
    mine = [e for e in entries if e.preset == preset]  # a study may have been deleted and made anew
    mine = [e for e in mine if overrides.items() <= dict(e.overrides).items()]
    chosen = [e for e in mine if e.seed in seeds]  # without the repeats
    return {
        f"fold{entry.fold}/seed{entry.seed}": {
            name.replace("test/", "inner/", 1): value
            for name, value in cell_report(bench, entry).metrics.items()
        }
        for entry in with_rows(bench, chosen)
    }
