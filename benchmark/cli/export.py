"""`bench export`: what lies in the workspace, as files for other tools."""

from __future__ import annotations

import argparse

from benchmark.cli import export_row, export_splits

HELP = "a row's label maps, weights and scores as files: bench export --method fsm -o DIR; or a "
HELP += "data set's folds: bench export splits --for nnunet --dataset mine"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of a row's export, and the words beside it."""
    export_row.configure(parser)
    parser.set_defaults(action=export_row.run)
    commands = parser.add_subparsers(metavar="[splits]")
    splits = commands.add_parser("splits", help=export_splits.HELP)
    splits.set_defaults(action=export_splits.run)
    export_splits.configure(splits)


def run(args: argparse.Namespace) -> int:
    """Run what was asked for. Raises `BadInput`."""
    code: int = args.action(args)
    return code
