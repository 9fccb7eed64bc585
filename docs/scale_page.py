"""docs/scale.md: what was measured, and what follows for a million cells and a thousand GPUs."""

from __future__ import annotations

from typing import Any

SIZES = (1_000, 10_000, 100_000, 1_000_000)
GPUS = 1_000
TASKS = 2  # of a cell of one training: train, and score
FILES = 8  # of a cell: its entry; rows, label maps, checksums; weights, record, checksums; a lock
START = {"status": 3.0, "report": 4.0, "sync": 10.0}  # processor seconds before the first cell

HEAD = """# How many cells

Written by `python docs/scale.py page` from `scale.json`; do not edit by hand.

A *cell* is one row on one data set, fold and seed. This page says what commands take at 100,000
cells, what a Ray cluster adds to each, and where bench would have to be built otherwise.
"""

PLAN = """
## What ends first

{first}
- **A thousand GPUs.** One driver hands out a task in {task_ms:.1f} ms of its processor, and a cell
  of one training is {tasks} tasks. So {gpus:,} GPUs are kept busy where a cell takes {busy:.0f} s
  or more on its GPU; trainings of the preset `paper` are far longer. For short ones give each suite
  a driver of its own: they share trainings through the workspace.
- **The head of the cluster** keeps {head_kib:.1f} KiB of each task, {head_gib:.1f} GiB for a
  million cells: start a new cluster before that.
- **A file a cell.** The ledger has one small JSON file a cell, so that a kill never harms the entry
  of another cell. A million cells are {gib:.1f} GiB in a million files, and {files} million files
  in all; many shared file systems give a user one million. What would replace it is a ledger of
  segments: each driver appends what ended to a Parquet file of its own, and a reader takes the
  newest entry of each cell. `Ledger.write` and `Ledger.entries` are all that knows of the files.
- **MLflow** takes {run_ms:.0f} ms of a processor and {run_kib:.0f} KiB of its database a cell.
  No training waits for it. Beyond some 10,000 cells leave it out (`--mlflow none`).
"""


def page(found: dict[str, Any]) -> str:
    """Return the page; a part that was not measured raises `KeyError`."""
    planted, ray, sent = found["planted"], found["ray"], found["mlflow"]
    per_task = ray["driver_seconds"] / ray["tasks"]
    head = (ray["head_mib"][1] - ray["head_mib"][0]) * 1024 / ray["tasks"]
    run = slope("sync", sent["sync"], sent["cells"])
    values = {
        "first": first(found),
        "task_ms": 1000 * per_task,
        "tasks": TASKS,
        "gpus": GPUS,
        "busy": max(1, GPUS * TASKS * per_task),
        "head_kib": head,
        "head_gib": head * TASKS * SIZES[-1] / 2**20,
        "gib": planted["entry_bytes"] * SIZES[-1] / 2**30,
        "files": FILES,
        "run_ms": 1000 * run,
        "run_kib": sent["bytes"] / sent["cells"] / 1024,
    }
    return "\n".join([HEAD, *measured(found), "", *grown(found), ""]) + PLAN.format(**values)


def measured(found: dict[str, Any]) -> list[str]:
    """Return the table of what was measured."""
    planted, ray, sent = found["planted"], found["ray"], found["mlflow"]
    what = f"{planted['cells']:,} cells with {planted['rows']:,} computed rows"
    lines = [
        "## Measured",
        "",
        "| command | what | processor | clock | memory |",
        "|---|---|---|---|---|",
    ]
    for name, told in {
        "status": "bench status",
        "report": "bench report",
        "gc": "bench store gc --dry-run",
    }.items():
        lines.append(f"| `{told}` | {what} | {spent(planted[name])} |")
    lines.append(f"| `bench sync` | {sent['cells']:,} cells into SQLite | {spent(sent['sync'])} |")
    head, tail = ray["head_mib"]
    what = f"{ray['tasks']:,} tasks that find their training stored, {ray['nodes']} nodes here"
    driver = f"{ray['driver_seconds']:.0f} s (driver) | {ray['seconds']:.0f} s"
    taken = f"driver {ray['driver_mib']:,} MiB, head {head} to {tail} MiB"
    loads = ", ".join(str(found[part]["load"]) for part in ("planted", "mlflow", "ray"))
    return [
        *lines,
        f"| `--executor ray` | {what} | {driver} | {taken} |",
        "",
        f"A task took {1000 * ray['seconds'] / ray['tasks']:.1f} ms by the clock, with driver and",
        f"nodes on the same two cores of an {planted['machine']}. The load of the machine was",
        f"{loads}; from 2 on all of it is used, so these times are upper bounds.",
        *(["", planted["since"]] if "since" in planted else []),  # goes with a new measurement
    ]


def spent(of: dict[str, float]) -> str:
    """Return the cells of a table: processor, clock, memory."""
    return f"{of['cpu_seconds']:.0f} s | {of['seconds']:.0f} s | {of['mib']:,} MiB"


def slope(name: str, of: dict[str, float], cells: int) -> float:
    """Return the processor seconds of each cell, without the start."""
    return max(of["cpu_seconds"] - START[name], 0.0) / cells


def grown(found: dict[str, Any]) -> list[str]:
    """Return the table of what follows, linear in cells."""
    planted, sent = found["planted"], found["mlflow"]
    per = {name: slope(name, planted[name], planted["cells"]) for name in ("status", "report")}
    run = slope("sync", sent["sync"], sent["cells"])
    lines = [
        "## What follows",
        "",
        "Counted on from the table above, each in proportion to the cells:",
        "",
        "| cells | ledger | files | `bench status` | `bench report` | `bench sync` |",
        "|---|---|---|---|---|---|",
    ]
    for size in SIZES:
        times = [
            duration(START[name] + each * size) for name, each in (*per.items(), ("sync", run))
        ]
        mib = planted["entry_bytes"] * size / 2**20
        lines.append(f"| {size:,} | {mib:,.1f} MiB | {FILES * size:,} | {' | '.join(times)} |")
    return lines


def duration(seconds: float) -> str:
    """Return seconds in a unit that suits them."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def first(found: dict[str, Any]) -> str:
    """Say which command is slow first."""
    planted = found["planted"]
    status = slope("status", planted["status"], planted["cells"])
    most = (20 - START["status"]) / status if status else float("inf")
    gib = planted["report"]["mib"] / 1024
    report = duration(planted["report"]["cpu_seconds"])
    return "\n".join(
        (
            f"- **Reading.** `bench status` stays under 20 s up to {most:,.0f} cells.",
            f"  `bench report` read {planted['rows']:,} rows in {report} and {gib:.1f} GiB. It",
            "  reads one suite at a time (`--suite`), and so do all tables and tests.",
        )
    )
