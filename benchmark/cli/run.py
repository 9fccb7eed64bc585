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
    folds_of,
    part_of,
    seconds,
    setting_of,
)

if TYPE_CHECKING:
    from benchmark.running.bench import Bench
    from benchmark.store.ledger import Entry

HELP = "train and score one row: bench run --method fsm"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_setting(parser)
    add_hardware(parser)
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
    from benchmark.cli.live import live_mirror
    from benchmark.cli.progress import watcher
    from benchmark.cli.session import open_session
    from benchmark.cli.show import show_run
    from benchmark.running.cells import plan_cells, run_cells, stored_cells
    from benchmark.store.workspace import is_read_only

    complete(args)
    setting = setting_of(args)
    with watcher() as watch, live_mirror(args, watch) as mirrored:
        bench, dataset = open_session(args, mirrored, setting, may_read=not args.fresh)
        cells = plan_cells(
            setting, dataset, folds=folds_of(args), seeds=args.seeds, part=part_of(args)
        )
        watch.expect(cells, bench)
        mirrored.bench = bench
        with bench.stop.listening():
            entries = (
                stored_cells(cells, bench)
                if is_read_only(args.root)
                else run_cells(
                    cells, bench, started=mirrored.started, done=mirrored.cell_done, go_on=True
                )
            )
        mirrored.row_done(entries)
    show_run(bench, entries, as_json=args.json)
    _say_failures(bench, entries)
    return 0 if all(entry.state == "done" for entry in entries) else 1


def _say_failures(bench: Bench, entries: list[Entry]) -> None:
    failed = [entry for entry in entries if entry.state != "done"]
    for entry in failed:
        print(
            f"bench: {entry.label} fold {entry.fold} seed {entry.seed} failed: {entry.error}",
            file=sys.stderr,
        )
