"""`fsm-atlas` through the engine, on the tiny set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import pytest
import torch
from bench_process import SMALL, SMALL_GT, bench, run_argv, tiny_workspace

from benchmark.phantom.layout import on_disk
from benchmark.running.bench import Bench, Options
from benchmark.testing import tiny_volume

GT = {"gt__width": 4, "gt__levels": 3}


def ran(root: Path, row: str, *more: str, **values: Any) -> Any:
    small = {} if row == "unet" else GT
    found = bench(*run_argv(root, row, "--folds", "0", "--json", *more, **small, **values))
    assert found.code == 0, found.err
    return found.json


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_workspace(tmp_path_factory.mktemp("atlas"))


def bench_of(root: Path) -> Bench:
    return Options(root=root, device="cpu").open()


def records(root: Path) -> dict[str, dict[str, Any]]:
    paths = (root / "objects").glob("*/record.json")
    found = (json.loads(path.read_text(encoding="utf-8")) for path in paths)
    return {record["key"]: record for record in found}


def test_one_n_gt_serves_every_number_of_cts(root: Path) -> None:
    few = ran(root, "fsm-atlas", ground__train_cases=2)
    more = ran(root, "fsm-atlas", ground__train_cases=3)
    assert (few["trained"], more["trained"]) == (3, 2)
    masks = [record for record in records(root).values() if record["title"] == "N_GT"]
    assert len(masks) == 1 and masks[0]["ground"].get("train_cases") is None
    others = [r for r in records(root).values() if r["title"] == "refine"]
    assert {record["ground"]["train_cases"] for record in others} == {2, 3}
    assert all(record["fold"] != masks[0]["fold"] for record in others)


def test_with_every_ct_it_has_the_weights_of_fsm(root: Path) -> None:
    keys = []
    for row in ("fsm", "fsm-atlas"):
        ran(root, row)
        (entry,) = (
            e
            for e in bench_of(root).ledger.entries()
            if e.row == row and "ground.train_cases" not in e.overrides
        )
        keys.append(entry.key)
    assert keys[0] != keys[1]
    one, other = (bench_of(root).objects.weights(key, "ct") for key in keys)
    assert one and all(torch.equal(one[name], other[name]) for name in one)


def predicted(root: Path, folder: Path, row: str, number: int) -> str:
    """What `bench predict` says of a patient, by the row on two CTs."""
    disk, path = on_disk(tiny_volume(number)), folder / f"p{number:02d}.nii.gz"
    nibabel.save(nibabel.Nifti1Image(disk.image_ijk, disk.affine), path)
    small = SMALL if row == "unet" else {**SMALL, **SMALL_GT}
    small = {**small, "ground.train_cases": 2}
    values = [part for n, v in small.items() for part in ("--set", f"{n}={json.dumps(v)}")]
    where = ["--root", str(root), "--dataset", "tiny", "--method", row, "--fold", "0"]
    out = ["-o", str(folder / f"{row}{number}.nii.gz"), "--overlay", "none"]
    found = bench("predict", str(path), *out, *where, *values)
    assert found.code == 0 and "network of fold 0" in found.out, found.err
    return found.err


def test_it_predicts_and_knows_whom_it_was_given(root: Path, tmp_path: Path) -> None:
    """The key of a stored training is found again, with the atlas in it."""
    for row, count in (("unet", 2), ("fsm-atlas", 4)):
        ran(root, row, ground__train_cases=2)
        said = [predicted(root, tmp_path, row, number) for number in range(6)]
        assert sum("were trained on" in line for line in said) == count


def test_more_cts_than_a_fold_has_are_one_line(root: Path) -> None:
    found = bench(*run_argv(root, "unet", "--folds", "0", ground__train_cases=5))
    assert found.code == 2 and found.err.count("\n") == 1
    assert "ground.train_cases = 5: a fold has 4 training patients" in found.err
