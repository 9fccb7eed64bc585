"""`bench run`: one row through its trainings, folds and seeds, to rows, a table and MLflow."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from benchmark.cli.experiment import complete
from benchmark.cli.options import (
    add_common,
    add_hardware,
    add_reuse,
    add_setting,
    at_most,
    auto_or,
    folds_of,
    part_of,
    seconds,
    setting_of,
)
from benchmark.cli.workers import MOST_ASKED

if TYPE_CHECKING:
    from benchmark.cli.progress import Lines
    from benchmark.running.bench import Bench
    from benchmark.running.cells import Cell
    from benchmark.running.crew import Left
    from benchmark.store.ledger import Entry

HELP = "train and score one row: bench run --method fsm"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_setting(parser)
    add_hardware(parser)
    parser.add_argument(
        "--workers", type=auto_or(at_most(MOST_ASKED)), metavar="auto|N",
        help="processes that train; 1: this one (default: auto, what cores or GPUs and work allow)",
    )  # fmt: skip
    parser.add_argument("--fresh", action="store_true", help="train again what is stored")
    add_reuse(parser)
    parser.add_argument(
        "--checkpoint-seconds", type=seconds, default=30.0, metavar="N",
        help="a training saves itself every N seconds (default 30)",
    )  # fmt: skip
    parser.add_argument("--mlflow", metavar="URI", help="tracking URI, or none (default: local)")
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command; returns 0, or 1 where a cell failed. Raises `BadInput`."""
    from benchmark.cli.progress import watcher
    from benchmark.cli.session import open_session
    from benchmark.running.cells import plan_cells
    from benchmark.running.following import follow
    from benchmark.store.ledger import SCRATCH

    complete(args)
    setting = setting_of(args)
    with watcher() as watch:
        bench, dataset = open_session(args, watch, setting, may_read=not args.fresh)
        cells = plan_cells(
            setting, dataset, folds=folds_of(args), seeds=args.seeds, part=part_of(args)
        )
        watch.expect(cells, bench)
        with follow(args.mlflow, bench, SCRATCH, watch.warn), bench.stop.listening():
            entries = _entries(args, cells, bench, watch)
    from benchmark.cli.show import show_run  # its tables load much that no training waits for

    show_run(bench, entries, as_json=args.json)
    _say_failures(bench, entries)
    return 0 if all(entry.state == "done" for entry in entries) else 1


def _entries(args: argparse.Namespace, cells: list[Cell], bench: Bench, show: Lines) -> list[Entry]:
    """Run the cells, here or by several workers; of a workspace that is only read, take them."""
    from benchmark.running.cells import run_cells, stored_cells
    from benchmark.store.workspace import is_read_only

    if is_read_only(args.root):
        return stored_cells(cells, bench)
    left, workers = _workers(args, cells, bench)
    if workers > 1:
        from benchmark.cli.several import run_by_workers

        return run_by_workers(args, cells, bench, left, workers, show)
    return run_cells(cells, bench, go_on=True)


def _workers(args: argparse.Namespace, cells: list[Cell], bench: Bench) -> tuple[Left, int]:
    """What is left to train, and by how many processes."""
    from benchmark.cli.session import say
    from benchmark.cli.workers import run_workers
    from benchmark.running.crew import left_of, why_not_sent

    setting, left = cells[0].setting, left_of(cells, bench)
    workers = run_workers(args, setting.ground.size, left)
    if workers > 1 and (why := why_not_sent(setting)):
        say(f"one worker alone trains: another process cannot make {setting.row} ({why})")
        workers = 1
    return left, workers


def _say_failures(bench: Bench, entries: list[Entry]) -> None:
    failed = [entry for entry in entries if entry.state != "done"]
    for entry in failed:
        print(
            f"bench: {entry.label} fold {entry.fold} seed {entry.seed} failed: {entry.error}",
            file=sys.stderr,
        )
