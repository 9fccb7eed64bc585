"""Planning asks the same of thousands of cells: what they share is made once."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from bench_process import SMALL, SMALL_GT, tiny_workspace
from torch.utils.flop_counter import FlopCounterMode

from benchmark.data.library import open_dataset
from benchmark.plan import keys
from benchmark.running import cost
from benchmark.running.cells import plan_cells
from benchmark.settings.registry import load_registry
from benchmark.settings.resolve import Setting, resolve


@pytest.fixture
def setting() -> Setting:
    return resolve(load_registry(), "fsm", "quick", {**SMALL, **SMALL_GT})


def test_cells_of_a_setting_share_their_trainings(setting: Setting, tmp_path: Path) -> None:
    dataset = open_dataset(tiny_workspace(tmp_path), "tiny")
    keys._content.cache_clear()
    cells = plan_cells(setting, dataset, folds=[0, 1], seeds=[0, 1, 2])
    entries = [cell.entry("main") for cell in cells for _ in range(2)]
    assert len({entry.name for entry in entries}) == len(cells) == 12
    # three trainings to the end of the row, and two of their own to its earlier stage
    assert keys._content.cache_info().currsize == 5


def test_another_process_gets_the_values_alone(setting: Setting) -> None:
    sent = len(pickle.dumps(setting))
    _ = setting.plan, setting.stages, setting.probes, setting.params()
    assert len(pickle.dumps(setting)) == sent
    assert pickle.loads(pickle.dumps(setting)) == setting


def test_operations_are_those_that_torch_counts(setting: Setting, tmp_path: Path) -> None:
    dataset = open_dataset(tiny_workspace(tmp_path), "tiny")
    (cell,) = plan_cells(setting, dataset, folds=[0], seeds=[0])[:1]
    node = cell.final.node
    counted = cost.operations(node, cell)
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        assert cost.operations(node, cell) == counted > 0
    assert counter.get_total_flops() == counted
