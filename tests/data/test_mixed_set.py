"""Where nobody looked for the kidneys, a kidney voxel counts nowhere: planted ones change nothing,
in loss, teacher input, FSM term, gradient or score."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from bench_process import bench, run_argv, weights

from benchmark.data import library
from benchmark.data.feeding.draw import SliceDraw
from benchmark.data.feeding.slices import on_training_grid
from benchmark.data.volume import Volume
from benchmark.parts.batch import Batch
from benchmark.plan.ground import Ground
from benchmark.plan.nodes import in_order
from benchmark.scoring.cases import score_case
from benchmark.settings.registry import load_registry
from benchmark.settings.resolve import resolve
from benchmark.testing import ORGANS, MemoryTrainer, TinySource, tiny_volume
from benchmark.training.precision import hardware
from benchmark.training.trainer import Control, fit


def mixed(number: int, planted: bool) -> Volume:
    """Every second patient has an annotated liver only; `planted` leaves kidney labels there."""
    volume = replace(tiny_volume(number), source_sha256=f"{number:064d}")
    if number % 2 == 0:
        return volume
    label = volume.label if planted else np.where(volume.label > 1, 0, volume.label)
    return replace(volume, label=label.astype(np.uint8), annotated=("liver",))


@dataclass(frozen=True, kw_only=True)
class Mixed(TinySource):
    planted: bool = False

    def volumes(self) -> Iterator[Volume]:
        yield from (mixed(number, self.planted) for number in range(self.patients))


def test_a_whole_run_never_counts_a_kidney_that_nobody_looked_for(tmp_path: Path) -> None:
    outcomes = []
    for planted in (False, True):
        root = tmp_path / str(planted)
        stored = library.add(root, "tiny", Mixed(planted=planted))
        assert [case.annotated for case in stored.cases[:2]] == [ORGANS, ("liver",)]
        ran = bench(*run_argv(root, "fsm", "--folds", "0,1"))
        assert ran.code == 0, ran.err
        files = sorted((root / "results").glob("*/*/rows.parquet"))
        tables = [pq.read_table(path).drop_columns(["code"]).to_pylist() for path in files]
        rows = [row for table in tables for row in table]
        annotated = {case.name: case.annotated for case in stored.cases}
        probes = [row for row in rows if row["state"] == "probe"]
        rows = [row for row in rows if row["state"] != "probe"]
        assert probes and {row["organ"] for row in probes} == {"all"}
        assert rows and all(row["organ"] in annotated[row["case"]] for row in rows)
        assert {row["case"] for row in rows if row["organ"] == "liver"} > {
            row["case"] for row in rows if row["organ"] == "left_kidney"
        }
        outcomes.append((weights(root), str(rows)))
    assert outcomes[0] == outcomes[1]


class Planted:
    """A draw that plants kidney labels in every sample whose kidneys nobody looked for."""

    def __init__(self, draw: SliceDraw) -> None:
        self._draw = draw
        self.steps_in_one_pass = draw.steps_in_one_pass
        self.case_names = draw.case_names
        self.planted = 0

    def __call__(self, step: int) -> Batch:
        batch = self._draw(step)
        unknown = ~batch.annotated_BK[:, 1]
        label = batch.label_BHW.clone()
        place = unknown[:, None, None] & (label == 0) & batch.valid_BHW
        label[place] = torch.where(torch.arange(int(place.sum())) % 2 == 0, 2, 3)
        self.planted += int(place.sum())
        return replace(batch, label_BHW=label)


def test_planted_voxels_in_a_batch_move_no_weight(tmp_path: Path) -> None:
    """Past every reader: the labels of a batch itself are wrong where they are unknown."""
    ground = Ground(batch=4)
    trainer = MemoryTrainer(ground, hardware("cpu", "fp32"))
    trainer.cases = [
        on_training_grid(mixed(number, False), ORGANS, None, sha256=f"{number}")
        for number in range(4)
    ]
    values = {"ct.width": 4, "ct.levels": 3, "gt.width": 4, "gt.levels": 3}
    values |= {"schedule.epochs": 2.0, "schedule.steps_per_epoch": 3}
    method = resolve(load_registry(), "fsm", "quick", values).method
    outcomes = []
    for planting in (False, True):
        done, planted = {}, 0
        for node in in_order(method.plan().node):
            nets = trainer.ready(node, done)
            draw = trainer.draw(node, nets)
            used = Planted(draw) if planting else draw
            fit(node, nets, used, seed=0, hardware=trainer.hardware, control=Control())
            planted += getattr(used, "planted", 0)
            done[node] = nets
        outcomes.append(
            [v for nets in done.values() for n in nets.values() for v in n.parameters()]
        )
        assert (planted > 1000) == planting
    assert len(outcomes[0]) == len(outcomes[1])
    assert all(torch.equal(a, b) for a, b in zip(*outcomes, strict=True))


def test_planted_voxels_score_nothing() -> None:
    clean, planted = (mixed(1, flag).label for flag in (False, True))
    predicted = tiny_volume(1).label
    options = {"spacing_mm": (2.0, 1.0, 1.0), "organs": ORGANS, "annotated": ("liver",)}
    one, other = (str(score_case(truth, predicted, **options)) for truth in (clean, planted))
    assert one == other and "kidney" not in one


def test_what_is_stored_holds_no_unknown_organ(tmp_path: Path) -> None:
    stored = library.add(tmp_path, "tiny", Mixed(planted=True))
    assert stored.load("p01").label.max() == 1 and stored.load("p00").label.max() == 3
