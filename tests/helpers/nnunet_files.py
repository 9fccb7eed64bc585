"""For tests: a small set in nnU-Net's raw layout on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from benchmark.data import library
from benchmark.data.readers.nnunet import NnUNetRaw
from benchmark.errors import BadInput

SHAPE = (12, 14, 8)
AFFINE = np.diag([-18.0, -18.0, 20.0, 1.0])  # so that the organs have a patient's volumes
LABELS = {"background": 0, "liver": 1, "Left Kidney": 2}


def arrays(number: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(number)
    image = random.normal(60, 15, SHAPE).round().astype(np.int16)
    image[:, :3] = -1000
    label = np.zeros(SHAPE, np.uint8)
    label[3:8, 5:9, 2:6] = 1
    label[8:10, 10:12, 2:6] = 2
    return image, label


def save(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)
    return path


def make(folder: Path, cases: int = 3, **described: Any) -> Path:
    """A whole data set on disk; `described` changes its `dataset.json`."""
    for number in range(cases):
        image, label = arrays(number)
        save(folder / "imagesTr" / f"c{number}_0000.nii.gz", image)
        save(folder / "labelsTr" / f"c{number}.nii.gz", label)
    folder.mkdir(parents=True, exist_ok=True)
    values = {"channel_names": {"0": "CT"}, "labels": LABELS, "numTraining": cases}
    values |= {"file_ending": ".nii.gz"} | described
    (folder / "dataset.json").write_text(json.dumps(values))
    return folder


def add(root: Path, folder: Path, **options: Any) -> library.DataSet:
    return library.add(root, "set", NnUNetRaw(folder), **options)


def refused(root: Path, folder: Path, *parts: str, **options: Any) -> None:
    """Adding raises BadInput with all `parts` in its message and leaves nothing."""
    with pytest.raises(BadInput) as caught:
        add(root, folder, **options)
    for part in parts:
        assert part in str(caught.value)
    data = root / "data"
    assert not data.exists() or list(data.iterdir()) == []
