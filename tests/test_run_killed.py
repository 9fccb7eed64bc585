"""`bench run` by two workers, killed or stopped: the same command ends with the same rows."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from bench_process import Ran, bench, run_argv, spawn_warm, tiny_workspace
from killed_process import killed, same_result, stopped, undisturbed_run
from suite_process import family, progress, wait_for, workers

from benchmark.store.ledger import Ledger

pytestmark = pytest.mark.long
STEPS = 60  # of each training


def argv(root: Path, count: int, every_seconds: float = 1000) -> list[str]:
    values: dict[str, Any] = {"schedule__epochs": 1, "schedule__steps_per_epoch": STEPS}
    more = ["--folds", "0,1", "--json", "--checkpoint-seconds", str(every_seconds)]
    return run_argv(root, "fsm", "--workers", str(count), *more, **values)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    """The same run by one process, which nothing disturbed and which never saved itself."""
    root = tiny_workspace(tmp_path_factory.mktemp("undisturbed"))
    return undisturbed_run(root, argv(root, 1))


def test_a_killed_worker_and_a_killed_run(tmp_path: Path, undisturbed: tuple[Path, Ran]) -> None:
    root = tiny_workspace(tmp_path)
    process = spawn_warm(*argv(root, 2, 0))
    wait_for(root, process, beyond=(0, 0))
    victim = workers(process)[0]
    victim.kill()
    victim.wait(10)
    wait_for(root, process, beyond=progress(root))
    ran = killed(process)
    assert ran.code == -signal.SIGKILL and "Traceback" not in ran.err
    assert ran.err.count("the worker was killed (SIGKILL") == 1 and "trying once more" in ran.err
    states = {entry.state for entry in Ledger(root / "ledger").entries()}
    assert states == {"started"}, "bench status shows them as stopped"
    last = bench(*argv(root, 2))
    assert last.json["resumed"]
    assert all(f"resumed from step {one['step']}" in last.err for one in last.json["resumed"])
    same_result(root, last, undisturbed)
    assert bench(*argv(root, 2)).json["trained"] == 0


@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, signal.SIGTERM, pytest.param(signal.SIGUSR1, marks=pytest.mark.long)],
)
def test_stopped_by_a_signal(
    tmp_path: Path, undisturbed: tuple[Path, Ran], number: signal.Signals
) -> None:
    """A terminal sends Ctrl-C to the workers too."""
    root = tiny_workspace(tmp_path)
    process = spawn_warm(*argv(root, 2, 0.1))
    wait_for(root, process, beyond=(0, 0))
    processes = family(process)
    to = processes if number == signal.SIGINT else processes[:1]
    last = stopped(root, process, number, to, within=15)
    assert (
        "the same command goes on" in last
        and "of 4 cells are done (2 of them of NAME@stage, " in last
    )
    _, step = progress(root)
    again = bench(*argv(root, 1))  # the other number of workers
    assert bool(again.json["resumed"]) == bool(step)
    same_result(root, again, undisturbed)
