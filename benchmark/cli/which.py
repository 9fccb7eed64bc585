"""Which folds a command uses, or reads of what is stored: `--split`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.cli.options import option
from benchmark.cli.out import say

if TYPE_CHECKING:
    from benchmark.data.feeding.folds import Split
    from benchmark.data.library import DataSet
    from benchmark.store.ledger import Entry


def folds_of(args: argparse.Namespace, split: Split) -> list[int]:
    """Return the folds to run, all by default."""
    chosen: list[int] = args.folds if args.folds is not None else list(range(len(split.folds)))
    return chosen


def split_for(given: str | None, dataset: DataSet, planned: str = "") -> Split:
    """Return the folds that `--split` names, a file or the fingerprint of one that was given
    before, and keep them in the workspace; without it those `planned`, else the data set's own.
    Raises `BadInput`."""
    from benchmark.data.feeding.splits import is_kept, keep_split, known_like, read_split, split_of

    if given is None:
        return split_of(dataset, planned if is_kept(dataset, planned) else "")
    if not Path(given).exists() and (known := known_like(dataset, given)):
        return split_of(dataset, known)
    split = read_split(Path(given), dataset, say)
    keep_split(dataset, split)
    if not split.own:
        say(f"{Path(given).name} holds the own folds of {dataset.name}")
    return split


def add_which_split(parser: argparse.ArgumentParser) -> None:
    """Add `--split` of a command that reads what is stored."""
    about = "where a row was run in several: the first digits of a split's fingerprint, or its file"
    option(parser, "--split", "FILE", about)


def which_split(args: argparse.Namespace, entries: Sequence[Entry]) -> str:
    """Return the fingerprint, or its first digits, of the split that `--split` names among cells;
    "" without it. Raises `BadInput`."""
    from benchmark.analysis.naming import split_named
    from benchmark.data.feeding.splits import read_split
    from benchmark.data.library import stored_dataset

    def read(path: Path, dataset: str) -> str:
        return read_split(path, stored_dataset(args.root, dataset)).fingerprint

    return split_named(args.split, entries, args.dataset, read)
