"""What all tests share: one thread, and a tiny set that a tiny network learns in seconds."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings

from benchmark.data.library import DataSet, add
from benchmark.plan.ground import Ground
from benchmark.testing import ORGANS as ORGANS
from benchmark.testing import MemoryTrainer, TinySource
from benchmark.testing import tiny_volume as tiny_volume
from benchmark.training.precision import hardware

settings.register_profile("shared machine", deadline=None)  # a busy core is no slow example
settings.load_profile("shared machine")


MACHINES = ("chaos", "cluster")  # folders of tests that start Ray nodes or a SLURM


def pytest_itemcollected(item: pytest.Item) -> None:
    """Where processes share the tests by groups (make long), a file's tests stay together, and one
    process has all that start machines: two clusters at a time are too many for two cores."""
    machines = item.path.parent.name in MACHINES
    item.add_marker(pytest.mark.xdist_group("machines" if machines else str(item.path)))


@pytest.hookimpl(trylast=True)  # after what was not asked for is left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files with most tests marked `slow` go first, so that two processes end together."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Bit-identity holds for a thread count, and tests share the machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard() -> None:
    """A shell starts what runs in its background with SIGINT ignored, and children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def tiny_source() -> TinySource:
    """Six patients; a `Source` as `benchmark.data.library.add` takes it."""
    return TinySource()


@pytest.fixture
def tiny_dataset(tmp_path: Path, tiny_source: TinySource) -> DataSet:
    """The tiny set, stored as "tiny" in the workspace `tmp_path`."""
    return add(tmp_path, "tiny", tiny_source)


@pytest.fixture
def tiny_overrides() -> dict[str, Any]:
    """For `resolve(..., overrides=)` or `--set NAME=json.dumps(VALUE)`, of any row with `ct`."""
    return {
        "ground.size": None,
        "ct.width": 4,
        "ct.levels": 3,
        "schedule.epochs": 2.0,
        "schedule.steps_per_epoch": 3,
    }


@pytest.fixture
def tiny_fsm_overrides(tiny_overrides: dict[str, Any]) -> dict[str, Any]:
    """The same for rows that have N_GT too."""
    return {**tiny_overrides, "gt.width": 4, "gt.levels": 3}


@pytest.fixture
def cpu_trainer() -> MemoryTrainer:
    """Batches of 4 slices on the native grid, fp32."""
    return MemoryTrainer(Ground(batch=4), hardware("cpu", "fp32"))
