"""What share of a cell's processor time its probes take, and how that compares with another build.

python docs/overheads_probes.py                     # some four minutes on one core
python docs/overheads_probes.py --against CHECKOUT  # twice that: both builds, in turn

Each build trains and measures one cell of `fsm` in a workspace of its own, one thread, without
MLflow. Then only the probes are made again, by the builds in turn, for the ratio of the two.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.running.speed import alternated, ratio

ROOT = Path(__file__).parents[1]
CELL = (
    *("run", "--method", "fsm", "--folds", "0", "--preset", "quick"),
    *("--set", "schedule.epochs=30", "--set", "schedule.lr=0.002", "--mlflow", "none"),
)
ROUNDS = 3


def probes(against: Path | None = None, rounds: int = ROUNDS) -> dict[str, Any]:
    """Print and return the share of a cell's processor time that its probes take, in percent, of
    this build and of the checkout `against`, and the ratio of both builds' probes."""
    builds = {"now": ROOT} | ({"before": against} if against else {})
    with tempfile.TemporaryDirectory() as folder:
        places = {name: Path(folder) / name for name in builds}
        cells = {name: timed(builds[name], places[name]) for name in builds}
        ways = {name: lambda _, name=name: anew(builds[name], places[name]) for name in builds}
        again = alternated(ways, 1, rounds)
    found: dict[str, Any] = {}
    for name, cell in cells.items():
        share = 100 * cell["probes"] / cell["all"]
        found[name] = {**cell, "share_percent": share, "probes_again": again[name]}
        print(
            f"{name}: {share:.1f} % of a cell: probes {cell['probes']:.2f} s of {cell['all']:.1f}; "
            f"made again {statistics.median(again[name]):.2f} s (median of {rounds})"
        )
    if against:
        pairs = [a / b for a, b in zip(again["now"], again["before"], strict=True)]
        found["ratio"] = ratio(again["now"], again["before"])
        print(f"probes now / before: {found['ratio']:.2f} ({min(pairs):.2f}-{max(pairs):.2f})")
    return found


def anew(build: Path, workspace: Path) -> float:
    """Make the probes of a workspace again; return their processor seconds."""
    drop_probes(workspace)
    return timed(build, workspace)["probes"]


def timed(build: Path, workspace: Path) -> Mapping[str, float]:
    """Run the cell by a build, in a process of its own; return the processor seconds of "all" of
    it and of its "probes" (with what only they train)."""
    script = [sys.executable, str(Path(__file__).resolve()), "--cell", str(workspace)]
    environ = {**os.environ, "PYTHONPATH": str(build.resolve()), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        script, cwd=build, env=environ, check=True, capture_output=True, text=True
    ).stdout
    found: dict[str, float] = json.loads(ran.splitlines()[-1])
    return found


def drop_probes(workspace: Path) -> None:
    """Remove what the probes of a workspace measured, and what they alone trained."""
    for path in workspace.glob("ledger/*/*.json"):
        entry = json.loads(path.read_text())
        for _, key, evaluation in entry.get("probes", ()):
            shutil.rmtree(workspace / "results" / key / evaluation)
            if key not in entry["nodes"]:
                shutil.rmtree(workspace / "objects" / key)


def one_cell(workspace: Path) -> None:
    """Run the cell in this process and print its processor seconds as JSON, last of all."""
    import benchmark.running.cells as cells
    from benchmark.cli.main import main as bench

    of_cell, spent = cells.with_probes, [0.0]

    def with_probes(*given: Any) -> Any:
        began = time.process_time()
        try:
            return of_cell(*given)
        finally:
            spent[0] += time.process_time() - began

    cells.with_probes = with_probes
    try:
        code = bench([*CELL, "--root", str(workspace)])
    except SystemExit as left:
        code = int(left.code or 0)
    if code or not spent[0]:
        sys.exit(code or f"no probes ran in this process, so that nothing was timed: {workspace}")
    print(json.dumps({"all": time.process_time(), "probes": spent[0]}))


def main() -> None:
    """Read the arguments and run what they ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, metavar="CHECKOUT")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--cell", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.cell:
        one_cell(args.cell)
    else:
        probes(args.against, args.rounds)


if __name__ == "__main__":
    main()
