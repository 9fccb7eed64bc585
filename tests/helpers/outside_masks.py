"""For tests: masks of another tool on disk, written by nibabel on the grid of each case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import nibabel as nib
import numpy as np

from benchmark.data.library import DataSet
from benchmark.data.volume import from_canonical


def spoilt(label: np.ndarray, share: float, seed: int) -> np.ndarray:
    """The label map with a share of its organs' voxels gone."""
    gone = np.random.default_rng(seed).random(label.shape) < share
    return np.where(gone, 0, label).astype(np.uint8)


def write_masks(
    folder: Path,
    dataset: DataSet,
    cases: Iterable[str],
    *,
    share: float = 0.15,
    numbers: Mapping[int, int] | None = None,
    shift_mm: float = 0.0,
) -> Path:
    """Write CASE.nii.gz for each case; `numbers` maps ours to the tool's."""
    folder.mkdir(parents=True, exist_ok=True)
    for case in cases:
        volume = dataset.load(case)
        label = spoilt(volume.label, share, len(case))
        if numbers:
            label = np.vectorize({0: 0, **numbers}.get)(label).astype(np.uint8)
        affine = np.array(volume.geometry.affine)
        affine[0, 3] += shift_mm
        image = nib.Nifti1Image(from_canonical(label, volume.geometry), affine)
        nib.save(image, folder / f"{case}.nii.gz")
    return folder
