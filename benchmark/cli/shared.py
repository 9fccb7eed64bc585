"""What every command has, those of other packages too: `--quiet` and `--log-file`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmark.cli.options import option


def below(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield the commands of a parser, each once though it may have several names."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from {id(each): each for each in action.choices.values()}.values()


def add_telling(parser: argparse.ArgumentParser) -> None:
    """Add `--quiet` and `--log-file` to each command below a parser, and their defaults to it."""
    commands = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    for each in below(parser):
        add_telling(each)
    if commands:
        parser.set_defaults(quiet=False, log_file=None)
    own = parser._option_string_actions
    if (commands and commands[0].required) or {"--quiet", "--log-file"} & own.keys():
        return
    none: Any = {"default": argparse.SUPPRESS}  # or it would undo what stood before the subcommand
    about = "print results, warnings and errors alone: no progress, no notices"
    parser.add_argument("--quiet", action="store_true", help=about, **none)
    about = "append all that is printed to FILE, each line with its time"
    option(parser, "--log-file", "FILE", about, type=Path, **none)
