"""`bench predict` on the tiny set: what it finds is what the store kept, on any grid."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from bench_process import Ran, bench, run_argv, tiny_workspace, tree

from benchmark.data.feeding.slices import on_training_grid, scaled
from benchmark.data.library import open_dataset
from benchmark.data.volume import from_canonical, to_canonical
from benchmark.phantom.layout import Header, dicom_files, save
from benchmark.phantom.layout import on_disk as on_disk_of
from benchmark.plan.ground import Ground
from benchmark.running.bench import Bench, Options
from benchmark.running.cells import plan_cells
from benchmark.running.execute import load_networks
from benchmark.settings.registry import load_registry
from benchmark.settings.resolve import resolve
from benchmark.store.ledger import Entry, Ledger
from benchmark.testing import ORGANS, tiny_volume

VALUES = {
    "ground.size": 16,  # not the native grid: HU and probabilities are resampled
    "ct.width": 4,
    "ct.levels": 3,
    "schedule.epochs": 4,
    "schedule.steps_per_epoch": 10,
    "schedule.lr": 0.02,
}
NAMES = {name.replace(".", "__"): value for name, value in VALUES.items()}
SETS = [part for n, v in VALUES.items() for part in ("--set", f"{n}={json.dumps(v)}")]
UNET = ["--method", "unet", *SETS]
ONLY = [*UNET, "--overlay", "none"]  # no picture


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny set, `unet` trained in five folds, and `fsm` in one."""
    folder = tiny_workspace(tmp_path_factory.mktemp("predict") / "workspace")
    assert bench(*run_argv(folder, "unet", **NAMES)).code == 0
    assert bench(*run_argv(folder, "fsm", "--folds", "0")).code == 0
    return folder


@pytest.fixture(scope="module")
def opened(root: Path) -> Bench:
    return Options(root=root, device="cpu").open()


def entry(opened: Bench, fold: int, row: str = "unet") -> Entry:
    chosen = [e for e in opened.ledger.entries() if (e.row, e.fold) == (row, fold)]
    return chosen[0]


def predict(root: Path, image: Path, out: Path, *more: str) -> Ran:
    common = ["--root", str(root), "--dataset", "tiny", "--threads", "1", "--json"]
    return bench("predict", str(image), "-o", str(out), *common, *more)


def on_disk(folder: Path, case: str, flips: tuple[bool, ...] = (False, False, False)) -> Path:
    """The tiny patient as NIfTI with some axes running backwards: its affine says so."""
    volume = tiny_volume(int(case[1:]))
    array, affine = from_canonical(volume.image, volume.geometry), np.array(volume.geometry.affine)
    for axis, flip in enumerate(flips):
        if flip:
            array = np.flip(array, axis)
            affine[:, 3] += affine[:, axis] * (array.shape[axis] - 1)
            affine[:, axis] *= -1
    path = folder / f"{case}.nii.gz"
    nib.save(nib.Nifti1Image(np.ascontiguousarray(array), affine), path)
    return path


def canonical(path: Path) -> Any:
    image = nib.load(path)
    return to_canonical(np.asarray(image.dataobj), image.affine)[0]


def test_one_fold_gives_the_label_maps_that_the_store_kept(
    root: Path, opened: Bench, tmp_path: Path
) -> None:
    seen: set[int] = set()
    for fold in range(5):
        of_fold = entry(opened, fold)
        cases = np.load(opened.results.path(of_fold.key, of_fold.evaluation) / "labels.npz").files
        for case in cases:
            out = tmp_path / f"{case}-label.nii.gz"
            ran = predict(root, on_disk(tmp_path, case), out, *ONLY, "--fold", str(fold))
            assert ran.code == 0 and ran.err == "", ran.err  # a test case: no warning
            kept = opened.results.labels(of_fold.key, of_fold.evaluation, case)
            np.testing.assert_array_equal(canonical(out), kept)
            assert ran.json["keys"] == [of_fold.key] and ran.json["folds"] == [fold]
            seen |= set(np.unique(kept).tolist())
    assert {0, 1, 3} <= seen  # the networks have learnt something to compare


def test_a_flipped_image_gives_the_flipped_prediction(root: Path, tmp_path: Path) -> None:
    """For each of the eight ways in which the axes may run."""
    found = {}
    for flips in product((False, True), repeat=3):
        out = tmp_path / "label.nii"
        ran = predict(root, on_disk(tmp_path, "p00", flips), out, *ONLY, "--fold", "1")
        assert ran.code == 0, ran.err
        image = nib.load(out)
        np.testing.assert_array_equal(image.affine, nib.load(tmp_path / "p00.nii.gz").affine)
        found[flips] = np.asarray(image.dataobj)
    plain = found[False, False, False]
    assert len(np.unique(plain)) > 2
    for flips, label in found.items():
        axes = tuple(axis for axis, flip in enumerate(flips) if flip)
        np.testing.assert_array_equal(label, np.flip(plain, axes))
    assert any(not np.array_equal(label, plain) for label in found.values())


def test_five_folds_are_the_mean_of_their_probabilities(
    root: Path, opened: Bench, tmp_path: Path
) -> None:
    ran = predict(root, on_disk(tmp_path, "p02"), tmp_path / "out.nii.gz", *UNET)
    assert ran.code == 0 and ran.json["folds"] == [0, 1, 2, 3, 4]
    assert ran.json["keys"] == [entry(opened, fold).key for fold in range(5)]
    expected, single = by_hand(root, opened)
    np.testing.assert_array_equal(canonical(tmp_path / "out.nii.gz"), expected)
    assert any(not np.array_equal(one, expected) for one in single)
    assert "case p02 of tiny" in ran.err and "says nothing about new patients" in ran.err
    volumes = {organ: found["ml"] for organ, found in ran.json["organs"].items()}
    assert volumes == {
        organ: pytest.approx(0.002 * (expected == number).sum())
        for number, organ in enumerate(ORGANS, start=1)
    }


def by_hand(root: Path, opened: Bench) -> tuple[Any, list[Any]]:
    """The ensemble of the five folds on p02, and each alone, with plain torch."""
    setting = resolve(load_registry(), "unet", "quick", VALUES)
    cells = plan_cells(setting, open_dataset(root, "tiny"), folds=range(5), seeds=[0])
    slices = on_training_grid(tiny_volume(2), ORGANS, 16).hu_ZHW
    ground = Ground(hu_low=setting.ground.hu_low, hu_high=setting.ground.hu_high)
    total, single = torch.zeros(1), []
    for cell in cells:
        node = cell.final.node
        network = load_networks(node, cell.entry("x").key, cell.data, opened)["ct"]
        with torch.no_grad():
            x = torch.nn.functional.pad(scaled(slices, ground)[:, None], (0, 3))  # 16 x 13
            probs = torch.softmax(network(x), dim=1)[..., :13]
        native = torch.nn.functional.interpolate(
            probs, size=(24, 20), mode="bilinear", align_corners=False
        )
        single.append(native.argmax(dim=1).numpy())
        total = total + native
    return total.argmax(dim=1).numpy(), single


def test_a_key_predicts_as_its_row_does(root: Path, opened: Bench, tmp_path: Path) -> None:
    key = entry(opened, 3).key
    image = on_disk(tmp_path, "p01")
    by_row = predict(root, image, tmp_path / "a.nii.gz", *UNET, "--fold", "3")
    by_key = predict(root, image, tmp_path / "b.nii.gz", "--key", key[:8])
    assert by_key.json["keys"] == by_row.json["keys"] == [key]
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    assert key in str(nib.load(tmp_path / "a.nii.gz").header["descrip"])
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


def test_an_earlier_training_of_a_row_predicts_too(
    root: Path, opened: Bench, tmp_path: Path
) -> None:
    """fsm's second training holds N_CT before it takes N_GT's decoder; its first reads masks."""
    n_gt, n_ct, _ = entry(opened, 0, "fsm").nodes
    image, out = on_disk(tmp_path, "p01"), tmp_path / "out.nii.gz"
    assert predict(root, image, out, "--key", n_ct).code == 0
    ran = predict(root, image, tmp_path / "no.nii.gz", "--key", n_gt)
    assert ran.code == 2 and "reads masks" in ran.err


def test_a_dicom_series_gives_what_its_nifti_file_gives(root: Path, tmp_path: Path) -> None:
    disk = on_disk_of(tiny_volume(1), (False, True, True))
    save(tmp_path / "ct", dicom_files(disk.image_ijk, disk.affine, header=Header()))
    argv = [*ONLY, "--fold", "0"]
    assert predict(root, on_disk(tmp_path, "p01"), tmp_path / "nifti.nii.gz", *argv).code == 0
    ran = predict(root, tmp_path / "ct", tmp_path / "dicom.nii.gz", *argv)
    assert ran.code == 0, ran.err
    found = canonical(tmp_path / "dicom.nii.gz")
    assert len(np.unique(found)) > 1
    np.testing.assert_array_equal(found, canonical(tmp_path / "nifti.nii.gz"))


def test_what_people_see(root: Path, tmp_path: Path) -> None:
    argv = ["--root", str(root), "--dataset", "tiny", *UNET, "--fold", "0", "--overlay", "none"]
    ran = bench("predict", str(on_disk(tmp_path, "p01")), "-o", str(tmp_path / "x.nii"), *argv)
    assert ran.code == 0 and not (tmp_path / "x.png").exists()
    lines = ran.out.splitlines()
    assert "trained on tiny, preset quick: network of fold 0" in lines[0]
    assert [line.split()[:2] for line in lines[1:4]] == [["1", ORGANS[0]], *(
        [str(n), organ] for n, organ in enumerate(ORGANS[1:], start=2)
    )]  # fmt: skip
    assert all(line.endswith(" ml") for line in lines[1:4])


@pytest.mark.parametrize(
    ("out", "more", "words"),
    [
        ("x.nii.gz", ["--key", "0123456789abcdef0123"], "is not there"),
        ("x.nii.gz", ["--key", "ab"], "is not there"),
        ("x.nii.gz", [*UNET, "--preset", "paper"], "never trained in this workspace"),
        ("x.nii.gz", ["--method", "no-such-row"], "no-such-row"),
        ("x.nii.gz", [*UNET, "--seed", "1"], "never trained in this workspace"),
        ("x.nii.gz", [*UNET, "--fold", "0,7"], "lacks fold 7"),
        ("x.nii.gz", ["--method", "unet@early", *SETS], "never trained in this workspace"),
        ("x.nii.gz", ["--key", "0123456789abcdef0123", "--fold", "0"], "neither"),
        ("x.nii.gz", [*UNET, "--batch", "0"], "--batch 0"),
        ("x.img", UNET, ".nii.gz"),
        ("nowhere/x.nii.gz", UNET, "cannot write"),
        ("p00.nii.gz", UNET, "is the image itself"),
        ("folder.nii.gz", UNET, "is a folder"),
        ("x.nii.gz", [*UNET, "--overlay", "nowhere/x.png"], "cannot write"),
        ("x.nii.gz", [*UNET, "--overlay", "x.jpg"], ".png"),
        ("/proc/x.nii.gz", UNET, "cannot write"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    out: str, more: list[str], words: str, root: Path, tmp_path: Path
) -> None:
    image = on_disk(tmp_path, "p00")
    (tmp_path / "folder.nii.gz").mkdir()
    before = tree(tmp_path), tree(root)
    ran = predict(root, image, tmp_path / out, *more)
    assert ran.code == 2 and ran.out == "" and words in ran.err, ran.err
    assert len(ran.err.splitlines()) == 1 and "Traceback" not in ran.err
    assert (tree(tmp_path), tree(root)) == before


def test_a_fold_that_is_not_trained_is_no_silent_smaller_ensemble(
    root: Path, tmp_path: Path
) -> None:
    values = ["--set", "ground.size=null", "--set", "ct.width=4", "--set", "ct.levels=3"]
    values += ["--set", "schedule.epochs=2", "--set", "schedule.steps_per_epoch=3"]
    values += ["--set", "gt.width=4", "--set", "gt.levels=3", "--method", "fsm"]
    ran = predict(root, on_disk(tmp_path, "p00"), tmp_path / "x.nii.gz", *values)
    assert ran.code == 2 and "lacks fold 1,2,3,4" in ran.err and "--fold 0" in ran.err
    assert (
        predict(root, on_disk(tmp_path, "p00"), tmp_path / "x.nii.gz", *values, "--fold", "0").code
        == 0
    )


def test_networks_of_two_splits_are_never_one_ensemble(root: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(root, tmp_path / "workspace"))
    ledger = Ledger(folder / "ledger")
    usual = [e for e in ledger.entries() if e.row == "unet"]
    for fold in (0, 1):
        ledger.write(replace(usual[fold], split="another", own_split=True))
    image, out = on_disk(tmp_path, "p00"), tmp_path / "x.nii.gz"
    assert predict(folder, image, out, *ONLY).json["keys"] == [e.key for e in usual]
    ran = predict(folder, image, out, *ONLY, "--fold", "1")
    assert ran.code == 2 and "was trained on 2 splits" in ran.err
    assert f"choose with --split {usual[0].split[:8]} or --split another" in ran.err
    assert f"{usual[0].split[:8]}: fold 0,1,2,3,4" in ran.err and "another: fold 0,1" in ran.err


def test_a_picture_that_fails_leaves_no_label_map(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any, **more: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("benchmark.reporting.overlay.draw_overlay", full)
    image = on_disk(tmp_path, "p00")
    ran = predict(root, image, tmp_path / "x.nii.gz", *UNET)
    assert ran.code == 2 and "No space left" in ran.err
    assert list(tmp_path.iterdir()) == [image]


def test_no_workspace_is_made(tmp_path: Path) -> None:
    image = on_disk(tmp_path, "p00")
    ran = predict(tmp_path / "none", image, tmp_path / "x.nii.gz", *UNET)
    assert ran.code == 2 and "no workspace" in ran.err
    assert list(tmp_path.iterdir()) == [image]
