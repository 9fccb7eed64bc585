"""What every command that trains or reads results opens: workspace, hardware, data set."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from benchmark.errors import BadInput
from benchmark.files.locks import cores

if TYPE_CHECKING:
    from benchmark.data.library import DataSet
    from benchmark.running.bench import Bench, Watcher
    from benchmark.running.resolve import Setting

SMALL_GRID = 64


def say(text: str) -> None:
    """Print a notice to standard error."""
    print(f"bench: {text}", file=sys.stderr)


def open_session(
    args: argparse.Namespace, watcher: Watcher, setting: Setting, *, may_read: bool = False
) -> tuple[Bench, DataSet]:
    """Return the bench and the data set of a command's options; a command that `may_read` alone
    takes a workspace that cannot be written. Raises `BadInput`."""
    from benchmark.data.library import open_dataset
    from benchmark.running.bench import open_bench
    from benchmark.store.workspace import is_read_only
    from benchmark.training.precision import hardware

    use_threads(args.threads, setting.ground.size)
    chosen = hardware(args.device, args.precision)
    bench = open_bench(
        args.root,
        chosen,
        watcher,
        checkpoint_seconds=args.checkpoint_seconds,
        fresh=args.fresh,
        reuse=args.reuse,
        reading=may_read and is_read_only(args.root),
    )
    bench.stop.say = say
    return bench, open_dataset(args.root, args.dataset, say=say)


def reading_bench(args: argparse.Namespace) -> Bench:
    """Return a bench for a command that trains nothing."""
    from benchmark.running.bench import Warns, open_bench
    from benchmark.training.precision import hardware

    if not (args.root / "format").exists():
        raise BadInput(f"no workspace at {args.root}: run something first, or give --root")
    watcher = Warns(lambda text: say(f"warning: {text}"))
    return open_bench(args.root, hardware("cpu"), watcher, reading=True)


def threads_for(size: int | None, workers: int = 1) -> int:
    """Return the threads of each of N workers: its share of the cores, but one for a small grid:
    there a second one gains little on an idle machine and loses a lot beside other work
    (docs/decisions/0005)."""
    return 1 if size is not None and size <= SMALL_GRID else max(1, cores() // workers)


def use_threads(asked: int | None, size: int | None) -> None:
    """Set the threads of torch: those asked for, else what suits a grid."""
    import torch

    threads = threads_for(size) if asked is None else asked
    torch.set_num_threads(threads)
