"""Several commands on one folder share its trainings: each is made once, and nobody waits for one
while another is free."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from bench_process import Process, bench, finish, run_argv, spawn_warm, tiny_workspace, weights
from suite_process import rows

from benchmark.store.ledger import Ledger
from benchmark.store.objects import Objects

SECONDS = 120
pytestmark = pytest.mark.slow


def argv(root: Path) -> list[str]:
    """Two trainings, one process."""
    return run_argv(root, "unet", "--folds", "0,1", "--workers", "1", "--json")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same by one command."""
    root = tiny_workspace(tmp_path_factory.mktemp("alone"))
    assert bench(*argv(root)).code == 0
    return root


def said(process: Process, words: str) -> None:
    """Wait until it prints a line with these words."""
    assert process.stderr is not None
    lines: list[str] = []
    for line in process.stderr:
        lines.append(line)
        if words in line:
            return
    pytest.fail("".join(lines))


def test_who_waits_takes_whichever_is_free_first(tmp_path: Path, alone: Path) -> None:
    """Both trainings are being made by others; the second one comes free while the first is not."""
    root = tiny_workspace(tmp_path)
    store = Objects(root / "objects", print)
    first, second = (entry.key for entry in Ledger(alone / "ledger").entries())
    with store.lock_at_once(first):
        with store.lock_at_once(second):
            process = spawn_warm(*argv(root))
            said(process, "being made by")
        until = time.monotonic() + SECONDS
        while not store.has(second):
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.05)
        assert not store.has(first)
    ran = finish(process, SECONDS)
    assert ran.code == 0 and ran.json["trained"] == 2, ran.err
    assert weights(root) == weights(alone)


def test_two_commands_train_each_once(tmp_path: Path, alone: Path) -> None:
    root = tiny_workspace(tmp_path)
    both = [spawn_warm(*argv(root)) for _ in range(2)]
    ran = [finish(one, SECONDS) for one in both]
    assert [one.code for one in ran] == [0, 0], [one.err for one in ran]
    assert sum(one.json["trained"] for one in ran) == 2
    assert rows(root) == rows(alone) and weights(root) == weights(alone) != {}
