"""Options that say who runs the trainings: processes on this machine, or a cluster."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from benchmark.cli.options import option
from benchmark.errors import BadInput

if TYPE_CHECKING:
    from benchmark.running.executors.cluster import Wanted

EXECUTORS = ("local", "ray")
OF_RAY = ("address", "num_cpus", "num_gpus")
LEAST = 1e-4  # the smallest share that Ray knows


def add_executor(parser: argparse.ArgumentParser) -> None:
    """Add `--executor`, and what it asks of a cluster."""
    about = "who trains: processes here, or a Ray cluster (docs/cluster.md)"
    more = {"choices": EXECUTORS, "default": EXECUTORS[0]}
    option(parser, "--executor", "local|ray", about, **more)
    about = "of Ray's head (default: $RAY_ADDRESS, else an instance of our own here)"
    option(parser, "--address", "HOST:PORT", about)
    about = "CPUs of a node for each task (default: as --threads, else 1)"
    option(parser, "--num-cpus", "N", about, type=_share(most=1024))
    about = "of a GPU for each task, 0.25: four share one (default: 1 where a node has one)"
    option(parser, "--num-gpus", "N", about, type=_share(most=1, zero=True))


def wanted_of(args: argparse.Namespace) -> Wanted | None:
    """Return what is asked of a Ray cluster, None for this machine. Raises `BadInput` for options
    of the one with the other."""
    from benchmark.running.executors.cluster import Wanted

    if args.executor == "local":
        for name in OF_RAY:
            if getattr(args, name) is not None:
                raise BadInput(f"--{name.replace('_', '-')} is of a cluster: add --executor ray")
        return None
    return Wanted(
        address=args.address or os.environ.get("RAY_ADDRESS", ""),
        device=args.device,
        num_gpus=args.num_gpus,
        num_cpus=args.num_cpus or float(args.threads or 1),
        most=args.workers,
    )


def _share(*, most: float, zero: bool = False) -> Callable[[str], float]:
    """Return what reads a share: a part of one, or a whole number up to `most`."""

    def read(text: str) -> float:
        try:
            chosen = float(text)
        except ValueError:
            chosen = -1.0
        fits = LEAST <= chosen <= 1 or (1 < chosen <= most and chosen.is_integer())
        if not (fits or (zero and chosen == 0)):
            choice = "0, a part of 1, or" if zero else "a part of 1, or"
            raise argparse.ArgumentTypeError(
                f"{text!r}: give {choice} a whole number up to {most:g}"
            )
        return chosen

    return read
