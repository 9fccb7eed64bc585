"""Every row trains for real on the phantom: `make rows` (marked, so that `make test` stays short).

Fold 0, preset quick, scored on the inner validation patients: no row is looked at on test
patients here, and no default was chosen by this score.
"""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.data.library import DataSet, open_dataset
from benchmark.running.bench import Bench, Silent, open_bench
from benchmark.running.cells import Cell, plan_cells, run_cells
from benchmark.running.registry import load_registry
from benchmark.running.resolve import resolve
from benchmark.training.precision import hardware

pytestmark = pytest.mark.rows
REGISTRY = load_registry()


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> tuple[DataSet, Bench]:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("rows")
    bench = open_bench(root, hardware("cpu"), Silent())
    return open_dataset(root, "phantom", say=print), bench


@pytest.fixture(scope="module")
def constant_dsc(phantom: tuple[DataSet, Bench]) -> float:
    """The DSC of a predictor that shows every patient the training patients' most frequent label
    at the same share of the volume's height, on the training grid, mean over organs."""
    dataset, _ = phantom
    (cell,) = cells(dataset, "unet")
    values = [dice_of_the_most_frequent(cell, name) for name in cell.data.fold.test]
    return statistics.fmean(values)


def cells(dataset: DataSet, row: str) -> list[Cell]:
    found = plan_cells(resolve(REGISTRY, row), dataset, folds=[0], seeds=[0], part="inner")
    return [cell for cell in found if not cell.stage]


def dice_of_the_most_frequent(cell: Cell, name: str) -> float:
    truth = cell.data.cache.case(name).label_ZHW
    organs = len(cell.data.dataset.organs)
    votes = torch.zeros(organs + 1, *truth.shape)
    for case in cell.data.training():
        z = torch.linspace(0, len(case.label_ZHW) - 1, len(truth)).round().long()
        votes += torch.nn.functional.one_hot(case.label_ZHW[z].long(), organs + 1).movedim(-1, 0)
    guess = votes.argmax(dim=0)
    dice = []
    for organ in range(1, organs + 1):
        both, sizes = ((guess == organ) & (truth == organ)).sum(), (guess == organ).sum()
        dice.append(200 * float(both) / float(sizes + (truth == organ).sum()))
    return statistics.fmean(dice)


def test_the_constant_predictor_is_neither_nothing_nor_everything(constant_dsc: float) -> None:
    assert 5 < constant_dsc < 75


@pytest.mark.parametrize("row", list(REGISTRY.rows))
def test_the_loss_falls_and_the_row_beats_a_constant_predictor(
    row: str, phantom: tuple[DataSet, Bench], constant_dsc: float
) -> None:
    dataset, bench = phantom
    (cell,) = cells(dataset, row)
    (entry,) = run_cells([cell], bench)
    assert entry.state == "done", entry.error
    for key in entry.nodes:
        epochs = bench.objects.record(key)["epochs"]
        if epochs:  # a control may have an untrained network
            first, last = (sum(epochs[place]["terms"].values()) for place in (0, -1))
            assert last < first, f"{bench.objects.record(key)['title']}: {first} to {last}"
    rows = bench.results.rows(entry.key, entry.evaluation)
    dsc = float(np.mean([line.value for line in rows if line.metric == "dsc"]))
    print(f"{row}: inner DSC {dsc:.1f}, constant predictor {constant_dsc:.1f}")
    assert dsc > constant_dsc


def test_every_row_was_kept_apart_from_the_test_patients(phantom: tuple[DataSet, Bench]) -> None:
    dataset, bench = phantom
    assert {entry.part for entry in bench.ledger.entries()} == {"inner"}
    assert Path(bench.root / "results").is_dir() and dataset.name == "phantom"
