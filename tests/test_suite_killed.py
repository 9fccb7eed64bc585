"""A suite whose workers and parent are killed at random moments ends with the same rows."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from bench_process import Ran, bench, finish, spawn_warm, tiny_workspace
from killed_process import killed, same_result, stopped, undisturbed_run
from suite_process import family, progress, suite_argv, wait_for, workers

pytestmark = pytest.mark.long
RUNS = 4
WORKERS_KILLED = 4  # in each run, and then its parent: 20 kills in all
STEPS = 40  # of each training
ROWS = "unet,fsm"


def argv(root: Path, every_seconds: float = 1000) -> list[str]:
    values: dict[str, Any] = {"schedule__epochs": 1, "schedule__steps_per_epoch": STEPS}
    more = ["--json", "--checkpoint-seconds", str(every_seconds)]
    return suite_argv(root, ROWS, *more, **values)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    """The same suite, which nothing disturbed and which never saved itself."""
    root = tiny_workspace(tmp_path_factory.mktemp("undisturbed"))
    return undisturbed_run(root, argv(root))


def whole(root: Path, ran: Ran, undisturbed: tuple[Path, Ran]) -> None:
    same_result(root, ran, undisturbed)
    assert ran.json["incomplete"] == []


def test_killed_twenty_times(tmp_path: Path, undisturbed: tuple[Path, Ran]) -> None:
    root = tiny_workspace(tmp_path)
    chance = random.Random(5)
    kills = parents = told = 0
    for _ in range(RUNS):
        process = spawn_warm(*argv(root, 0))
        for _ in range(WORKERS_KILLED):
            wait_for(root, process, beyond=progress(root))
            time.sleep(chance.uniform(0, 0.2))
            victim = chance.choice(workers(process))
            victim.kill()
            victim.wait(10)
            kills += 1
        wait_for(root, process, beyond=progress(root))
        time.sleep(chance.uniform(0, 0.2))
        ran = killed(process)
        parents += ran.code == -signal.SIGKILL
        told += ran.err.count("the worker was killed (SIGKILL")
    assert (kills, parents) == (RUNS * WORKERS_KILLED, RUNS)
    assert told >= kills // 2, "the parent says who was killed (an idle worker is not missed)"
    stored, _ = progress(root)
    last = bench(*argv(root))
    assert last.json["trained"] > 0 and last.json["resumed"], f"nothing was left, {stored} stored"
    whole(root, last, undisturbed)
    assert bench("store", "verify", "--root", str(root)).code == 0
    assert bench(*argv(root)).json["trained"] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_by_a_signal(
    tmp_path: Path, undisturbed: tuple[Path, Ran], number: signal.Signals
) -> None:
    """A terminal sends Ctrl-C to the workers too, and Slurm its SIGTERM."""
    root = tiny_workspace(tmp_path)
    process = spawn_warm(*argv(root, 0.1))
    wait_for(root, process, beyond=(0, 0))
    # 2 s on an idle machine, 7 s beside ten other processes
    last = stopped(root, process, number, family(process)[::-1], within=20)
    assert "of 6 cells are done" in last and "the same command goes on from there" in last
    _, step = progress(root)
    again = bench(*argv(root))
    assert again.json["resumed"] if step else True
    whole(root, again, undisturbed)


def test_two_parents_share_the_work(tmp_path: Path, undisturbed: tuple[Path, Ran]) -> None:
    root = tiny_workspace(tmp_path)
    processes = [spawn_warm(*argv(root)) for _ in range(2)]
    both = [finish(process, 300) for process in processes]
    assert [ran.code for ran in both] == [0, 0], both
    trained = undisturbed[1].json["trained"]
    assert sum(ran.json["trained"] for ran in both) == trained
    for ran in both:
        whole(root, ran, undisturbed)
