"""Between a file on disk, its array and affine, and the canonical array (Z head, Y back, X left).

Arrays are only permuted and flipped, never resampled: an oblique scan keeps its voxels, and its
axes are named after the nearest axes of the patient. So `from_canonical` is an exact inverse.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.data.checks import Check
from benchmark.data.headers import is_half_of_a_pair, scaling, spacing_warning
from benchmark.data.volume import Geometry

Affine = NDArray[np.float64]

# Rows: Z, Y, X of a canonical array as directions in RAS+ (right, anterior, superior).
_CANONICAL_RAS = np.array([[0.0, 0.0, 1.0], [0.0, -1.0, 0.0], [-1.0, 0.0, 0.0]])
_LETTERS = (("S", "I"), ("P", "A"), ("L", "R"))  # with and against Z, Y, X
MAX_BYTES = 4 * 1024**3
MAX_SHEAR, SILENT_SHEAR = 1e-2, 1e-4


def _nearest_axes(affine: Affine) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """For Z, Y, X: the axis on disk that runs along it most, and whether it must be flipped.

    The permutation with the largest sum of absolute cosines wins; a tie (an axis at 45 degrees)
    goes to the first in lexicographic order, so the answer is the same on every machine.
    """
    cosines = _CANONICAL_RAS @ _directions(affine)
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
    axes, flips = _nearest_axes(affine)
    to_disk = np.zeros((4, 4))
    to_disk[3, 3] = 1
    for row, (axis, flip) in enumerate(zip(axes, flips, strict=True)):
        to_disk[axis, row] = -1 if flip else 1
        to_disk[axis, 3] = geometry.shape[axis] - 1 if flip else 0
    result: Affine = affine @ to_disk
    return result


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


def geometry_from_dict(values: Mapping[str, Any]) -> Geometry:
    """Returns the geometry that `dataclasses.asdict` and JSON made plain; else KeyError."""
    z, y, x = values["spacing_mm"]
    i, j, k = values["shape"]
    return Geometry(
        spacing_mm=(z, y, x),
        affine=tuple(tuple(row) for row in values["affine"]),
        shape=(i, j, k),
        orientation=values["orientation"],
    )


class BadFile(Exception):  # noqa: N818 - like BadInput, for one case among many
    """A file that cannot be used; `check` is the failed check that says why."""

    def __init__(self, name: str, value: float | str, limit: str, message: str) -> None:
        super().__init__(message)
        self.check = Check(name=name, ok=False, value=value, limit=limit, message=message)


@dataclass(frozen=True, kw_only=True)
class Nifti:
    """An array as it lies on disk, its affine to RAS+ mm, and the hash of the file's bytes.

    `scaling` says how its header scales what is stored, "" where it does not.
    """

    array: NDArray[Any]
    affine: Affine
    sha256: str
    warnings: tuple[str, ...]
    scaling: str = ""


def read_nifti(path: Path) -> Nifti:
    """Returns a 3-D NIfTI-1 or -2 file (`.nii`, `.nii.gz`), intensities scaled by its header.

    The whole file is read, so that a truncated file or a wrong checksum is found even where the
    header is whole; shape x type is held against 4 GiB before anything is allocated. The sform
    goes before the qform, as in nibabel. Raises BadFile naming the file and the figure.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadFile("size", path.stat().st_size, "<= 4 GiB", f"{path.name} is over 4 GiB")
        packed = path.read_bytes()
    except OSError as error:
        raise _unreadable(path.name, error) from None
    return nifti_of(path.name, packed)


def nifti_of(name: str, packed: bytes) -> Nifti:
    """Returns the same from a file's bytes; `name` is for messages."""
    from nibabel.filebasedimages import ImageFileError  # slow to import
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    try:
        content, kind = _unpack(name, packed)
        image = kind.from_bytes(content)
        array = np.asanyarray(image.dataobj)
    except (OSError, EOFError, ValueError, KeyError, zlib.error) as error:
        raise _unreadable(name, error) from None
    except (HeaderDataError, ImageFileError, WrapStructError) as error:
        raise _unreadable(name, error) from None
    warnings = (*_check_affine(name, image, array.shape), *spacing_warning(name, image))
    return Nifti(
        array=array,
        affine=image.affine,
        sha256=sha256(packed).hexdigest(),
        warnings=warnings,
        scaling=scaling(image),
    )


def _unreadable(name: str, error: Exception) -> BadFile:
    reason = " ".join(str(error).split()) or type(error).__name__
    return BadFile("readable", type(error).__name__, "whole", f"{name} cannot be read: {reason}")


def _unpack(name: str, packed: bytes) -> tuple[bytes, Any]:
    """Returns the bytes that the header asks for and nibabel's class for them."""
    import nibabel as nib

    zipped = packed[:2] == b"\x1f\x8b"
    stream = gzip.GzipFile(fileobj=BytesIO(packed)) if zipped else BytesIO(packed)
    head = stream.read(nib.Nifti2Header.sizeof_hdr)
    if is_half_of_a_pair(name, head):
        message = f"{name} belongs to a .hdr/.img pair, which is not read: convert it to .nii.gz"
        raise BadFile("format", "pair", "one file", message)
    second = head[:4] in (b"\x1c\x02\x00\x00", b"\x00\x00\x02\x1c")  # 540 in either order
    kind = nib.Nifti2Image if second else nib.Nifti1Image
    header = kind.header_class(head[: kind.header_class.sizeof_hdr], check=False)
    shape, dtype = header.get_data_shape(), header.get_data_dtype()
    shown = "x".join(str(size) for size in shape)
    if len(shape) != 3 or min(shape) < 1:
        raise BadFile("dimensions", shown, "3 axes", f"{name} has shape {shown}; a CT has 3 axes")
    if dtype.kind not in "iuf":
        raise BadFile("type", str(dtype), "numbers", f"{name} holds {dtype}, not plain numbers")
    size = math.prod(shape) * dtype.itemsize
    if size > MAX_BYTES:
        message = f"{name}: its header asks for {size / 1024**3:.1f} GiB ({shown}), at most 4"
        raise BadFile("size", size, "<= 4 GiB", message)
    offset = float(header["vox_offset"])
    if not 0 <= offset <= MAX_BYTES:
        raise ValueError(f"its data start at byte {offset:g}")
    content = head + stream.read(max(int(offset) + size - len(head), 0))
    while stream.read(1 << 20):  # to the end: only there gzip compares its checksum
        pass
    return content, kind


def _check_affine(name: str, image: Any, shape: tuple[int, ...]) -> tuple[str, ...]:
    """Returns warnings about the orientation; raises BadFile for one that cannot be used."""
    try:
        skewed = shear(image.affine)
    except ValueError as error:
        raise BadFile("orientation", "broken", "invertible", f"{name}: {error}") from None
    if skewed > MAX_SHEAR:
        message = f"{name}: its axes are not at right angles (cosine {skewed:.3g}); resample it"
        raise BadFile("shear", skewed, f"<= {MAX_SHEAR:g}", message)
    warnings = []
    if skewed > SILENT_SHEAR:
        warnings.append(f"{name}: its axes are off the right angle, cosine {skewed:.2g}")
    sform, sform_code = image.get_sform(coded=True)
    qform, qform_code = image.get_qform(coded=True)
    if not sform_code and not qform_code:
        warnings.append(f"{name}: no orientation in its header; left and right are a guess")
    if sform_code and qform_code:
        moved = corner_displacement_voxels(sform, qform, shape)
        if moved > 1e-3:
            warnings.append(f"{name}: sform and qform lie {moved:.3g} voxels apart; sform is used")
    return tuple(warnings)
