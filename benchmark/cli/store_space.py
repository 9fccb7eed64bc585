"""`bench store du` and `bench store rm`: what takes how much room, and a row's room given back."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.cli.options import add_common, flag, option
from benchmark.cli.out import print_rows, put, put_json
from benchmark.cli.which import which_split
from benchmark.errors import BadInput, near
from benchmark.plan.wording import counted

if TYPE_CHECKING:
    from benchmark.store.ledger import Entry
    from benchmark.store.workspace import Workspace

Pair = tuple[str, str]  # (key, evaluation)
DATA, GRIDS, LINES = "data sets", "data sets on training grids", "reference lines"
NETWORKS, PARTIAL = "trained networks", "checkpoints of unfinished trainings"
RESULTS, ASIDE = "rows and label maps", "set aside"
BOOKS, MLFLOW, REPORTS, OTHER = "ledger, plans, code", "MLflow", "reports, logs, sweeps", "other"
PARTS = (DATA, GRIDS, LINES, NETWORKS, PARTIAL, RESULTS, ASIDE, BOOKS, MLFLOW, REPORTS, OTHER)
OF_FOLDER = {
    "data": DATA,
    "objects": NETWORKS,
    "results": RESULTS,
    "ledger": BOOKS,
    "code": BOOKS,
    "mlartifacts": MLFLOW,
    "reports": REPORTS,
    "logs": REPORTS,
}


def configure(commands: Any) -> None:
    """Add the two subcommands."""
    du = commands.add_parser("du", help="what takes how much room, by part and by row")
    du.set_defaults(action=_du)
    add_common(du)
    rm = commands.add_parser("rm", help="remove a row's cells, and what no other row needs of it")
    option(rm, "rows", "ROW", "a row with its stages, or a label as tables print it", nargs="+")
    option(rm, "--dataset", "NAME", "default: all")
    option(rm, "--preset", "NAME", "default: all")
    option(rm, "--suite", "NAME", "default: all suites")
    about = "default: all; else the first digits of a split's fingerprint, or its file"
    option(rm, "--split", "FILE", about)
    flag(rm, "--dry-run", "only say what would go")
    rm.set_defaults(action=_rm)
    add_common(rm)


def referred(entries: Iterable[Entry]) -> tuple[set[str], set[Pair]]:
    """Return the trainings and the evaluations that entries of the ledger refer to."""
    known = list(entries)
    probes = {(key, evaluation) for entry in known for _, key, evaluation in entry.probes}
    nodes = {key for entry in known for key in entry.nodes} | {key for key, _ in probes}
    return nodes, {(entry.key, entry.evaluation) for entry in known} | probes


def part_of(path: Path) -> str:
    """Return what a file of a workspace is for, by its path below it."""
    first, second, third, *_ = (*path.parts, "", "")
    if first in ("objects", "results") and second == "aside":
        return ASIDE
    if first == "objects" and second.endswith(".partial"):
        return PARTIAL
    if first == "data":
        return {"slices": GRIDS, "ceilings": LINES}.get(third, DATA)
    if first.startswith("mlflow.db"):
        return MLFLOW
    return REPORTS if first.startswith("sweeps.db") else OF_FOLDER.get(first, OTHER)


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder; 0 where it is not there."""
    files = [path] if path.is_file() else path.rglob("*")
    found = 0
    for file in files:
        try:
            found += file.stat().st_size if file.is_file() and not file.is_symlink() else 0
        except OSError:  # it went while we looked
            continue
    return found


def shown_size(size: int) -> str:
    """Return bytes as a person reads them: "1.5 GiB"."""
    value, units = float(size), ("B", "KiB", "MiB", "GiB")
    for unit in units:
        if value < 1024 or unit == units[-1]:
            break
        value /= 1024
    return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"


@dataclass(kw_only=True)
class _Sizes:
    """The room that trainings and evaluations take, each measured once."""

    workspace: Workspace
    known: dict[Path, int]

    def of(self, nodes: Collection[str], evaluations: Collection[Pair]) -> int:
        objects, results = self.workspace.objects.folder, self.workspace.results
        paths = [objects / key for key in nodes]
        for key, evaluation in evaluations:
            beside = results.beside(key, evaluation).values()
            paths += [results.path(key, name) for name in (evaluation, *beside)]
        for path in paths:
            if path not in self.known:
                self.known[path] = size_of(path)
        return sum(self.known[path] for path in set(paths))


def _du(args: argparse.Namespace, workspace: Workspace) -> int:
    root, sizes = workspace.root, _Sizes(workspace=workspace, known={})
    parts = dict.fromkeys(PARTS, 0)
    for path in root.rglob("*"):
        parts[part_of(path.relative_to(root))] += size_of(path) if path.is_file() else 0
    total = sum(parts.values())
    entries = workspace.ledger.entries()
    rows = []
    for label, dataset, preset in dict.fromkeys((e.label, e.dataset, e.preset) for e in entries):
        own = [e for e in entries if (e.label, e.dataset, e.preset) == (label, dataset, preset)]
        nodes, evaluations = referred(own)
        kept = referred(entry for entry in entries if entry not in own)
        alone = sizes.of(nodes - kept[0], evaluations - kept[1])
        about = {"row": label, "dataset": dataset, "preset": preset, "cells": len(own)}
        rows.append({**about, "bytes": sizes.of(nodes, evaluations), "alone": alone})
    rows.sort(key=lambda row: -int(str(row["alone"])))
    if args.json:
        put_json({"total": total, "parts": parts, "rows": rows})
        return 0
    for what, size in parts.items():
        put(f"{shown_size(size):>10s}  {what}")
    put(f"{shown_size(total):>10s}  all of {root}")
    body = [
        (*(str(row[name]) for name in ("row", "dataset", "preset", "cells")),
         shown_size(int(str(row["bytes"]))), shown_size(int(str(row["alone"]))))
        for row in rows
    ]  # fmt: skip
    headings = ("row", "data set", "preset", "cells", "uses", "alone")
    print_rows("rows, with all their trainings", headings, body, left=3)
    put("alone: what bench store rm ROW gives back; the rest is shared with other rows")
    return 0


def _rm(args: argparse.Namespace, workspace: Workspace) -> int:
    """Remove the cells of rows: their lines in the ledger first, then what no other line needs."""
    from benchmark.store.workspace import open_workspace

    if damaged := workspace.ledger.damaged():
        raise BadInput(
            f"nothing is removed: {', '.join(damaged)} in the ledger cannot be read, and what it "
            "refers to is not known; remove it or run its row again"
        )
    chosen = _chosen(args, workspace)
    kept = referred(entry for entry in workspace.ledger.entries() if entry not in chosen)
    mine = referred(chosen)
    nodes = sorted(mine[0] - kept[0])
    evaluations = sorted(mine[1] - kept[1])
    freed = _Sizes(workspace=workspace, known={}).of(nodes, evaluations)
    if not args.dry_run:
        open_workspace(args.root)  # else one that is only read
        for entry in chosen:
            workspace.ledger.remove(entry)
        for key, evaluation in evaluations:
            workspace.results.remove(key, evaluation)
        nodes = [key for key in nodes if workspace.objects.remove(key)]  # not one that is trained
    labels = list(dict.fromkeys(f"{entry.label} on {entry.dataset}" for entry in chosen))
    if args.json:
        told = {"rows": labels, "cells": len(chosen), "trainings": nodes, "bytes": freed}
        put_json({**told, "dry_run": args.dry_run})
        return 0
    verb = "would remove" if args.dry_run else "removed"
    put(
        f"{verb} {counted(len(chosen), 'cell')} of {', '.join(labels)}, with "
        f"{counted(len(nodes), 'training')} and {counted(len(evaluations), 'result')} that no "
        f"other row needs: {shown_size(freed)}"
    )
    return 0


def _chosen(args: argparse.Namespace, workspace: Workspace) -> list[Entry]:
    from benchmark.analysis.naming import short
    from benchmark.analysis.suites import chosen_suite

    suite = chosen_suite(workspace, args.suite).name if args.suite else None
    wanted = {"suite": suite, "dataset": args.dataset, "preset": args.preset}
    known = [
        entry
        for entry in workspace.ledger.compared()
        if all(value in (None, getattr(entry, name)) for name, value in wanted.items())
    ]
    found: dict[Pair, Entry] = {}
    for row in args.rows:
        names = [(e, {e.label, short(e.label), e.row}) for e in known]
        stages = [(e, {each.partition("@")[0] for each in of}) for e, of in names]
        matching = [e for e, of in (*names, *stages) if row in of]
        if not matching:
            rows = dict.fromkeys(short(e.label) for e in known)
            there = f"{near(row, rows)}there is {', '.join(rows) or 'nothing'}"
            raise BadInput(f"no row {row!r} among these cells: {there}")
        found |= {(e.suite, e.name): e for e in matching}
    digits = which_split(args, list(found.values()))
    return [entry for entry in found.values() if entry.split.startswith(digits)]
