"""For tests: a command that is killed or stopped in its work, and the same rows after all of it."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import psutil
from bench_process import Ran, bench, finish, weights
from suite_process import family, progress, rows


def undisturbed_run(root: Path, argv: list[str]) -> tuple[Path, Ran]:
    """The workspace and what the command says in it: nothing disturbs it."""
    ran = bench(*argv)
    assert ran.code == 0, ran.err
    return root, ran


def same_result(root: Path, ran: Ran, undisturbed: tuple[Path, Ran]) -> None:
    """Rows, weights and table are those of the undisturbed one, and no checkpoint is left."""
    assert ran.code == 0, ran.err
    assert rows(root) == rows(undisturbed[0])
    assert weights(root) == weights(undisturbed[0])
    assert ran.json["table"] == undisturbed[1].json["table"] != []
    assert not list((root / "objects").glob("*.partial"))


def killed(process: subprocess.Popen[str]) -> Ran:
    """Kill the command alone; its workers end by themselves."""
    orphans = family(process)[1:]
    assert process.poll() is None, "it ended before it was killed"
    process.kill()
    none_lives(orphans, 15)
    return finish(process)


def stopped(
    root: Path,
    process: subprocess.Popen[str],
    number: signal.Signals,
    to: list[psutil.Process],
    within: float,
) -> str:
    """Send a signal to these processes of the command, one after the other. It ends in so many
    seconds, saves what it has and leaves nobody behind; return its last line."""
    processes = family(process)
    for each in to:
        each.send_signal(number)
    asked = time.monotonic()
    ran = finish(process)
    assert time.monotonic() - asked < within
    assert ran.code == 130 and ran.out == "" and "Traceback" not in ran.err
    none_lives(processes, 5)
    stored, step = progress(root)
    assert stored or step, "nothing was saved"
    return ran.err.splitlines()[-1]


def none_lives(processes: list[psutil.Process], seconds: float) -> None:
    """They end in so many seconds."""
    _, living = psutil.wait_procs(processes, timeout=seconds)
    assert not living, "a worker outlives its parent"
