"""Which split of a stored row a command reads: `--split`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.cli.options import option

if TYPE_CHECKING:
    from benchmark.store.ledger import Entry


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
