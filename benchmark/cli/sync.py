"""`bench sync`: fill an MLflow from the workspace, the local one or another."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from benchmark.cli.options import add_common, flag, option, seconds
from benchmark.cli.out import put, say, warn
from benchmark.cli.session import need, stored
from benchmark.plan.wording import counted

if TYPE_CHECKING:
    from benchmark.running.following import Disk
    from benchmark.tracking.sync import Synced

HELP = "fill MLflow from what is on disk"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    option(parser, "--mlflow", "URI", "tracking URI (default: the local one)")
    about = "go on with what changes, until Ctrl-C or until nothing trains and changes any more"
    flag(parser, "--follow", about)
    about = "--follow ends when nothing has changed for N seconds (default 60)"
    option(parser, "--idle", "N", about, type=seconds, default=60.0)
    add_common(parser, json=False)


def run(args: argparse.Namespace) -> int:
    """Send every row and cell that is missing there. Raises `BadInput` where nobody answers."""
    from benchmark.running.following import Disk
    from benchmark.running.mlflow_runs import row_reports, suite_reports
    from benchmark.tracking.database import default_uri
    from benchmark.tracking.sync import sync

    workspace = stored(args)
    need("mlflow")
    uri = args.mlflow or default_uri(args.root)
    disk = Disk(workspace)
    entries = workspace.ledger.compared()  # `bench sweep run` shows its trials in MLflow itself
    synced = sync(
        uri,
        args.root / "mlartifacts",
        row_reports(workspace, entries),
        suites=suite_reports(workspace, entries),
        others=disk.in_work(entries),
        training={entry.key for entry in entries if disk.is_held(entry)},
        say=warn,
    )
    _print(synced)
    whole = not synced.refused
    return 0 if (_follow(args, uri, disk) if args.follow else True) and whole else 1


def _print(synced: Synced) -> None:
    suites = f" of {counted(synced.suites, 'suite')}" if synced.suites else ""
    put(
        f"{counted(synced.rows, 'row')} and {counted(synced.cells, 'cell')}{suites} are in MLflow; "
        f"sent now: {counted(synced.runs, 'run')}, {counted(synced.points, 'point')}, "
        f"{counted(synced.files, 'file')}; removed {synced.removed}, "
        f"ended {synced.ended}",
        flush=True,
    )
    for line in synced.refused:
        put(f"refused: {line}", flush=True)


def _follow(args: argparse.Namespace, uri: str, disk: Disk) -> bool:
    """Keep MLflow up to date until Ctrl-C or until all is at rest; return whether it took all."""
    from benchmark.tracking.follower import Follower

    say(f"following {args.root}, until Ctrl-C or until nothing changes for {args.idle:g} s")
    follower = Follower(uri, disk, artifacts=args.root / "mlartifacts", warn=warn)
    try:
        while disk.busy or time.monotonic() - follower.told_at < args.idle:
            time.sleep(0.2)
    except KeyboardInterrupt:
        pass  # a person has seen enough: nothing is lost
    return follower.close()
