"""`--detach`: the command goes on without who gave it, and without the node that it ran on."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from bench_process import bench, finish, run_argv, tiny_workspace, weights
from ray_nodes import Node, Nodes
from suite_process import progress, rows

pytestmark = pytest.mark.long
SECONDS = 120


def argv(root: Path, *more: str) -> list[str]:
    """Two trainings side by side, of seconds each."""
    values = {"schedule__epochs": 1, "schedule__steps_per_epoch": 120}
    return run_argv(root, "unet", "--folds", "0,1", *more, **values)


def left_to(nodes: Nodes, root: Path) -> tuple[int, Node]:
    """Leave the command to the cluster; return its process and the node of that, when both
    trainings have saved."""
    on = ["--executor", "ray", "--address", nodes.address, "--checkpoint-seconds", "0", "--detach"]
    ran = finish(nodes.spawn(*argv(root, *on)), SECONDS)
    found = re.match(r"detached: process (\d+) on node (\S+), which writes to (\S+);", ran.out)
    assert ran.code == 0 and found, ran.err
    looked = bench("status", "--root", str(root))  # as it says, and before it has loaded
    assert looked.code == 0, looked.err
    began = progress(root)
    within(lambda: len(saved(root)) == 2 and progress(root) != began)
    return int(found[1]), next(node for node in nodes.running if node.address == found[2])


def saved(root: Path) -> set[Path]:
    return {path.parent for path in (root / "objects").glob("*.partial/[0-9]*")}


def within(happens: Callable[[], bool]) -> None:
    until = time.monotonic() + SECONDS
    while not happens():
        assert time.monotonic() < until
        time.sleep(0.05)


def conductors(nodes: Nodes) -> list[int]:
    return [one.pid for node in nodes.running for one in node.processes("ray::Kept")]


def test_a_command_that_was_left_to_the_cluster(tmp_path: Path, three_nodes: Nodes) -> None:
    here, root = (tiny_workspace(tmp_path / name) for name in ("here", "ray"))
    assert bench(*argv(here, "--workers", "1")).code == 0
    process, _ = left_to(three_nodes, root)
    os.kill(process, signal.SIGTERM)
    within(lambda: not conductors(three_nodes))
    (log,) = (root / "logs").glob("bench-*.log")
    assert "the same command goes on from there" in log.read_text().splitlines()[-1]
    assert saved(root) and not rows(root)

    _, node = left_to(three_nodes, root)
    if node is three_nodes.running[0]:  # the head is not to be lost: its worker is
        next(iter(node.processes("ray::Kept"))).kill()
    else:
        node.lose()
    within(lambda: rows(root) == rows(here))
    assert weights(root) == weights(here) != {}
    within(lambda: not conductors(three_nodes))
