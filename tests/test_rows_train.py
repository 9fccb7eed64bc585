"""Every row trains for real on the phantom: `make rows` (marked, so that `make test` stays short).

Fold 0, preset quick, scored on the inner validation patients: no row is looked at
on test patients here, and no default was chosen by this score.
"""

from __future__ import annotations

import os
import statistics
from pathlib import Path

import numpy as np
import pytest
import torch
from run_here import run_cells
from torch import Tensor

from benchmark.data.library import DataSet, open_dataset
from benchmark.running.bench import Bench, Options
from benchmark.running.cells import Cell, plan_cells
from benchmark.settings.registry import load_registry
from benchmark.settings.resolve import resolve

pytestmark = pytest.mark.rows
REGISTRY = load_registry()


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> tuple[DataSet, Bench]:
    torch.set_num_threads(1)
    # the workers of pytest-xdist share it: a training that two rows need is made once
    shared = os.environ.get("PYTEST_XDIST_WORKER")
    base = tmp_path_factory.getbasetemp()
    root = base.parent / "rows" if shared else tmp_path_factory.mktemp("rows")
    bench = Options(root=root, device="cpu").open()
    return open_dataset(root, "phantom", say=print), bench


@pytest.fixture(scope="module")
def floors(phantom: tuple[DataSet, Bench]) -> tuple[float, float]:
    """Mean DSC over organs and inner patients, on the training grid, of two predictors that see no
    image: the best constant (for each organ, that organ everywhere) and the mean shape (the
    training patients' most frequent label at the same share of the volume's height)."""
    dataset, _ = phantom
    (cell,) = cells(dataset, "unet")
    truths = [cell.data.cache.case(name).label_ZHW for name in cell.data.fold.test]
    organs = len(dataset.organs)
    constant = [dice(torch.full_like(t, k), t, k) for t in truths for k in range(1, organs + 1)]
    shapes = [(mean_shape(cell, truth, organs), truth) for truth in truths]
    shape = [dice(guess, truth, k) for guess, truth in shapes for k in range(1, organs + 1)]
    return statistics.fmean(constant), statistics.fmean(shape)


def cells(dataset: DataSet, row: str) -> list[Cell]:
    setting = resolve(REGISTRY, row)
    found = plan_cells(setting, dataset, folds=[0], seeds=[0], part="inner")
    return [cell for cell in found if not cell.stage]


def mean_shape(cell: Cell, like_ZHW: Tensor, organs: int) -> Tensor:
    votes = torch.zeros(organs + 1, *like_ZHW.shape)
    for case in cell.data.training():
        z = torch.linspace(0, len(case.label_ZHW) - 1, len(like_ZHW)).round().long()
        votes += torch.nn.functional.one_hot(case.label_ZHW[z].long(), organs + 1).movedim(-1, 0)
    return votes.argmax(dim=0)


def dice(guess: Tensor, truth: Tensor, organ: int) -> float:
    both = ((guess == organ) & (truth == organ)).sum()
    return 200 * float(both) / float((guess == organ).sum() + (truth == organ).sum())


def test_the_floors_are_neither_nothing_nor_everything(floors: tuple[float, float]) -> None:
    constant, shape = floors
    assert 1 < constant < shape < 80


@pytest.mark.parametrize("row", list(REGISTRY.rows))
def test_the_loss_falls_and_the_row_beats_a_constant_predictor(
    row: str, phantom: tuple[DataSet, Bench], floors: tuple[float, float]
) -> None:
    dataset, bench = phantom
    (cell,) = cells(dataset, row)
    (entry,) = run_cells([cell], bench)
    assert entry.state == "done", entry.error
    for key in entry.nodes:
        epochs = bench.objects.record(key)["epochs"]
        # a control may have an untrained network, post-dae's last node is put together from two,
        # and shape-loss has one that is stopped after an epoch
        if len(epochs) > 1:
            first, last = (sum(epochs[place]["terms"].values()) for place in (0, -1))
            assert last < first, f"{bench.objects.record(key)['title']}: {first} to {last}"
    rows = bench.results.rows(entry.key, entry.evaluation)
    dsc = float(np.mean([line.value for line in rows if line.metric == "dsc"]))
    constant, shape = floors
    print(f"{row}: inner DSC {dsc:.1f}; constant predictor {constant:.1f}, mean shape {shape:.1f}")
    assert dsc > constant


def test_every_row_was_kept_apart_from_the_test_patients(phantom: tuple[DataSet, Bench]) -> None:
    dataset, bench = phantom
    assert {entry.part for entry in bench.ledger.entries()} == {"inner"}
    assert Path(bench.root / "results").is_dir() and dataset.name == "phantom"
