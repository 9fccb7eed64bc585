"""SLURM: one job array of workers, each of which gives the same command on the same workspace. Here
is how it is submitted, and what a worker says of itself."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from benchmark.cli.executors import wanted_of
from benchmark.errors import BadInput
from benchmark.files.atomic import commit_file
from benchmark.files.roots import shown

AHEAD_SECONDS = 120  # before a worker's time is over it saves; SLURM may be a minute early
OURS = ("array", "chdir", "error", "open-mode", "output", "parsable", "wait", "wrap")
PASSWORD = re.compile(r"://[^:/@\s]*:[^@\s]+@")


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What a worker says of itself in the folder of its array: where it runs, and once it has
    ended its exit code; `again`: it asked SLURM to start it again."""

    node: str
    code: int | None = None
    again: bool = False

    def write(self, folder: Path, number: int) -> None:
        """Replace the worker's mark. Raises `OSError`."""
        with commit_file(folder / f"worker-{number}.json") as temporary:
            temporary.write_text(json.dumps(asdict(self)), encoding="utf-8")


def submit(args: argparse.Namespace, workers: int, *more: str) -> tuple[str, Path]:
    """Submit an array of workers that give the command of `args.argv` with `more` options;
    return its job and its folder in the workspace. Raises `BadInput` where that cannot be, or SLURM
    refuses it."""
    check(args)
    root = args.root.absolute()
    name = f"slurm-{datetime.now():%Y%m%d-%H%M%S}-{uuid4().hex[:6]}"
    folder = root / "logs" / name
    folder.mkdir(parents=True)
    worker = [sys.executable, "-m", "benchmark.cli.array", str(folder)]
    argv = [*worker, *args.argv, *more, "--root", str(root)]
    flags = _flags(args, workers, folder)
    script = folder / "job.sh"
    script.write_text(
        f"#!/bin/bash\n# sbatch {shlex.join(flags)}\n"
        "# exec: SLURM's signals reach Python itself\n"
        f"exec {shlex.join(argv)}\n",
        encoding="utf-8",
    )
    try:
        ran = call("sbatch", *flags, str(script))
        if ran.returncode:
            raise BadInput(f"SLURM refuses the job: {last_error(ran.stderr)}")
    except BadInput:
        shutil.rmtree(folder)
        raise
    return ran.stdout.strip().partition(";")[0], folder


def check(args: argparse.Namespace) -> None:
    """Raise `BadInput` for what no array can be submitted with."""
    wanted_of(args)  # the options of another executor
    if shown(args.root) != str(args.root):
        raise BadInput(
            f"--root {shown(args.root)}: --executor slurm needs a folder that all nodes share; of "
            "a bucket start the plain command in as many jobs as you like"
        )
    if args.device not in ("auto", "cpu", "cuda"):
        raise BadInput(f"--device {args.device}: the cluster says which GPU: --device cuda")
    if args.num_gpus not in (None, 0, 1) or (args.num_cpus or 1) % 1:
        raise BadInput(
            "--num-cpus, --num-gpus: SLURM gives each worker whole ones, and a training uses one "
            "GPU at most"
        )
    if args.device == "cpu" and args.num_gpus:
        raise BadInput(f"--device cpu with --num-gpus {args.num_gpus:g}: leave one of them out")
    if getattr(args, "fresh", False):
        raise BadInput("--fresh: each worker would train all again; bench store rm ROW, without it")
    if any(PASSWORD.search(word) for word in args.argv):
        raise BadInput(
            "an address with a password would be written into the job's script: leave it out and "
            "export it, as PGPASSWORD for PostgreSQL"
        )
    for text in args.sbatch:
        if "\n" in text:
            raise BadInput("--sbatch: give each option of sbatch by one --sbatch")
        if _name(text) in OURS:
            raise BadInput(f"--sbatch {text}: bench itself gives --{_name(text)}")


def call(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of SLURM; a controller that does not answer in time is an error of it. Raises
    `BadInput` where there is no such command."""
    try:
        return subprocess.run(
            command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60
        )
    except FileNotFoundError:
        raise BadInput(
            f"--executor slurm needs SLURM's command {command[0]}, which is not found here: work "
            "on a login node of the cluster"
        ) from None
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", "no answer within a minute")


def _flags(args: argparse.Namespace, workers: int, folder: Path) -> list[str]:
    """The options of sbatch; what the person gives comes last, and wins."""
    cpus = int(args.num_cpus or args.threads or 1)
    return [
        "--parsable",
        f"--job-name=bench-{args.command}",
        f"--array=0-{workers - 1}",
        f"--chdir={Path.cwd()}",
        f"--output={str(folder).replace('%', '%%')}/worker-%a.log",
        "--open-mode=append",
        "--requeue",
        f"--signal=B:USR1@{AHEAD_SECONDS}",
        "--nodes=1",
        "--ntasks=1",
        f"--cpus-per-task={cpus}",
        *([f"--gres=gpu:{args.num_gpus:g}"] if args.num_gpus else []),
        *([f"--partition={args.partition}"] if args.partition else []),
        *([f"--time={args.time}"] if args.time else []),
        *(f"--{text.lstrip('-')}" for text in args.sbatch),
    ]


def _name(text: str) -> str:
    return text.lstrip("-").partition("=")[0].split(" ")[0]


def last_error(text: str) -> str:
    """Return the last error of what SLURM prints, else the first line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["it says nothing"]
    errors = [line for line in lines if "error: " in line]
    return errors[-1].partition("error: ")[2] if errors else lines[0]


def last_line(log: Path) -> str:
    """The last line of a log, "" where there is none."""
    with suppress(OSError):
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "")
    return ""
