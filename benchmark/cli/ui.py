"""`bench ui`: the MLflow UI on this workspace."""

from __future__ import annotations

import argparse

from benchmark.cli.options import MOST_PORT, add_common, at_most
from benchmark.cli.out import put

HELP = "open the MLflow UI on this workspace"
COLUMNS = (
    "cv/dsc/mean", "cv/dsc_minus_unet/mean", "cv/low_dsc_minus_unet/mean",
    "cv/high_dsc_minus_unet/mean", "cv/assd/mean", "cv/assd_minus_unet/mean",
)  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--port", type=at_most(MOST_PORT), default=5000)
    parser.add_argument("--mlflow", metavar="URI", help="tracking URI (default: the local one)")
    add_common(parser, json=False)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C. Raises `BadInput` for a workspace or port that cannot be used."""
    from benchmark.cli.session import stored
    from benchmark.tracking.mirror import default_uri
    from benchmark.tracking.ui import serve

    stored(args)
    return serve(
        args.root, args.mlflow or default_uri(args.root), args.port, columns=COLUMNS, say=_say
    )


def _say(line: str) -> None:
    put(line, flush=True)
