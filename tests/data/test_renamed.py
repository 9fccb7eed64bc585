"""Cases under neutral names: what may be a patient's name is printed once and stored nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench_process import bench
from nnunet_files import AFFINE, arrays, make, save
from test_names_of_cases import stacked

from benchmark.data import library
from benchmark.data.readers.nnunet import NnUNetRaw

SECRET = "Lovelace"


def named_set(folder: Path) -> Path:
    raw = make(folder / f"{SECRET}_set", 3, annotated={f"{SECRET} Ada": ["liver"]})
    for kind, ending in (("imagesTr", "_0000.nii.gz"), ("labelsTr", ".nii.gz")):
        (raw / kind / f"c1{ending}").rename(raw / kind / f"{SECRET} Ada{ending}")
    image, label = arrays(7)
    moved = AFFINE.copy()
    moved[0, 3] = 0.1  # a warning
    save(raw / "imagesTr" / "c2_0000.nii.gz", image)
    save(raw / "labelsTr" / "c2.nii.gz", label, moved)
    for kind, ending in (("imagesTr", "_0000.nii.gz"), ("labelsTr", ".nii.gz")):
        (raw / kind / f"c2{ending}").rename(raw / kind / f"c2_{SECRET}{ending}")
    (raw / "imagesTr" / f"d_{SECRET}_0000.nii.gz").write_bytes(b"no file")
    save(raw / "labelsTr" / f"d_{SECRET}.nii.gz", label)
    return raw


def assert_clean(root: Path) -> None:
    for path in root.rglob("*"):
        assert SECRET.lower() not in path.name.lower()
        assert not path.is_file() or SECRET.lower().encode() not in path.read_bytes().lower(), path


def test_names_of_files_are_printed_and_not_stored(tmp_path: Path) -> None:
    root, raw = tmp_path / "root", named_set(tmp_path)
    argv = ["data", "add", "folder", str(raw), "--rename", "--root", str(root)]
    assert bench(*argv).err.startswith("bench: --rename: give the set a --name")
    bad = bench(*argv, "--name", "mine")
    assert bad.code == 2 and "case case_003: (a file) cannot be read" in bad.err
    assert SECRET not in bad.err
    added = bench(*argv, "--name", "mine", "--skip-bad")
    assert added.code == 0, added.err
    table = f"case_000 = {SECRET}_Ada\ncase_001 = c0\ncase_002 = c2_{SECRET}\ncase_003 = d_{SECRET}"
    assert table in added.out and f"'{SECRET} Ada' is called {SECRET}_Ada" in added.out
    assert SECRET not in added.err and "left out case case_003" in added.err
    assert_clean(root)
    stored = library.open_dataset(root, "mine")
    assert [case.name for case in stored.cases] == ["case_000", "case_001", "case_002"]
    assert stored.case("case_000").annotated == ("liver",)
    assert "--rename" in stored.origin["command"]
    assert bench(*argv, "--name", "mine", "--skip-bad").code == 0
    audited = bench("data", "audit", "mine", "--root", str(root), "--json")
    assert audited.code == 0 and SECRET not in audited.out
    plain = library.add(tmp_path / "plain", "mine", NnUNetRaw(raw), skip_bad=True)
    assert plain.fingerprint == stored.fingerprint  # the same cases, whatever they are called


@pytest.mark.parametrize("cases", [1, 4])
def test_folders_of_slices_and_pairs(tmp_path: Path, cases: int) -> None:
    raw = tmp_path / SECRET / "raw"
    for number in range(cases):
        stacked(raw / f"{SECRET}, {number}")
    (raw / f"{SECRET}, 0" / "DICOM" / "image_5").write_bytes(b"no file")
    argv = ["data", "add", "folder", str(raw), "--organ", "liver", "--rename", "--name", "s"]
    added = bench(*argv, "--root", str(tmp_path / "root"), "--skip-bad")
    assert added.code == (2 if cases == 1 else 0) and "(a file) is not a DICOM file" in added.err
    assert f"case_000 = {SECRET}_0" in added.out and SECRET not in added.err
    assert_clean(tmp_path / "root")
    pairs = named_set(tmp_path / "pairs")
    argv = ["data", "add", "pair", *(str(pairs / kind) for kind in ("imagesTr", "labelsTr"))]
    argv += ["--map", "liver=1,left_kidney=2", "--rename", "--name", "p", "--skip-bad"]
    added = bench(*argv, "--root", str(tmp_path / "root"))
    assert added.code == 0 and SECRET not in added.err
    assert_clean(tmp_path / "root")
