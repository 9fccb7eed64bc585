"""A whole experiment in a file: what `--config FILE` gives to `bench run` and `bench plan`.

A file that has one of `NAMES` at its top is an experiment; any other holds values of a row alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from benchmark.errors import BadInput

SET = "set"
TEXTS = ("method", "preset", "dataset", "split")
LISTS = ("folds", "seeds")
NAMES = (*TEXTS, *LISTS, SET)
DEFAULTS = {"preset": "quick", "dataset": "phantom", "seeds": [0]}
LIMIT = 2**63  # a seed is stored as a 64-bit integer


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What a file says: `options` by the name of the option that each stands for, and `values` of
    the row by dotted name, as `--set` takes them."""

    options: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)


def read_experiment(path: Path) -> Experiment:
    """Return what a file (JSON or TOML) holds. Raises `BadInput` for a name or a value that does
    not belong there; names and values of the row are checked when the row is resolved."""
    from benchmark.settings.overrides import read_config

    found = read_config(path)
    firsts = {name.partition(".")[0] for name in found}
    if not firsts & set(NAMES):
        return Experiment(values=found)
    if unknown := sorted(firsts - set(NAMES)):
        first = unknown[0]
        raise BadInput(f"--config {path}: no name {first!r} in an experiment: {_hint(first)}")
    options = {n: v for n, v in found.items() if not n.startswith(f"{SET}.")}
    for name, value in options.items():
        _check(name, value, path)
    options |= {n: list(dict.fromkeys(options[n])) for n in LISTS if n in options}  # each once
    values = {n.removeprefix(f"{SET}."): v for n, v in found.items() if n not in options}
    return Experiment(options=options, values=values)


def values_alone(path: Path) -> Mapping[str, Any]:
    """Return a file's values of a row, for a command that runs no experiment. Raises `BadInput`
    for a file that holds more."""
    found = read_experiment(path)
    if found.options:
        raise BadInput(
            f"--config {path}: {', '.join(found.options)}: only bench run and bench plan read a "
            "whole experiment; give these as options and leave them out of the file"
        )
    return found.values


def complete(args: argparse.Namespace) -> None:
    """Fill in what the command line left open: from the experiment in `--config`, else the default.

    Reads the file once, since it may be a pipe, and leaves its values of the row in
    `args.config_values`. Raises `BadInput`, also where no row is named.
    """
    found = read_experiment(args.config) if args.config else Experiment()
    for name, value in {**DEFAULTS, **found.options}.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    args.config_values = found.values
    if args.method is None:
        raise BadInput(
            "no row to run: give --method NAME (bench methods lists them), or --config FILE with a "
            f"method in it (see bench {args.command} --help)"
        )


def _hint(name: str) -> str:
    near = get_close_matches(name, NAMES, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"{meant}it has {', '.join(NAMES)}, and values of the row stand in {SET}"


def _check(name: str, value: Any, path: Path) -> None:
    """Raise `BadInput` where an option's value is not of its type."""
    if name in TEXTS and isinstance(value, str) and value:
        return
    if name in LISTS and isinstance(value, list) and value and all(map(_is_number, value)):
        return
    first = name.partition(".")[0]
    wanted = "a table of NAME: VALUE" if first == SET else "a name in quotes"
    wanted = "a list of whole numbers from 0, such as [0, 1]" if first in LISTS else wanted
    raise BadInput(f"--config {path}: {first}: write {wanted}")


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LIMIT
