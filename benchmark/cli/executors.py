"""Options that say who runs the trainings: processes on this machine, or a cluster."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from benchmark.cli.options import flag, option
from benchmark.cli.out import put
from benchmark.errors import BadInput
from benchmark.files.roots import shown

if TYPE_CHECKING:
    from benchmark.running.executors.cluster import Wanted

SLURM = "slurm"
OPTIONS = {  # of clusters alone, by executor
    "local": (),
    "ray": ("address", "num_cpus", "num_gpus", "detach"),
    SLURM: ("partition", "time", "sbatch", "num_cpus", "num_gpus", "detach"),
}
LEAST = 1e-4  # the smallest share that Ray knows


def add_executor(parser: argparse.ArgumentParser) -> None:
    """Add `--executor`, and what it asks of a cluster."""
    about = "who trains: processes here, a Ray cluster, or jobs of SLURM (docs/cluster.md)"
    more = {"choices": tuple(OPTIONS), "default": "local"}
    option(parser, "--executor", "|".join(OPTIONS), about, **more)
    about = "of Ray's head (default: $RAY_ADDRESS, else an instance of our own here)"
    option(parser, "--address", "HOST:PORT", about)
    about = "CPUs of a node for each task (default: as --threads, else 1)"
    option(parser, "--num-cpus", "N", about, type=_share(most=1024))
    about = "of a GPU for each task, 0.25: four share one (default: 1 where Ray has one; SLURM: 0)"
    option(parser, "--num-gpus", "N", about, type=_share(most=1, zero=True))
    option(parser, "--partition", "NAME", "of SLURM (default: the cluster's)")
    option(parser, "--time", "TIME", "of each worker, as sbatch takes it: 4:00:00, 2-00:00:00")
    about = "any other option of sbatch by its long name, such as account=lab; may be repeated"
    option(parser, "--sbatch", "NAME=VALUE", about, action="append", default=[])
    flag(parser, "--detach", "leave the command to the cluster, and end here")
    parser.set_defaults(of_array=False)  # whether it is one worker of an array (array.py)


def wanted_of(args: argparse.Namespace) -> Wanted | None:
    """Return what is asked of a Ray cluster, None where there is none. Raises `BadInput` for
    options of one executor with another."""
    from benchmark.running.executors.cluster import Wanted

    for name in sorted({n for names in OPTIONS.values() for n in names}):
        if getattr(args, name) and name not in OPTIONS[args.executor]:
            theirs = " or ".join(f"--executor {e}" for e, names in OPTIONS.items() if name in names)
            raise BadInput(f"--{name.replace('_', '-')} is of a cluster: add {theirs}")
    if args.executor != "ray":
        return None
    device, share = args.device, args.num_gpus
    if device not in ("auto", "cpu", "cuda"):
        raise BadInput(f"--device {device}: the cluster says which GPU: --device cuda --num-gpus 1")
    if (device == "cpu" and share) or (device == "cuda" and share == 0):
        raise BadInput(f"--device {device} with --num-gpus {share:g}: leave one of them out")
    return Wanted(
        address=args.address or os.environ.get("RAY_ADDRESS", ""),
        device=device,
        num_gpus=share,
        num_cpus=args.num_cpus or float(args.threads or 1),
        most=args.workers,
    )


def detached(args: argparse.Namespace) -> int:
    """Leave the command of `args.argv` to a process in the cluster, which outlives this one; return
    0. Raises `BadInput` where there is no cluster, or nothing in it can run a task."""
    from benchmark.running.executors.cluster import join
    from benchmark.store.workspace import open_workspace

    wanted = wanted_of(args)
    if not wanted or not wanted.address:
        raise BadInput("--detach leaves a command to a cluster that goes on: give its --address")
    root = args.root.absolute()
    argv = [word for word in args.argv if word != "--detach"]
    joined = join(wanted, root)
    try:
        open_workspace(root)  # one may look before the command in the cluster has loaded
        log, where = joined.keep([*argv, "--root", shown(root), "--address", wanted.address], root)
    finally:
        joined.leave()
    put(f"detached: {where}, which writes to {log}; kill it there, and it saves and ends")
    put(f"how far it is: bench status --root {shown(root)}")
    return 0


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
