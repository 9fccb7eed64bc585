"""`bench run` by two workers, killed or stopped: the same command ends with the same rows."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from bench_process import Ran, bench, finish, run_argv, spawn, tiny_workspace, weights
from suite_process import family, progress, rows, wait_for, workers

from benchmark.store.ledger import Ledger

pytestmark = pytest.mark.slow
STEPS = 60  # of each training


def argv(root: Path, count: int, every_seconds: float = 1000) -> list[str]:
    values: dict[str, Any] = {"schedule__epochs": 1, "schedule__steps_per_epoch": STEPS}
    more = ["--folds", "0,1", "--json", "--checkpoint-seconds", str(every_seconds)]
    return run_argv(root, "fsm", "--workers", str(count), *more, **values)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    """The same run by one process, which nothing disturbed and which never saved itself."""
    root = tiny_workspace(tmp_path_factory.mktemp("undisturbed"))
    ran = bench(*argv(root, 1))
    assert ran.code == 0, ran.err
    return root, ran


def same_result(root: Path, ran: Ran, undisturbed: tuple[Path, Ran]) -> None:
    assert ran.code == 0, ran.err
    assert rows(root) == rows(undisturbed[0])
    assert weights(root) == weights(undisturbed[0])
    assert ran.json["table"] == undisturbed[1].json["table"] != []
    assert not list((root / "objects").glob("*.partial"))


def test_a_killed_worker_and_a_killed_run(tmp_path: Path, undisturbed: tuple[Path, Ran]) -> None:
    root = tiny_workspace(tmp_path)
    process = spawn(*argv(root, 2, 0))
    wait_for(root, process, beyond=(0, 0))
    victim = workers(process)[0]
    victim.kill()
    victim.wait(10)
    wait_for(root, process, beyond=progress(root))
    orphans = family(process)[1:]
    assert process.poll() is None, "it ended before it was killed"
    process.kill()
    _, living = psutil.wait_procs(orphans, timeout=15)
    assert not living, "a worker outlives its parent"
    ran = finish(process)
    assert ran.code == -signal.SIGKILL and "Traceback" not in ran.err
    assert ran.err.count("the worker was killed (SIGKILL") == 1 and "trying once more" in ran.err
    states = {entry.state for entry in Ledger(root / "ledger").entries()}
    assert states == {"started"}, "bench status shows them as stopped"
    last = bench(*argv(root, 2))
    assert last.json["resumed"]
    assert all(f"resumed from step {one['step']}" in last.err for one in last.json["resumed"])
    same_result(root, last, undisturbed)
    assert bench(*argv(root, 2)).json["trained"] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_stopped_by_a_signal(
    tmp_path: Path, undisturbed: tuple[Path, Ran], number: signal.Signals
) -> None:
    """A terminal sends Ctrl-C to the workers too."""
    root = tiny_workspace(tmp_path)
    process = spawn(*argv(root, 2, 0.1))
    wait_for(root, process, beyond=(0, 0))
    processes = family(process)
    for each in processes if number == signal.SIGINT else processes[:1]:
        each.send_signal(number)
    asked = time.monotonic()
    ran = finish(process)
    assert time.monotonic() - asked < 15
    assert ran.code == 130 and ran.out == "" and "Traceback" not in ran.err
    last = ran.err.splitlines()[-1]
    assert "the same command goes on" in last and "of 4 cells are done" in last
    _, living = psutil.wait_procs(processes, timeout=5)
    assert not living, "a worker outlives its parent"
    stored, step = progress(root)
    assert stored or step, "nothing was saved"
    again = bench(*argv(root, 1))  # the other number of workers
    assert bool(again.json["resumed"]) == bool(step)
    same_result(root, again, undisturbed)
