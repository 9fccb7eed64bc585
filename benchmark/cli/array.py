"""A worker of a SLURM array: `python -m benchmark.cli.array FOLDER COMMAND...`, as `sbatch.py` has
it written into the job's script. It gives the command for itself alone, and asks to be started
again where its time is near and work is left."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
from contextlib import suppress
from pathlib import Path

from benchmark.running.stop import INTERRUPTED, came, interruptible


def work(folder: Path, argv: list[str]) -> int:
    """Give the command; return its exit code, which the worker's mark in `folder` has too."""
    from benchmark.cli.sbatch import Mark, call

    number, array = int(os.environ["SLURM_ARRAY_TASK_ID"]), os.environ["SLURM_ARRAY_JOB_ID"]
    node = os.environ.get("SLURMD_NODENAME") or platform.node()
    if not folder.is_dir():
        sys.stderr.write(f"bench: {folder} is not seen on node {node}\n")
        return 2
    Mark(node=node).write(folder, number)
    code = INTERRUPTED
    with suppress(KeyboardInterrupt):  # while it loads; later `main` makes the code of it
        from benchmark.cli.main import main

        code = main(argv, change=alone)
    again = code == INTERRUPTED and came(signal.SIGUSR1)
    Mark(node=node, code=code, again=again).write(folder, number)
    # by array and number: the job of its last worker has the array's own, which means all of them
    if again and _told(call("scontrol", "requeue", f"{array}_{number}").stderr):
        Mark(node=node, code=code).write(folder, number)
    if code == 0:  # all is done: nobody has to wait in the queue for it
        _told(call("scancel", "--state=PENDING", array).stderr)
    return code


def alone(args: argparse.Namespace) -> None:
    """Change the options of the whole command to those of one worker: what it trains with is what
    SLURM gave it, and tables, MLflow and looks at a set kept apart are of who submitted it."""
    args.threads = args.threads or int(args.num_cpus or 1)
    given = args.num_gpus or {"SLURM_JOB_GPUS", "CUDA_VISIBLE_DEVICES"} & os.environ.keys()
    if args.device == "auto" and (args.num_gpus == 0 or not given):
        args.device = "cpu"  # another job has the GPUs that are seen here
    args.executor, args.workers, args.mlflow = "local", 1, "none"
    args.detach, args.log_file, args.test_on, args.of_array = False, None, None, True
    args.num_cpus = args.num_gpus = args.partition = args.time = None
    args.sbatch = []


def _told(error: str) -> str:
    """Print what SLURM says is wrong; return it."""
    if error.strip():
        sys.stderr.write(f"bench: {error.strip()}\n")
    return error.strip()


if __name__ == "__main__":
    with interruptible():
        sys.exit(work(Path(sys.argv[1]), sys.argv[2:]))
