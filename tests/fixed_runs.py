"""A fixed set of runs, and all that they leave: rows, weights, loss terms, MLflow's content.

    python tests/fixed_runs.py --before OTHER_CHECKOUT [--new TEXT ...]

runs it with the code of another checkout and with this one's, one after the other (about a minute
each), and ends with 0 where everything but `code`, clocks and paths is equal, to the bit. It is how
a change of the house is shown to change no number. Values that are new, and whose place holds one
of the texts, are counted apart.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "helpers"), str(HERE.parent)]

import psutil  # noqa: E402
from bench_process import run_argv, weights  # noqa: E402
from suite_process import progress, rows, suite_argv  # noqa: E402
from sweep_process import sweep_argv, workspace  # noqa: E402

CLOCKS = ("seconds", "time/", "mlflow.source", "mlflow.user", "code", "started", "bench.", "mirror")
Found = dict[str, Any]


def main() -> int:
    """Compare two checkouts; return 0 where all is equal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, required=True, metavar="CHECKOUT")
    parser.add_argument("--new", nargs="*", default=[], metavar="TEXT")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        before = left_by(args.before.resolve(), Path(folder) / "before")
        after = left_by(HERE.parent, Path(folder) / "after")
    for name in before:
        print(f"{name}: {len(flat(before[name]))} values")
    every = list(differences(before, after))
    new = [line for line in every if ": None | " in line and any(text in line for text in args.new)]
    differ = [line for line in every if line not in new]
    for line in differ[:40]:
        print(f"DIFFERS {line}")
    print(f"{len(differ)} differences" + (f", {len(new)} new values" if new else ""))
    return 1 if differ else 0


def left_by(checkout: Path, root: Path) -> Found:
    """Run the fixed set with the code of a checkout; return what it left, by run."""
    found: Found = {}
    for name, commands in the_runs(root).items():
        place = workspace(root / name)
        for number, argv in enumerate(commands):
            killed = name == "killed" and number == 0
            code = command(checkout, place, argv, kill=killed)
            assert code == (-9 if killed else 0), f"{name}: {argv[:4]} ended with {code}"
        found[name] = left_in(place)
    return found


def the_runs(root: Path) -> dict[str, list[list[str]]]:
    """The commands of each run by its name; `killed` is killed in its first and goes on."""
    long = {"schedule__epochs": 40}
    again = [*run_argv(root / "killed", "fsm", "--folds", "0", "--workers", "1", **long)]
    again += ["--checkpoint-seconds", "0.2"]
    runs = {
        "run": [run_argv(root / "run", "fsm", "--folds", "0,1", "--workers", "1")],
        "workers": [run_argv(root / "workers", "fsm", "--folds", "0,1", "--workers", "2")],
        "killed": [again, again],
        "suite": [suite_argv(root / "suite", "unet,fsm,fsm-shuffled", "--seeds", "0,1")],
        "sweep": [sweep_argv(root / "sweep", "xi", "--method", "fsm", "--trials", "3",
                             "--workers", "1", "--repeats", "1", "--sampler", "random")],
    }  # fmt: skip
    return {name: [mirrored(argv) for argv in commands] for name, commands in runs.items()}


def mirrored(argv: list[str]) -> list[str]:
    """The arguments without `--mlflow none`: the workspace's own database is the mirror."""
    place = argv.index("--mlflow")
    return argv[:place] + argv[place + 2 :]


def command(checkout: Path, root: Path, argv: list[str], *, kill: bool) -> int:
    """Run a command with the code of a checkout; `kill` it in its second training."""
    paths = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmark.cli.main", *argv],
        cwd=checkout, env=paths, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while kill and process.poll() is None:
        stored, step = progress(root)
        if stored >= 1 and step > 0:
            for each in [*psutil.Process(process.pid).children(recursive=True), process]:
                each.kill()
        time.sleep(0.01)
    return process.wait()


def left_in(root: Path) -> Found:
    """Return rows, weights, loss terms and MLflow's content of a workspace."""
    return {
        "rows": [without_clocks(row) for many in rows(root).values() for row in many],
        "weights": {name: hashlib.sha256(data).hexdigest() for name, data in weights(root).items()},
        "terms": {path.parent.name: terms(path) for path in records(root)},
        "mlflow": without_clocks(mlflow_of(root)),
    }


def records(root: Path) -> list[Path]:
    """The records of all stored trainings."""
    return sorted((root / "objects").glob("[0-9a-f]*/record.json"))


def terms(record: Path) -> list[Any]:
    """The loss terms of each epoch of a training."""
    return [epoch["terms"] for epoch in json.loads(record.read_text())["epochs"]]


def mlflow_of(root: Path) -> Found:
    """Return all that a reader of MLflow sees, without when it was sent."""
    from mlflow import MlflowClient
    from tracking_dump import dump_experiment

    from benchmark.tracking.database import default_uri

    uri = default_uri(root)
    found: Found = {}
    for experiment in MlflowClient(uri).search_experiments(filter_string="name != 'Default'"):
        for name, run in dump_experiment(uri, experiment.name).items():
            run["curves"] = {m: [p[:2] for p in c] for m, c in run["curves"].items()}  # type: ignore[attr-defined]
            if run["tags"]["level"] == "sweep":  # single values: as often as it was looked at
                run["curves"] = {m: run["curves"][m] for m in ("sweep/dsc", "sweep/best_so_far")}  # type: ignore[index]
            found[f"{experiment.name}/{name}"] = run
    return found


def without_clocks(value: Any) -> Any:
    """The same without what a clock, a path or the code's own version says."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if not any(word in k for word in CLOCKS)}
        return {k: without_clocks(v) for k, v in kept.items()}
    return [without_clocks(one) for one in value] if isinstance(value, list) else value


def flat(value: Any, name: str = "") -> dict[str, str]:
    """Every single value by its path."""
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for part, one in pairs for k, v in flat(one, f"{name}/{part}").items()}
    return {name: str(value)}


def differences(before: Found, after: Found) -> Iterator[str]:
    """Yield a line for each value that is not the same in both."""
    one, other = flat(before), flat(after)
    for name in sorted(one.keys() | other.keys()):
        if one.get(name) != other.get(name):
            yield f"{name}: {one.get(name)} | {other.get(name)}"


if __name__ == "__main__":
    sys.exit(main())
