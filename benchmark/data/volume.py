"""One CT volume in memory: HU values, labels, and where the array lies in the patient.

Every array in this project is *canonical*: axis 0 (Z) runs towards the head, axis 1 (Y) towards
the back, axis 2 (X) towards the patient's left. So `image[z]` is an axial slice as a radiologist
sees it. `Geometry` remembers the array as it lay on disk, so that a prediction can be written
back onto the grid of its image.

Between a file and the canonical array, arrays are only permuted and flipped, never resampled: an
oblique scan keeps its voxels, and its axes are named after the nearest axes of the patient. So
`from_canonical` is an exact inverse.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations, product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
    ("dicom-2"), in cases where it does; it is part of the case's identity. `unknown`, of the
    label's shape, is true where nobody said what is there (nnU-Net's `ignore`): such a voxel is
    out of loss, teacher and score, and its label is 0. None is nowhere.
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
    unknown: NDArray[np.bool_] | None = None


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is known of a case without opening its arrays; `shape` is canonical (Z, Y, X).

    `sha256` is the hash of the source's bytes, the annotated organs and the crop box, so a changed
    label, list or box is another case. Nothing outside `box` is trained on or scored.
    """

    name: str
    annotated: tuple[str, ...]
    source: str
    sha256: str
    geometry: Geometry
    shape: tuple[int, int, int]
    box: Box | None = None

    @property
    def shape_inside(self) -> tuple[int, ...]:
        """The shape of what is trained on and scored: the box, else all."""
        return tuple(b - a for a, b in self.box) if self.box else self.shape


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
    return replace(
        volume,
        image=volume.image[box],
        label=volume.label[box],
        unknown=None if volume.unknown is None else volume.unknown[box],
        box=None,
    )


Affine = NDArray[np.float64]

# Rows: Z, Y, X of a canonical array as directions in RAS+ (right, anterior, superior).
_CANONICAL_RAS = np.array([[0.0, 0.0, 1.0], [0.0, -1.0, 0.0], [-1.0, 0.0, 0.0]])
MAX_SHEAR, SILENT_SHEAR = 1e-2, 1e-4
_LETTERS = (("S", "I"), ("P", "A"), ("L", "R"))  # with and against Z, Y, X


def _nearest_axes(
    affine: Affine, towards: Affine = _CANONICAL_RAS
) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """For Z, Y, X: the axis on disk that runs along it most, and whether it must be flipped.

    `towards` has other directions in its rows for those of Z, Y and X.
    The permutation with the largest sum of absolute cosines wins; a tie (an axis at 45 degrees)
    goes to the first in lexicographic order, so the answer is the same on every machine.
    """
    cosines = towards @ _directions(affine)
    best = max(permutations(range(3)), key=lambda axes: _total_cosine(cosines, axes))
    i, j, k = best
    return (i, j, k), (bool(cosines[0, i] < 0), bool(cosines[1, j] < 0), bool(cosines[2, k] < 0))


def _total_cosine(cosines: Affine, axes: tuple[int, ...]) -> float:
    total = sum(abs(float(cosines[row, axis])) for row, axis in enumerate(axes))
    return round(total, 9)  # rounding noise must not decide a tie


def _directions(affine: Affine) -> Affine:
    """The unit vectors (columns) of the axes on disk; raises ValueError on a broken affine."""
    columns = np.asarray(affine, dtype=np.float64)[:3, :3]
    norms = np.linalg.norm(columns, axis=0)
    if not np.all(np.isfinite(affine)) or np.any(norms <= 0):
        raise ValueError("the affine has a zero or a non-finite column")
    directions: Affine = columns / norms
    if abs(float(np.linalg.det(directions))) < 1e-3:
        raise ValueError("the affine is singular: two axes run in the same direction")
    return directions


def shear(affine: ArrayLike) -> float:
    """Returns the largest |cosine| between two axes on disk: 0 for a right-angled grid.

    Raises ValueError on a zero, non-finite or singular affine.
    """
    directions = _directions(np.asarray(affine, dtype=np.float64))
    gram = directions.T @ directions
    return float(np.max(np.abs(gram - np.diag(np.diag(gram)))))


def to_canonical(array_ijk: NDArray[Any], affine: ArrayLike) -> tuple[NDArray[Any], Geometry]:
    """Returns the canonical array of shape (Z, Y, X), C-ordered, and the geometry on disk.

    `affine` (4 x 4) maps indices of `array_ijk` to RAS+ millimetres. The spacing is the norm of
    the affine's columns, in the order of the canonical axes. Raises ValueError when the array
    has not three axes or the affine is zero, non-finite or singular.
    """
    if array_ijk.ndim != 3:
        raise ValueError(f"three axes are needed, the array has {array_ijk.ndim}")
    matrix = np.asarray(affine, dtype=np.float64)
    axes, flips = _nearest_axes(matrix)
    array_ZYX = np.ascontiguousarray(np.transpose(array_ijk, axes)[_flip(flips)])
    norms = np.linalg.norm(matrix[:3, :3], axis=0)
    letters = {axis: _LETTERS[row][flips[row]] for row, axis in enumerate(axes)}
    first, second, third = array_ijk.shape
    geometry = Geometry(
        spacing_mm=(float(norms[axes[0]]), float(norms[axes[1]]), float(norms[axes[2]])),
        affine=tuple(tuple(float(value) for value in row) for row in matrix),
        shape=(first, second, third),
        orientation="".join(letters[axis] for axis in range(3)),
    )
    return array_ZYX, geometry


def from_canonical(array_ZYX: NDArray[Any], geometry: Geometry) -> NDArray[Any]:
    """Returns the array as it lies on disk: the exact inverse of `to_canonical`.

    Raises ValueError when the array's shape is not that of the geometry.
    """
    axes, flips = _nearest_axes(np.asarray(geometry.affine, dtype=np.float64))
    wanted = tuple(geometry.shape[axis] for axis in axes)
    if array_ZYX.shape != wanted:
        raise ValueError(f"the array has shape {array_ZYX.shape}, its geometry {wanted}")
    return np.ascontiguousarray(np.transpose(array_ZYX[_flip(flips)], np.argsort(axes)))


def canonical_affine(geometry: Geometry) -> Affine:
    """Returns the affine (4 x 4) from indices (z, y, x) of the canonical array to RAS+ mm."""
    affine = np.asarray(geometry.affine, dtype=np.float64)
    return _turned(affine, geometry.shape, *_nearest_axes(affine))


def _turned(
    affine: Affine, shape: tuple[int, ...], axes: tuple[int, ...], flips: tuple[bool, ...]
) -> Affine:
    to_disk = np.zeros((4, 4))
    to_disk[3, 3] = 1
    for row, (axis, flip) in enumerate(zip(axes, flips, strict=True)):
        to_disk[axis, row] = -1 if flip else 1
        to_disk[axis, 3] = shape[axis] - 1 if flip else 0
    result: Affine = affine @ to_disk
    return result


def turned_like(
    array_ijk: NDArray[Any], affine: Affine, like: Affine
) -> tuple[NDArray[Any], Affine]:
    """Returns an array with its axes in the order and the directions of those of another affine,
    and its own affine then: whether the two are one grid is for the caller to check."""
    axes, flips = _nearest_axes(affine, _directions(like).T)
    turned = np.transpose(array_ijk, axes)[_flip(flips)]
    return turned, _turned(affine, array_ijk.shape, axes, flips)


def _flip(flips: tuple[bool, bool, bool]) -> tuple[slice, slice, slice]:
    z, y, x = (slice(None, None, -1 if flip else 1) for flip in flips)
    return z, y, x


def corner_displacement_voxels(
    affine_a: ArrayLike, affine_b: ArrayLike, shape: tuple[int, ...]
) -> float:
    """Returns how far apart two affines put the worst of the array's eight corners.

    The unit is voxels of `affine_a` (Euclidean, in index space). Both affines belong to arrays of
    the same `shape`. Raises ValueError when an affine is zero, non-finite or singular.
    """
    a, b = (np.asarray(affine, dtype=np.float64) for affine in (affine_a, affine_b))
    _directions(a)
    _directions(b)
    corners = np.array([(*c, 1) for c in product(*((0, size - 1) for size in shape))]).T
    moved = np.linalg.solve(a, b @ corners)
    return float(np.max(np.linalg.norm((moved - corners)[:3], axis=0)))
