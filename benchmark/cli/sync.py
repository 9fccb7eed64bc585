"""`bench sync`: fill an MLflow from the workspace, the local one or another."""

from __future__ import annotations

import argparse

from benchmark.cli.options import add_common
from benchmark.cli.out import put

HELP = "fill MLflow from what is on disk"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--mlflow", metavar="URI", help="tracking URI (default: the local one)")
    add_common(parser, json=False)


def run(args: argparse.Namespace) -> int:
    """Send every row and cell that is missing there. Raises `BadInput` where nobody answers."""
    from benchmark.cli.session import say, stored
    from benchmark.running.reports import row_reports, suite_reports
    from benchmark.tracking.mirror import default_uri
    from benchmark.tracking.sync import sync

    workspace = stored(args)
    uri = args.mlflow or default_uri(args.root)
    entries = workspace.ledger.compared()  # `bench sweep run` shows its trials in MLflow itself
    running = {e.key for e in entries if any(workspace.objects.is_training(k) for k in e.nodes)}
    synced = sync(
        uri,
        args.root / "mlartifacts",
        row_reports(workspace, entries),
        suites=suite_reports(workspace, entries),
        training=running,
        say=lambda text: say(f"warning: {text}"),
    )
    suites = f" of {synced.suites} suites" if synced.suites else ""
    put(
        f"{synced.rows} rows and {synced.cells} cells{suites} are in MLflow; "
        f"sent now: {synced.runs} runs, "
        f"{synced.points} points, {synced.files} files; removed {synced.removed}, "
        f"ended {synced.ended}"
    )
    for line in synced.refused:
        put(f"refused: {line}")
    return 1 if synced.refused else 0
