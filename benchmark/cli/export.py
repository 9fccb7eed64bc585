"""`bench export`: what lies in the workspace, as files for other tools."""

from __future__ import annotations

import argparse

from benchmark.cli import export_splits

HELP = "files for other tools: bench export splits --for nnunet --dataset mine"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    commands = parser.add_subparsers(required=True, metavar="splits")
    splits = commands.add_parser("splits", help=export_splits.HELP)
    splits.set_defaults(action=export_splits.run)
    export_splits.configure(splits)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand. Raises `BadInput`."""
    code: int = args.action(args)
    return code
