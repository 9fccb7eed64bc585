"""A volume as it may lie on disk: any axes flipped, its slices in any order; and packed files."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.geometry import Affine, from_canonical
from benchmark.data.volume import Volume

EPOCH = (2020, 4, 3, 0, 0, 0)
Flips = tuple[bool, bool, bool]
Files = dict[str, bytes]  # path with forward slashes -> content


@dataclass(frozen=True, kw_only=True)
class OnDisk:
    """Image and label as arrays (i, j, k) and the affine that maps their indices to RAS+ mm."""

    image_ijk: NDArray[np.int16]
    label_ijk: NDArray[np.uint8]
    affine: Affine


def on_disk(volume: Volume, flips: Flips = (False, False, False)) -> OnDisk:
    """Return a volume as it lies on disk, with some of the axes i, j, k running backwards."""
    affine = np.array(volume.geometry.affine, dtype=np.float64)
    arrays = [from_canonical(array, volume.geometry) for array in (volume.image, volume.label)]
    for axis, flip in enumerate(flips):
        if flip:
            turned = np.eye(4)
            turned[axis, axis], turned[axis, 3] = -1, arrays[0].shape[axis] - 1
            affine = affine @ turned
            arrays = [np.flip(array, axis) for array in arrays]
    image, label = (np.ascontiguousarray(array) for array in arrays)
    return OnDisk(image_ijk=image, label_ijk=label, affine=affine)


def nifti_bytes(array_ijk: NDArray[Any], affine: Affine) -> bytes:
    """Return a `.nii.gz` file. Spacing and origin are stored in 32 bits, as NIfTI has them."""
    import gzip

    import nibabel

    image = nibabel.Nifti1Image(array_ijk, affine)
    return gzip.compress(image.to_bytes(), compresslevel=1, mtime=0)


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Return a zip with these files, the same bytes for the same files."""
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), content, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def save(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files below a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
