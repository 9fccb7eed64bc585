"""`bench ui`: the MLflow UI on this workspace."""

from __future__ import annotations

import argparse
from functools import partial

from benchmark.cli.options import MOST_PORT, add_common, at_most, option
from benchmark.cli.out import put
from benchmark.cli.session import need, stored

HELP = "open the MLflow UI on this workspace"
COLUMNS = ("cv/dsc/mean", "cv/assd/mean")  # beside the tags: the gain with its interval, flags


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--port", type=at_most(MOST_PORT), default=5000)
    option(parser, "--mlflow", "URI", "tracking URI (default: the local one)")
    add_common(parser, json=False)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C. Raises `BadInput` for a workspace or port that cannot be used."""
    from benchmark.tracking.database import default_uri
    from benchmark.tracking.ui import serve

    stored(args)
    need("mlflow")
    uri = args.mlflow or default_uri(args.root)
    return serve(args.root, uri, args.port, columns=COLUMNS, say=partial(put, flush=True))
