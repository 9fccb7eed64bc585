from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from benchmark.cli import data
from benchmark.errors import BadInput

AFFINE = np.diag([-18.0, -18.0, 20.0, 1.0])  # 6.48 ml a voxel
SHAPE = (12, 14, 8)


def bench(root: Path, *words: str) -> int:
    parser = argparse.ArgumentParser()
    data.configure(parser)
    return data.run(parser.parse_args([*words, "--root", str(root)]))


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Two cases; the second has no annotated kidney."""
    folder = tmp_path / "Dataset007_Tiny"
    for number in range(2):
        image = np.random.default_rng(number).normal(60, 15, SHAPE).round().astype(np.int16)
        image[:, :3] = -1000
        label = np.zeros(SHAPE, np.uint8)
        label[3:8, 5:9, 2:6] = 1  # 80 voxels
        image[3:8, 5:9, 2:6] = 100
        for kind, name, array in (("imagesTr", "_0000", image), ("labelsTr", "", label)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(array, AFFINE), folder / kind / f"c{number}{name}.nii.gz")
    described = {
        "labels": {"background": 0, "liver": 1, "left_kidney": 2},
        "annotated": {"c1": ["liver"]},
    }
    (folder / "dataset.json").write_text(json.dumps(described))
    return folder


def test_add_list_audit(tmp_path: Path, raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(tmp_path, "add", "folder", str(raw)) == 0
    assert "data set tiny: 2 cases, liver, left_kidney" in capsys.readouterr().out
    assert bench(tmp_path, "list", "--json") == 0
    listed = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    wanted = {"name": "tiny", "cases": 2, "organs": ["liver", "left_kidney"]}
    assert listed["tiny"] == wanted
    assert bench(tmp_path, "audit", "tiny", "--json") == 0
    whole, part = json.loads(capsys.readouterr().out)
    assert (whole["case"], whole["shape"], whole["spacing_mm"]) == ("c0", [8, 14, 12], [20, 18, 18])
    assert whole["orientation"] == "LPS"
    assert whole["organs"]["liver"] == {"ml": 518.4, "hu_median": 100.0, "hu_mean": 100.0}
    assert whole["organs"]["left_kidney"] == {
        "ml": 0.0,
        "hu_median": None,
        "hu_mean": None,
    }  # looked for, absent
    assert whole["not_annotated"] == []
    assert list(part["organs"]) == ["liver"]
    assert part["not_annotated"] == ["left_kidney"]
    names = {check["name"] for check in whole["checks"]}
    assert {"affine", "finite", "shape", "labels", "not_empty", "hu_low", "hu_liver"} <= names
    assert all({"name", "ok", "value", "limit"} <= set(check) for check in whole["checks"])


def test_tables(tmp_path: Path, raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench(tmp_path, "add", "folder", str(raw), "--name", "other")
    capsys.readouterr()
    bench(tmp_path, "list")
    assert "other" in capsys.readouterr().out
    bench(tmp_path, "audit", "other")
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == [
        *["c0", "8", "x", "14", "x", "12", "20", "x", "18", "x", "18", "LPS"],
        *["liver", "518.4", "100", "ok"],
    ]
    assert lines[-1].split() == ["left_kidney", "-", "-", "not", "annotated"]


def test_skip_and_force(tmp_path: Path, raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = np.random.default_rng(0).integers(0, 255, SHAPE).astype(np.int16)
    nib.save(nib.Nifti1Image(picture, AFFINE), raw / "imagesTr" / "c0_0000.nii.gz")
    with pytest.raises(BadInput, match="case c0: 0 % of the voxels"):
        bench(tmp_path, "add", "folder", str(raw))
    assert bench(tmp_path, "add", "folder", str(raw), "--skip-bad", "--name", "less") == 0
    found = capsys.readouterr()
    assert "left out case c0" in found.err
    assert "1 case," in found.out
    assert bench(tmp_path, "add", "folder", str(raw), "--force", "c0") == 0
    bench(tmp_path, "audit", "tiny")
    assert "c0: hu_low = 0.0, not >= 0.001" in capsys.readouterr().out


def test_phantom(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(tmp_path, "phantom", "--patients", "1") == 0
    assert bench(tmp_path, "phantom", "--patients", "1", "--shapeless", "--name", "mine") == 0
    capsys.readouterr()
    bench(tmp_path, "list", "--json")
    names = [row["name"] for row in json.loads(capsys.readouterr().out)]
    assert {"phantom-1", "mine"} <= set(names)
    bench(tmp_path, "audit", "mine", "--json")
    (case,) = json.loads(capsys.readouterr().out)
    assert all(check["ok"] for check in case["checks"])


def test_bad_names_come_before_reading(tmp_path: Path, raw: Path) -> None:
    with pytest.raises(BadInput, match="cannot name a data set"):
        bench(tmp_path, "add", "folder", str(raw), "--name", "../x")
    with pytest.raises(BadInput, match="no data set"):
        bench(tmp_path, "audit", "tyni")


def test_help_loads_nothing_heavy() -> None:
    code = "import sys, benchmark.cli.data as d; print([m for m in sys.modules])"
    path = str(Path(data.__file__).parents[2])
    text = f"import sys; sys.path.insert(0, {path!r}); {code}"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    for heavy in ("numpy", "torch", "nibabel", "filelock"):
        assert repr(heavy) not in done.stdout
