"""How many cells bench can hold, and hand to a Ray cluster: measured, and counted on from there.

python docs/scale.py planted 100000     # status and report of that many cells with synthetic rows
python docs/scale.py mlflow 400         # those cells as MLflow runs in a database of the workspace
python docs/scale.py ray 20000          # tasks with nothing to do, on four Ray nodes here
python docs/scale.py page               # docs/scale.md from docs/scale.json

Each measurement has a temporary folder of its own; the load of the machine is noted, since times by
the clock grow with it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import scale_page

from benchmark.data.library import open_dataset
from benchmark.files.atomic import write_json
from benchmark.running.bench import Options
from benchmark.running.cells import Cell, plan_cells
from benchmark.running.conduct import Conductor
from benchmark.running.execute import execute
from benchmark.running.executors.cluster import Wanted
from benchmark.running.executors.ray import OnRay
from benchmark.running.tasks import Graph, Task, Work, trainings_of
from benchmark.settings.registry import load_registry
from benchmark.settings.resolve import resolve
from benchmark.store.workspace import open_workspace
from benchmark.training.precision import processor_name

HERE = Path(__file__).parent
FOUND = HERE / "scale.json"
TINY = {"ground.size": None, "ct.width": 4, "ct.levels": 3, "schedule.steps_per_epoch": 1}
TINY |= {"schedule.epochs": 1}
SEEDS_OF = 5  # folds


def timed(*argv: str, cwd: Path) -> dict[str, float]:
    """Run a `bench` command; return its seconds by the clock and of the processor, and the peak of
    its memory in MiB."""
    began, peak, spent = time.monotonic(), 0, 0.0
    with (cwd / "log").open("wb") as log:
        process = psutil.Popen([sys.executable, "-m", "benchmark.cli.main", *argv], stdout=log)
        while process.poll() is None:
            try:
                peak = max(peak, process.memory_info().rss)
                spent = sum(process.cpu_times()[:2])
            except psutil.Error:
                break
            time.sleep(0.05)
    if process.wait():
        raise SystemExit(f"bench {' '.join(argv)} ended with {process.returncode}")
    seconds = round(time.monotonic() - began, 1)
    return {"seconds": seconds, "cpu_seconds": round(spent, 1), "mib": round(peak / 2**20)}


def planted(cells: int, folder: Path) -> dict[str, Any]:
    """Measure what reads a workspace of many cells."""
    sys.path.insert(0, str(HERE.parent / "tests" / "helpers"))
    import many_cells

    root = folder / "w"
    rows = many_cells.write_cells(root, cells)
    entries = [path.stat().st_size for path in (root / "ledger").rglob("*.json")]
    there = ("--root", str(root))
    return {
        "cells": cells,
        "rows": rows,
        "entry_bytes": round(sum(entries) / len(entries)),
        "status": timed("status", *there, cwd=folder),
        "report": timed("report", "--skip-hard-cases", *there, cwd=folder),
        "gc": timed("store", "gc", "--dry-run", *there, cwd=folder),
    }


def in_mlflow(cells: int, folder: Path) -> dict[str, Any]:
    """Measure what brings cells into MLflow's database."""
    sys.path.insert(0, str(HERE.parent / "tests" / "helpers"))
    import many_cells

    root = folder / "w"
    many_cells.write_cells(root, cells)
    spent = timed("sync", "--root", str(root), cwd=folder)
    return {"cells": cells, "sync": spent, "bytes": (root / "mlflow.db").stat().st_size}


def options_of(root: Path) -> Options:
    """Return how the tasks are run."""
    return Options(root=root, device="cpu", precision="fp32", threads=1)


def stored_tasks(root: Path, cells: int) -> tuple[list[Cell], list[Task]]:
    """Return cells whose trainings are all stored (copies of one that was trained), and a task for
    each of these."""
    bench, dataset = options_of(root).open(), open_dataset(root, "tiny")
    setting = resolve(load_registry(), "unet", "quick", TINY)
    every = plan_cells(setting, dataset, folds=range(SEEDS_OF), seeds=range(cells // SEEDS_OF))
    (trained,) = execute(every[0].final.node, every[0].data, every[0].seed, bench)
    record = bench.objects.record(trained)
    states = {net: bench.objects.weights(trained, net) for net in every[0].final.node.nets}
    tasks = []
    for cell in every:
        for key, node, _ in trainings_of(cell):
            if not bench.objects.has(key):
                bench.objects.commit(key, states, {**record, "key": key})
            tasks.append(
                Task(
                    name=key,
                    title=node.title,
                    scores=False,
                    cell=cell.name,
                    entry=cell.entry("scale").name,
                    needs=frozenset(),
                    group=0,
                    seconds=1.0,
                )
            )
    return every, tasks


def on_ray(cells: int, folder: Path, nodes: int = 4) -> dict[str, Any]:
    """Measure what a task costs that has nothing to do, from the conductor's start to its end."""
    sys.path.insert(0, str(HERE.parent / "tests" / "helpers"))
    from bench_process import tiny_workspace
    from ray_nodes import cluster

    root = folder / "w"
    open_workspace(root)
    tiny_workspace(root, patients=15)
    every, tasks = stored_tasks(root, cells)
    bench = options_of(root).open()
    with cluster(nodes) as found:
        os.environ |= {k: v for k, v in found.environment.items() if k.startswith("RAY_")}
        executor = OnRay(
            options=options_of(root), wanted=Wanted(address=found.address, device="cpu")
        )
        executor.start()
        entries = [cell.entry("scale") for cell in every]
        work = Work(graph=Graph(tasks), entries={entry.name: entry for entry in entries})
        head = found.running[0]
        before = memory(head.processes("gcs_server"))
        began = time.monotonic()
        spent = time.process_time()
        conductor = Conductor(work=work, executor=executor, bench=bench)
        while not work.graph.is_done:
            conductor.step(0.5)
        seconds, spent = time.monotonic() - began, time.process_time() - spent
        failed = [entry for entry in conductor.entries.values() if entry.state == "failed"]
        head_mib = memory(head.processes("gcs_server"))
        executor.close()
    if failed:
        raise SystemExit(f"{len(failed)} tasks failed: {failed[0].error}")
    return {
        "tasks": len(tasks),
        "nodes": nodes,
        "seconds": round(seconds, 1),
        "driver_seconds": round(spent, 1),  # of the processor
        "driver_mib": round(psutil.Process().memory_info().rss / 2**20),
        "head_mib": [before, head_mib],
        "status": timed("status", "--root", str(root), cwd=folder),
    }


def memory(processes: list[psutil.Process]) -> int:
    """Return the memory of processes in MiB."""
    return round(sum(each.memory_info().rss for each in processes) / 2**20)


PARTS = {"planted": planted, "mlflow": in_mlflow, "ray": on_ray}


def main() -> None:
    """Measure one part and note it, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", choices=(*PARTS, "page"))
    parser.add_argument("cells", nargs="?", type=int, default=1000)
    args = parser.parse_args()
    if args.part != "page":
        with tempfile.TemporaryDirectory() as folder:
            part = PARTS[args.part](args.cells, Path(folder))
        part |= {"machine": processor_name(), "load": round(os.getloadavg()[1], 1)}
        print(json.dumps(part, indent=1))
        write_json(FOUND, {**known(), args.part: part})
    else:
        (HERE / "scale.md").write_text(scale_page.page(known()), encoding="utf-8")


def known() -> dict[str, Any]:
    """Return what was measured so far."""
    return json.loads(FOUND.read_text(encoding="utf-8")) if FOUND.exists() else {}


if __name__ == "__main__":
    main()
