from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nnunet_files import AFFINE, SHAPE, add, arrays, make, refused, save


@pytest.mark.parametrize(
    ("described", "part"),
    [
        ({"labels": None}, "'labels'"),
        ({"labels": {"background": 0}}, "0 organs"),
        ({"labels": {"liver": 0}}, "label 0 must be the background"),
        ({"labels": {"background": 0, "liver": 1, "Liver": 2}}, "described twice"),
        ({"labels": {"background": 0, "liver": 1, "spleen": 1}}, "described twice"),
        ({"labels": {"background": 0, "whole": [1, [2]]}}, "use one number"),
        ({"labels": {"background": 0, "whole": [1, 2], "core": 2}}, "share voxels"),
        ({"labels": {"background": 0, "whole": []}}, "use one number"),
        ({"labels": {"background": 0, "whole": [0, 1]}}, "label 0 must be the background"),
        ({"labels": {"background": 0, "liver": 1, "ignore": [2, 3]}}, "use one number"),
        ({"labels": {"background": 0, "??": 1}}, "letters and digits"),
        ({"channel_names": {"0": "T1", "1": "T2"}}, "2 channels"),
        ({"file_ending": ".nrrd"}, ".nrrd"),
        ({"annotated": {"c0": ["spleen"]}}, "spleen"),
    ],
)
def test_bad_descriptions(tmp_path: Path, described: dict[str, Any], part: str) -> None:
    refused(tmp_path, make(tmp_path / "raw", 1, **described), part)


def test_bad_folders(tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    refused(tmp_path, folder, "no folder", str(folder))
    folder.mkdir()
    refused(tmp_path, folder, "is empty")
    make(folder)
    (folder / "dataset.json").write_text('{"labels": ')
    refused(tmp_path, folder, "dataset.json", "line 1")
    (folder / "dataset.json").unlink()
    refused(tmp_path, folder, "has no dataset.json")
    make(folder)
    (folder / "imagesTr" / "c0_0001.nii.gz").write_bytes(b"")
    refused(tmp_path, folder, "c0_0001.nii.gz is another channel")
    nothing = make(tmp_path / "nothing", 1)
    (nothing / "imagesTr" / "c0_0000.nii.gz").unlink()
    (nothing / "labelsTr" / "c0.nii.gz").unlink()
    refused(tmp_path, nothing, "no .nii.gz file")


def bend(folder: Path, fault: str) -> None:
    """Plant one fault in case c1."""
    image_path, label_path = folder / "imagesTr/c1_0000.nii.gz", folder / "labelsTr/c1.nii.gz"
    image, label = arrays(1)
    moved, twice = AFFINE.copy(), np.eye(4)
    moved[0, 3] = 18  # one voxel
    twice[:3, 1] = twice[:3, 0]
    skewed = AFFINE.copy()
    skewed[0, 1] = 2
    image_f = image.astype(np.float32)
    image_f[0, 0, :3] = np.nan
    if fault in ("no label", "no image"):
        (label_path if fault == "no label" else image_path).unlink()
    elif fault == "truncated":
        image_path.write_bytes(image_path.read_bytes()[:-400])
    elif fault == "crc":
        content = bytearray(image_path.read_bytes())
        content[-6] ^= 255  # within gzip's checksum: all voxels decompress well
        image_path.write_bytes(content)
    elif fault == "no byte":
        image_path.write_bytes(b"")
    elif fault == "not nifti":
        image_path.write_bytes(gzip.compress(b"hello" * 500))
    elif fault == "giant":
        head = bytearray(gzip.decompress(image_path.read_bytes()))
        struct.pack_into("<4h", head, 40, 3, 32000, 32000, 32000)
        image_path.write_bytes(gzip.compress(bytes(head)))
    else:
        wrong = {
            "shape": (label_path, label[:-1], AFFINE),
            "moved": (label_path, label, moved),
            "unknown id": (label_path, np.where(label == 2, 9, label).astype(np.uint8), AFFINE),
            "negative id": (label_path, -label.astype(np.int16), AFFINE),
            "empty": (label_path, 0 * label, AFFINE),
            "nan": (image_path, image_f, AFFINE),
            "4d": (image_path, np.stack([image, image], -1), AFFINE),
            "no ct": (image_path, np.abs(image) % 256, AFFINE),
            "huge": (image_path, image.astype(np.float32) * 1e6, AFFINE),
            "singular": (image_path, image, twice),
            "skewed": (image_path, image, skewed),
            "colour": (image_path, np.zeros(SHAPE, [(c, "u1") for c in "RGB"]), AFFINE),
        }
        save(*wrong[fault])


@pytest.mark.parametrize(
    ("fault", "parts"),
    [
        ("no label", ["no file in labelsTr"]),
        ("no image", ["no file in imagesTr"]),
        ("truncated", ["c1_0000.nii.gz cannot be read"]),
        ("crc", ["c1_0000.nii.gz cannot be read", "CRC"]),
        ("no byte", ["c1_0000.nii.gz cannot be read"]),
        ("not nifti", ["c1_0000.nii.gz cannot be read"]),
        ("giant", ["c1_0000.nii.gz", "61035.2 GiB", "32000x32000x32000"]),
        ("shape", ["[12, 14, 8]", "[11, 14, 8]"]),
        ("moved", ["1 voxels apart"]),
        ("unknown id", ["voxels with 9", "describes 0, 1, 2"]),
        ("negative id", ["voxels with -1"]),
        ("empty", ["0 voxels of the label"]),
        ("nan", ["3 of 1344 intensities are NaN"]),
        ("4d", ["12x14x8x2"]),
        ("no ct", ["0 % of the voxels lie under -50 HU", "--force CASE"]),
        ("huge", ["-1e+09", "cannot be HU"]),
        ("singular", ["c1_0000.nii.gz: the affine is singular"]),
        ("skewed", ["right angles"]),
        ("colour", ["not plain numbers"]),
    ],
)
def test_a_bad_case_is_refused_with_its_figure(
    tmp_path: Path, fault: str, parts: list[str]
) -> None:
    folder = make(tmp_path / "raw")
    bend(folder, fault)
    refused(tmp_path, folder, "case c1", *parts)
    if fault != "no ct":  # a person can vouch for the intensities, for nothing else
        refused(tmp_path, folder, "case c1", *parts, force=["c1"])
    left = add(tmp_path, folder, skip_bad=True)
    assert [case.name for case in left.cases] == ["c0", "c2"]
    assert list(left.origin["skipped"]) == ["c1"]


def test_several_bad_cases_are_all_listed(tmp_path: Path) -> None:
    folder = make(tmp_path / "raw")
    bend(folder, "shape")
    save(folder / "labelsTr" / "c2.nii.gz", np.full(SHAPE, 5, np.uint8))
    refused(tmp_path, folder, "2 of 3 cases", "case c1", "[11, 14, 8]", "case c2", "with 5")
