"""One CT volume in memory: HU values, labels, and where the array lies in the patient.

Every array in this project is *canonical*: axis 0 (Z) runs towards the head, axis 1 (Y) towards
the back, axis 2 (X) towards the patient's left. So `image[z]` is an axial slice as a radiologist
sees it. `Geometry` remembers the array as it lay on disk, so that a prediction can be written
back onto the grid of its image.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.int16]
Label = NDArray[np.uint8]
Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
CANONICAL = "SPL"  # where Z, Y and X point to: Superior, Posterior, Left


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Where a canonical array lies in the world, and how it lay on disk.

    `spacing_mm` belongs to the canonical axes (z, y, x). `affine` maps voxel indices (i, j, k) of
    the array *on disk* to RAS+ millimetres (the NIfTI convention), `shape` is that array's shape
    and `orientation` names where its axes point to ("LPS", "RAS", ...).
    """

    spacing_mm: tuple[float, float, float]
    affine: tuple[tuple[float, ...], ...]
    shape: tuple[int, int, int]
    orientation: str


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A CT volume of one case with its labels.

    `image` holds HU, `label` 0 for background and k + 1 for the k-th organ of the data set, both
    of shape (Z, Y, X). `annotated` names the organs that a person looked for in this case: an
    organ that is not in it is *unknown* here, never background. `source` names where the case
    comes from within a set of several sources. `source_sha256` is the hash of the bytes that the
    case was read from. `box` bounds what was annotated, as (first, behind the last) voxel of Z, Y
    and X: nothing outside it is trained on or scored. None is the whole volume. `read_by` names
    the version of a reader that makes other voxels of the same bytes than the first one did
    ("dicom-2"), in cases where it does; it is part of the case's identity.
    """

    case: str
    image: Image
    label: Label
    annotated: tuple[str, ...]
    geometry: Geometry
    source: str = ""
    source_sha256: str = ""
    box: Box | None = None
    read_by: str = ""


def slices_of(box: Box | None) -> tuple[slice, slice, slice]:
    """Returns a box as slices of a (Z, Y, X) array; None is all of it."""
    if box is None:
        return slice(None), slice(None), slice(None)
    z, y, x = (slice(first, behind) for first, behind in box)
    return z, y, x


def inside(volume: Volume) -> Volume:
    """Returns the volume cut to its box; its geometry stays that of the whole."""
    if volume.box is None:
        return volume
    box = slices_of(volume.box)
    return replace(volume, image=volume.image[box], label=volume.label[box], box=None)
