"""`bench export`: what lies in the workspace, as files for other tools."""

from __future__ import annotations

import argparse

from benchmark.cli import export_row

HELP = "label maps, weights and rows as files: bench export --method fsm -o DIR"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of a row's export; words such as `splits` are subcommands beside them."""
    export_row.configure(parser)
    parser.set_defaults(action=export_row.run)


def run(args: argparse.Namespace) -> int:
    """Run what was asked for. Raises `BadInput`."""
    code: int = args.action(args)
    return code
