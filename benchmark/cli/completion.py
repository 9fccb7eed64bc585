"""`bench completion SHELL`: a script with which the shell completes commands, options and names."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import cache

from benchmark.cli.options import DEFAULT_ROOT
from benchmark.cli.out import put
from benchmark.cli.session import need
from benchmark.cli.shared import below

HELP = 'the shell\'s completion: eval "$(bench completion bash)" in ~/.bashrc'
SHELLS = ("bash", "zsh", "tcsh")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("shell", choices=SHELLS, metavar="|".join(SHELLS))


def run(args: argparse.Namespace) -> int:
    """Print the script; returns 0. Rows, presets and data sets in it are those of now, so that
    nothing is loaded at a TAB. Raises `BadInput` where shtab is not installed."""
    need("shtab")
    import shtab

    from benchmark.cli.main import whole_parser

    parser = whole_parser()
    _offer(parser)
    put(shtab.complete(parser, shell=args.shell), end="")
    return 0


def _offer(parser: argparse.ArgumentParser) -> None:
    """Give options that take a name the names that there are, and those that take a path files."""
    import shtab

    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            continue
        if isinstance(action.choices, dict):  # shtab 1.13 takes any table for subcommands
            action.choices = list(action.choices)
        if action.choices is None and (names := _names().get(action.dest)):
            action.choices = list(names)
        elif action.dest in ("root", "out", "log_file", "config", "path", "image"):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    for each in below(parser):
        _offer(each)


@cache
def _names() -> Mapping[str, Sequence[str]]:
    from pathlib import Path

    from benchmark.data.library import known_names
    from benchmark.plan.presets import PRESETS
    from benchmark.settings.registry import load_registry

    rows = sorted(load_registry().rows)
    sets = known_names(Path(DEFAULT_ROOT))
    devices, precisions = ("auto", "cpu", "cuda"), ("auto", "fp32", "bf16")
    return {"method": rows, "rows": ["table1", "controls", "all", *rows], "dataset": sets,
            "datasets": sets, "preset": list(PRESETS), "device": devices,
            "precision": precisions, "mlflow": ("none",)}  # fmt: skip
