"""The rows of Table 1 on four nodes, of which two are lost: as on this machine, to the bit."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench_process import bench, finish, tiny_workspace
from killed_process import same_result, undisturbed_run
from suite_process import progress, suite_argv

pytestmark = pytest.mark.long


@pytest.fixture
def four_nodes() -> Iterator[object]:
    pytest.importorskip("ray", reason="ray is not installed: pip install 'beyond-loss[ray]'")
    from ray_nodes import cluster

    with cluster(4) as nodes:
        yield nodes


def argv(root: Path, *more: str) -> list[str]:
    small = ["--set", "gt.width=4", "--set", "gt.levels=3"]
    return suite_argv(root, "table1", "--folds", "0", "--json", *small, *more)


def stored(root: Path, process: subprocess.Popen[str], least: int) -> None:
    """Wait until so many trainings are stored."""
    until = time.monotonic() + 180
    while progress(root)[0] < least:
        assert process.poll() is None and time.monotonic() < until, process.communicate()
        time.sleep(0.02)


def test_two_of_four_nodes_are_lost(tmp_path: Path, four_nodes: object) -> None:
    from ray_nodes import Nodes

    assert isinstance(four_nodes, Nodes)
    here, root = (tiny_workspace(tmp_path / name) for name in ("here", "ray"))
    undisturbed = undisturbed_run(here, argv(here))
    on = ["--executor", "ray", "--address", four_nodes.address, "--checkpoint-seconds", "0"]
    process = four_nodes.spawn(*argv(root, *on, "--workers", "4"))
    for least, node in ((1, four_nodes.running[2]), (4, four_nodes.running[3])):
        stored(root, process, least)
        node.lose()
    ran = finish(process, 240)
    same_result(root, ran, undisturbed)
    assert ran.json["incomplete"] == [] and "its node was lost" in ran.err
    assert bench("store", "verify", "--root", str(root)).code == 0
