"""What every command that trains or reads results opens: workspace, hardware, data set."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmark.cli.options import options_of
from benchmark.errors import BadInput

if TYPE_CHECKING:
    from benchmark.data.library import DataSet
    from benchmark.running.bench import Bench
    from benchmark.running.events import Listener
    from benchmark.settings.resolve import Setting
    from benchmark.store.workspace import Workspace


def say(text: str) -> None:
    """Print a notice to standard error."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def open_session(
    args: argparse.Namespace,
    setting: Setting,
    listener: Listener | None = None,
    *,
    may_read: bool = False,
) -> tuple[Bench, DataSet]:
    """Return the bench and the data set of a command's options; a command that `may_read` alone
    takes a workspace that cannot be written. Raises `BadInput`."""
    from benchmark.data.library import open_dataset
    from benchmark.running.crew import threads_for
    from benchmark.store.workspace import is_read_only

    options = options_of(args)
    threads = options.threads or threads_for(setting.ground.size)
    reading = may_read and is_read_only(args.root)
    bench = replace(options, threads=threads).open(listener, reading=reading)
    bench.stop.say = say
    return bench, open_dataset(args.root, args.dataset, say=say)


def stored(args: argparse.Namespace, *, writing: bool = False) -> Workspace:
    """Return the workspace of a command that trains nothing, and that writes only where it says so.
    Raises `BadInput` where there is none."""
    from benchmark.store.workspace import open_workspace

    if not (args.root / "format").exists():
        raise BadInput(f"no workspace at {args.root}: run something first, or give --root")
    return open_workspace(args.root, reading=not writing, warn=lambda text: say(f"warning: {text}"))
