"""Make a kept workspace: what a person's workspace holds, made by the code of one commit.

    git worktree add OLD COMMIT
    PYTHONPATH=OLD:OLD/tests/helpers python tests/kept/make.py FOLDER COMMIT.tar.xz

Two rows in two folds (`bench run`), a suite, a sweep, MLflow, and a training that `kill -9` ended
after step 20 of 180. It is small: the tiny set of `benchmark.testing`, networks of width 4.
A kept workspace is never made again: it is what that commit left behind, and every later commit
must open it (tests/kept/test_kept.py).
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tarfile
import time
from pathlib import Path

from bench_process import Ran, bench, finish, setting_argv, spawn, tiny_workspace

PATIENTS = 15  # enough inner patients for a sweep on two folds
SMALL = {"ground.size": None, "ct.width": 4, "ct.levels": 3, "schedule.epochs": 2,
         "schedule.steps_per_epoch": 3}  # fmt: skip
SMALL_GT = SMALL | {"gt.width": 4, "gt.levels": 3}
LONG = SMALL | {"schedule.epochs": 60}
SAVED_STEP = 20
FOLDS = ("--folds", "0,1")


def main(root: Path, archive: Path) -> None:
    """Make the workspace `root` and pack it."""
    tiny_workspace(root, patients=PATIENTS)
    for row, values in (("unet", SMALL), ("fsm", SMALL_GT)):
        good(bench("run", "--method", row, *FOLDS, *setting_argv(root, values)))
    sets = [part for n, v in SMALL_GT.items() for part in ("--set", f"{n}={json.dumps(v)}")]
    shared = ("--root", str(root), "--threads", "1", *FOLDS, *sets)
    good(bench("suite", "--name", "kept", "--rows", "unet,fsm", "--datasets", "tiny",
               "--workers", "1", *shared))  # fmt: skip
    good(bench("sweep", "run", "xi", "--method", "fsm", "--dataset", "tiny", "--trials", "2",
               "--repeats", "0", *shared))  # fmt: skip
    kill_in_mid_training(root)
    for leftover in (*root.rglob("*.lock"), *root.glob("logs")):
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    with tarfile.open(archive, "w:xz") as packed:
        packed.add(root, arcname="workspace")


def good(ran: Ran) -> None:
    """Stop where a command failed."""
    if ran.code:
        sys.exit(ran.err)


def kill_in_mid_training(root: Path) -> None:
    """Kill a longer training of `unet` once it has saved step 20."""
    argv = setting_argv(root, LONG)
    process = spawn("run", "--method", "unet", "--folds", "0", "--checkpoint-seconds", "0", *argv)
    until = time.monotonic() + 120
    while not any(p.name.isdigit() and int(p.name) >= SAVED_STEP for p in saved(root)):
        if process.poll() is not None or time.monotonic() > until:
            sys.exit(f"the training could not be killed: {finish(process).err}")
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    finish(process)


def saved(root: Path) -> list[Path]:
    """The folders of all checkpoints."""
    return list(root.glob("objects/*.partial/*"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
