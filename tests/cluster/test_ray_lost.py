"""On a Ray cluster a driver, a worker and a node are lost in the middle of trainings, and Ctrl-C
ends one: the same command goes on, and the rows are those that nothing disturbed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from bench_process import Ran, bench, finish, run_argv, tiny_workspace
from killed_process import same_result, undisturbed_run
from ray_nodes import Node, Nodes
from suite_process import progress, wait_for

pytestmark = pytest.mark.long
STEPS = 120  # of each training


def argv(root: Path, *more: str) -> list[str]:
    """Two trainings side by side."""
    values = {"schedule__epochs": 1, "schedule__steps_per_epoch": STEPS}
    return run_argv(root, "unet", "--folds", "0,1", "--json", *more, **values)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    """The same run in this process."""
    root = tiny_workspace(tmp_path_factory.mktemp("here"))
    return undisturbed_run(root, argv(root, "--workers", "1"))


def start(nodes: Nodes, root: Path, every_seconds: float = 0) -> subprocess.Popen[str]:
    on = ["--executor", "ray", "--address", nodes.address]
    return nodes.spawn(*argv(root, *on, "--checkpoint-seconds", str(every_seconds)))


def busy(nodes: Nodes, root: Path, process: subprocess.Popen[str]) -> Node:
    """A node beside the head whose worker is in the middle of a training: both have saved."""
    under_way(root, process, "*.partial/[0-9]*")
    return next(node for node in nodes.running[1:] if node.tasks)


def under_way(root: Path, process: subprocess.Popen[str], pattern: str) -> None:
    """Wait until both trainings have left something."""
    until = time.monotonic() + 90
    while len({path.parent for path in (root / "objects").glob(pattern)}) < 2:
        assert process.poll() is None and time.monotonic() < until, process.communicate()
        time.sleep(0.01)


def test_ctrl_c_saves(tmp_path: Path, three_nodes: Nodes, undisturbed: tuple[Path, Ran]) -> None:
    root = tiny_workspace(tmp_path)
    process = start(three_nodes, root, 1000)
    under_way(root, process, "*.partial/epochs.jsonl")
    process.send_signal(signal.SIGINT)
    ran = finish(process, 120)
    assert ran.code == 130 and "Traceback" not in ran.err, ran.err
    assert "the same command goes on from there" in ran.err.splitlines()[-1]
    assert progress(root)[1] > 0, "nothing was saved"
    assert not [task for node in three_nodes.running for task in node.tasks]
    again = bench(*argv(root))
    assert again.json["resumed"], again.err
    same_result(root, again, undisturbed)


def test_the_driver_is_killed(
    tmp_path: Path, three_nodes: Nodes, undisturbed: tuple[Path, Ran]
) -> None:
    root = tiny_workspace(tmp_path)
    process = start(three_nodes, root)
    wait_for(root, process, beyond=(0, 0))
    os.kill(process.pid, signal.SIGKILL)
    finish(process)
    last = finish(start(three_nodes, root), 120)
    assert last.code == 0 and last.json["resumed"], last.err
    same_result(root, last, undisturbed)


def test_a_worker_is_killed(
    tmp_path: Path, three_nodes: Nodes, undisturbed: tuple[Path, Ran]
) -> None:
    root = tiny_workspace(tmp_path)
    process = start(three_nodes, root)
    busy(three_nodes, root, process).tasks[0].kill()
    ran = finish(process, 120)
    assert ran.err.count("the worker was killed; trying once more") == 1, ran.err
    assert ran.json["resumed"], ran.err
    same_result(root, ran, undisturbed)


def test_a_node_is_lost(tmp_path: Path, three_nodes: Nodes, undisturbed: tuple[Path, Ran]) -> None:
    """The last test of the file: the node does not come back."""
    root = tiny_workspace(tmp_path)
    process = start(three_nodes, root)
    busy(three_nodes, root, process).lose()
    ran = finish(process, 120)
    assert ran.err.count("its node was lost; trying once more") == 1, ran.err
    assert ran.json["resumed"], ran.err
    assert "Raylet is terminated" not in ran.err + ran.out
    same_result(root, ran, undisturbed)
    assert bench("store", "verify", "--root", str(root)).code == 0
