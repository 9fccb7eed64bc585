"""Worker processes of a command: how many, on which devices, with how many threads."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.cli.session import threads_for
from benchmark.files.locks import cores

if TYPE_CHECKING:
    from benchmark.running.crew import Left
    from benchmark.running.local import Local

MOST_WORKERS = 8  # by default
MOST_ASKED = 256


def default_workers(device: str, threads: int) -> int:
    """Return how many workers suit the machine: one a GPU, or as many as cores allow."""
    found = devices(device)
    return len(found) if found != ["cpu"] else max(1, min(MOST_WORKERS, cores() // threads))


def run_workers(args: argparse.Namespace, size: int | None, left: Left) -> int:
    """Return the workers of a run: those asked for, else what suits machine and work; never more
    than there are trainings."""
    threads = args.threads or threads_for(size)
    wanted = args.workers or min(left.workers, default_workers(args.device, threads))
    return max(1, min(wanted, len(left.seconds)))


def local(
    args: argparse.Namespace, size: int | None, workers: int, *, suite: str, log: Path | None
) -> Local:
    """Return N workers that are not started yet; on a CPU each has its share of the cores."""
    from benchmark.running.local import Local, settings_for
    from benchmark.running.worker import Settings

    shared = Settings(
        root=args.root,
        suite=suite,
        device="",
        precision=args.precision,
        threads=threads_for(size, workers) if args.threads is None else args.threads,
        checkpoint_seconds=args.checkpoint_seconds,
        log=log,
        reuse=args.reuse,
    )
    return Local(settings=settings_for(shared, workers, devices(args.device)))


def devices(name: str) -> list[str]:
    """Return the devices of an option; `auto` and `cuda` are all GPUs that are there. The name was
    checked before."""
    import torch

    if name in ("auto", "cuda") and torch.cuda.is_available():
        return [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return ["cpu" if name == "auto" else name]
