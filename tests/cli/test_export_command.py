"""`bench export`: a row's label maps, weights and rows as files that other programs read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import SimpleITK
from bench_process import Ran, bench, run_argv, tiny_workspace
from safetensors.numpy import load_file

from benchmark.data.library import add, open_dataset
from benchmark.data.volume import Volume, to_canonical
from benchmark.files.atomic import sha256_file
from benchmark.store.ledger import Entry, Ledger
from benchmark.store.results import Results
from benchmark.testing import TinySource, tiny_volume

BOX = ((0, 5), (3, 23), (1, 19))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A row in two folds; nobody writes to it."""
    root = tiny_workspace(tmp_path_factory.mktemp("trained"))
    ran = bench(*run_argv(root, "unet", "--folds", "0,1"))
    assert ran.code == 0, ran.err
    return root


def export(root: Path, out: Path, *more: str, method: str = "unet") -> Ran:
    return bench("export", "--root", str(root), "--method", method, "-o", str(out), *more)


def entries(root: Path) -> list[Entry]:
    return Ledger(root / "ledger").entries()


@pytest.fixture(scope="module")
def out(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "exported"
    ran = export(root, out, "--probabilities", "--threads", "1", "--json")
    assert ran.code == 0, ran.err
    assert (ran.json["folds"], ran.json["cases"], ran.json["notes"]) == ([0, 1], 3, [])
    return out


def test_label_maps_lie_on_the_cases_own_grids(root: Path, out: Path) -> None:
    dataset, results = open_dataset(root, "tiny"), Results(root / "results", print)
    seen = 0
    for entry in entries(root):
        for path in (out / f"fold_{entry.fold}" / "labels").iterdir():
            case = path.name.removesuffix(".nii.gz")
            geometry = dataset.case(case).geometry
            read = nib.load(path)
            assert read.shape == geometry.shape and read.get_data_dtype() == np.uint8
            np.testing.assert_allclose(read.affine, geometry.affine, atol=1e-6)
            np.testing.assert_allclose(read.get_qform(), geometry.affine, atol=1e-4)
            assert read.header.get_xyzt_units()[0] == "mm"
            array, _ = to_canonical(np.asarray(read.dataobj), read.affine)
            np.testing.assert_array_equal(array, results.labels(entry.key, entry.evaluation, case))
            itk = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
            np.testing.assert_array_equal(itk, np.asarray(read.dataobj).T)
            seen += 1
    assert seen == 3


def test_probabilities_say_what_the_label_map_says(out: Path) -> None:
    for path in out.glob("fold_*/labels/*.nii.gz"):
        label = np.asarray(nib.load(path).dataobj)
        folder, case = path.parent.parent / "probabilities", path.name.removesuffix(".nii.gz")
        organs = ("liver", "left_kidney", "right_kidney")
        found = [nib.load(folder / f"{case}_{organ}.nii.gz") for organ in organs]
        assert {each.get_data_dtype() for each in found} == {np.dtype(np.float32)}
        probs = np.stack([np.asarray(each.dataobj) for each in found])
        assert probs.min() >= 0 and probs.sum(axis=0).max() <= 1 + 1e-5
        whole = np.concatenate([1 - probs.sum(axis=0, keepdims=True), probs])
        np.testing.assert_array_equal(whole.argmax(axis=0), label)


def test_rows_weights_and_provenance(root: Path, out: Path) -> None:
    results, found = Results(root / "results", print), entries(root)
    rows = [row for e in found for row in results.rows(e.key, e.evaluation)]
    frame = pd.read_csv(out / "rows.csv")
    assert len(frame) == len(rows)
    np.testing.assert_allclose(frame["value"], [row.value for row in rows])
    for entry in found:
        there = load_file(out / f"fold_{entry.fold}" / "weights" / "ct.safetensors")
        stored = load_file(root / "objects" / entry.key / "ct.safetensors")
        assert there.keys() == stored.keys()
    about = json.loads((out / "provenance.json").read_text())
    assert about["data_set"]["fingerprint"] == open_dataset(root, "tiny").fingerprint
    assert [cell["key"] for cell in about["cells"]] == [entry.key for entry in found]
    assert about["labels"] == {"background": 0, "liver": 1, "left_kidney": 2, "right_kidney": 3}
    for name, digest in about["files"].items():
        assert sha256_file(out / name) == digest
    written = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    assert written == {*about["files"], "provenance.json", "README.md"}
    for path in (out / "provenance.json", out / "README.md"):
        assert str(root) not in path.read_text()


class Boxed(TinySource):
    """The tiny set with crop boxes."""

    @property
    def fingerprint(self) -> str:
        return "boxed"

    def volumes(self) -> Iterator[Volume]:
        for number in range(self.patients):
            yield replace(tiny_volume(number), box=BOX, source_sha256=f"{number:064d}")


def test_outside_of_a_crop_box_nothing_is_probable(tmp_path: Path) -> None:
    root, out = tmp_path / "workspace", tmp_path / "out"
    add(root, "tiny", Boxed())
    assert bench(*run_argv(root, "unet", "--folds", "0")).code == 0
    ran = export(root, out, "--probabilities", "--threads", "1", "--json")
    assert ran.code == 0 and ran.json["notes"] == [], ran.err
    path = next(out.glob("fold_0/probabilities/*_liver.nii.gz"))
    probs, _ = to_canonical(np.asarray(nib.load(path).dataobj), nib.load(path).affine)
    inside = np.zeros(probs.shape, bool)
    inside[tuple(slice(*ends) for ends in BOX)] = True
    assert not probs[~inside].any() and probs[inside].all()


def test_the_readme_names_every_kind_of_file(out: Path) -> None:
    text = (out / "README.md").read_text()
    for word in ("labels/CASE.nii.gz", "probabilities/", "weights/", "rows.csv", "1 liver"):
        assert word in text


def test_one_fold_as_parquet(root: Path, tmp_path: Path) -> None:
    ran = export(root, tmp_path / "one", "--fold", "1", "--rows", "parquet")
    assert ran.code == 0, ran.err
    assert "README.md says what is what" in ran.out
    assert [p.name for p in (tmp_path / "one").glob("fold_*")] == ["fold_1"]
    assert set(pd.read_parquet(tmp_path / "one" / "rows.parquet")["fold"]) == {1}
    assert not list((tmp_path / "one").glob("**/probabilities"))


def test_an_oblique_grid_with_shear_has_no_quaternion() -> None:
    from benchmark.cli.export_files import nifti_bytes

    affine = np.array([[-1.0, 0.2, 0, 5], [0, -0.8, 0.1, 7], [0, 0, 2, -3], [0, 0, 0, 1]])
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    label, geometry = to_canonical(array, affine)
    read = nib.Nifti1Image.from_bytes(__import__("gzip").decompress(nifti_bytes(label, geometry)))
    np.testing.assert_array_equal(np.asarray(read.dataobj), array)
    np.testing.assert_allclose(read.affine, affine, atol=1e-6)
    assert int(read.header["qform_code"]) == 0


@pytest.mark.parametrize(
    ("more", "method", "said"),
    [
        ([], "fms", "no finished cell of a row 'fms': there is unet"),
        (["--fold", "3"], "unet", "no result of fold 3: there is fold 0, 1"),
        (["--dataset", "x"], "unet", "was not run with dataset x: there is tiny"),
        (["--rows", "xls"], "unet", "the formats are csv and parquet"),
    ],
)
def test_what_is_not_there(
    root: Path, tmp_path: Path, more: list[str], method: str, said: str
) -> None:
    ran = export(root, tmp_path / "out", *more, method=method)
    assert ran.code == 2 and said in ran.err and not (tmp_path / "out").exists()


def test_a_folder_that_is_there_is_left_alone(root: Path, tmp_path: Path) -> None:
    ran = export(root, tmp_path)
    assert ran.code == 2 and "is there already" in ran.err
    assert bench("export", "--root", str(root)).err.startswith("bench: give a row and a folder")


def test_two_kinds_of_a_row_are_not_mixed(root: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(root, tmp_path / "other"))
    ran = bench(*run_argv(other, "unet", "--folds", "0", "--seeds", "1"))
    assert ran.code == 0, ran.err
    ran = export(other, tmp_path / "out")
    assert ran.code == 2 and "2 seeds (0, 1): choose with --seed" in ran.err
    assert export(other, tmp_path / "out", "--seed", "1").code == 0
    shutil.rmtree(other / "objects")
    ran = export(other, tmp_path / "bare", "--seed", "0", "--json")
    assert ran.code == 0 and ran.json["weights"] == 0 and "has no weights" in ran.json["notes"][0]
    ran = export(other, tmp_path / "none", "--seed", "0", "--probabilities")
    assert ran.code == 2 and "fold 0 has no weights in this workspace" in ran.err
    ledger = Ledger(other / "ledger")
    for entry in ledger.entries():
        ledger.write(replace(entry, outside="nnU-Net 2d"))
    ran = export(other, tmp_path / "none", "--seed", "0", "--probabilities")
    assert ran.code == 2 and "another tool predicted it (nnU-Net 2d)" in ran.err
    ran = export(other, tmp_path / "theirs", "--seed", "0", "--json")
    assert "another tool predicted it" in ran.json["notes"][0]
