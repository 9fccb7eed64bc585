"""DICOM RT Structure Sets: closed contours in millimetres, filled on the grid of the image.

A pixel is inside by the even-odd rule over all contours of a structure in its slice, so that an
inner contour is a hole, and a keyhole (one line that runs in, around the hole, and out again) is
one, too. A pixel whose centre lies on a contour belongs to the structure: drawing programs put
corners on centres of the outermost pixels. All is done in pixels, whatever their size in mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.badfile import BadFile
from benchmark.data.readers.placed import Placed
from benchmark.data.readers.structures import Mask, Structure, Wanted, check_gaps, chosen

ON_LINE = 1e-2  # pixels: text in a header rounds positions
OFF_PLANE = 0.3  # of a slice's distance: a contour must lie in a slice
MAX_POINTS = 20_000_000
Points = NDArray[np.float64]  # (n, 2): columns of i and j, in pixels
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def masks_of_contours(
    header: Any, image: Placed, wanted: Wanted, said: list[str]
) -> dict[str, Mask]:
    """Return the masks (i, j, k) of the organs that a structure set holds, on the image's grid.

    Raises BadFile for contours that lie in no slice, leave the image, are no closed polygons in a
    plane, or leave out many slices.
    """
    described = header.get("StructureSetROISequence") or []
    structures = [
        Structure(number=int(one.ROINumber), names=(str(one.get("ROIName", "")),))
        for one in described
    ]
    found = chosen(structures, wanted, said)
    drawn = {int(one.ReferencedROINumber): one for one in header.get("ROIContourSequence") or []}
    masks = {}
    for organ, numbers in found.items():
        contours = [c for n in numbers if n in drawn for c in drawn[n].get("ContourSequence") or []]
        masks[organ] = _mask(organ, contours, image, said)
    return masks


def _mask(organ: str, contours: Sequence[Any], image: Placed, said: list[str]) -> Mask:
    to_index = np.linalg.inv(image.affine) @ LPS_TO_RAS
    planes: dict[int, list[Points]] = {}
    points = 0
    for contour in contours:
        kind = str(contour.get("ContourGeometricType", ""))
        told = contour.get("ContourData") or []
        numbers: NDArray[np.float64] = np.array(told, dtype=np.float64).reshape(-1, 3)
        points += len(numbers)
        if kind == "POINT" or (len(numbers) < 3 and "PLANAR" in kind):
            continue
        if "CLOSED" not in kind or not np.isfinite(numbers).all() or points > MAX_POINTS:
            message = f"{organ} is not a set of closed contours"
            raise BadFile("contours", "other", "closed polygons", message)
        k, flat = _in_slice(organ, numbers, np.asarray(to_index), image.array.shape)
        planes.setdefault(k, []).append(flat)
    check_gaps(organ, planes, said)
    mask = np.zeros(image.array.shape, bool)
    for k, polygons in planes.items():
        mask[:, :, k] = filled(polygons, image.array.shape[:2])
    return mask


def _in_slice(
    organ: str, lps_mm: NDArray[np.float64], to_index: NDArray[Any], shape: tuple[int, ...]
) -> tuple[int, Points]:
    """The slice that a contour lies in, and its corners there in pixels."""
    ijk = lps_mm @ to_index[:3, :3].T + to_index[:3, 3]
    k = round(float(ijk[:, 2].mean()))
    off = float(np.abs(ijk[:, 2] - k).max())
    if off > OFF_PLANE:
        message = f"a contour of {organ} lies {off:.2g} of a slice's distance from the next slice"
        raise BadFile("contour_plane", off, f"<= {OFF_PLANE:g}", message)
    low, high = ijk[:, :2].min(axis=0), ijk[:, :2].max(axis=0)
    if not 0 <= k < shape[2] or (low < -1).any() or (high > np.array(shape[:2])).any():
        message = f"a contour of {organ} leaves the image (slice {k} of {shape[2]})"
        raise BadFile("contour_place", k, f"0..{shape[2] - 1}", message)
    return k, ijk[:, :2]


def filled(polygons: Sequence[Points], shape: tuple[int, int]) -> Mask:
    """Return where pixel centres (i, j) lie inside closed polygons by the even-odd rule over all
    of them, or on one of their edges.

    >>> square = np.array([[1.0, 1.0], [3.0, 1.0], [3.0, 3.0], [1.0, 3.0]])
    >>> filled([square], (5, 5)).sum(), filled([square - 0.5, square * 0 + 9], (5, 5)).sum()
    (np.int64(9), np.int64(4))
    """
    rows, columns = shape  # along i, along j
    toggles = np.zeros((rows + 1, columns), np.int64)
    on_edge = np.zeros(shape, bool)
    for polygon in polygons:
        ends = np.roll(polygon, -1, axis=0)
        for (i0, j0), (i1, j1) in zip(polygon.tolist(), ends.tolist(), strict=True):
            _toggle(toggles, i0, j0, i1, j1)
            _mark(on_edge, i0, j0, i1, j1)
    inside: Mask = (np.cumsum(toggles[:rows], axis=0) % 2 == 1) | on_edge
    return inside


def _toggle(toggles: NDArray[np.int64], i0: float, j0: float, i1: float, j1: float) -> None:
    """Turn over all pixels behind an edge, in the columns j whose centres it passes."""
    low, high = sorted((j0, j1))
    js = np.arange(max(int(np.ceil(low)), 0), min(int(np.ceil(high)), toggles.shape[1]))
    if not len(js):
        return
    at = i0 + (js - j0) * (i1 - i0) / (j1 - j0)
    first = np.clip(np.ceil(at), 0, len(toggles) - 1).astype(np.int64)
    np.add.at(toggles, (first, js), 1)


def _mark(on_edge: Mask, i0: float, j0: float, i1: float, j1: float) -> None:
    """Mark the pixels whose centres an edge runs through."""
    along_i = abs(i1 - i0) > abs(j1 - j0)
    (a0, b0), (a1, b1) = ((i0, j0), (i1, j1)) if along_i else ((j0, i0), (j1, i1))
    low, high = sorted((a0, a1))
    steps = np.arange(int(np.ceil(low - ON_LINE)), int(np.floor(high + ON_LINE)) + 1)
    if not len(steps):
        return
    slope = (b1 - b0) / (a1 - a0) if a1 != a0 else 0.0
    beside = b0 + (np.clip(steps, low, high) - a0) * slope
    near = np.rint(beside)
    hit = np.abs(beside - near) <= ON_LINE
    i, j = (steps, near) if along_i else (near, steps)
    i, j = i[hit].astype(np.int64), j[hit].astype(np.int64)
    there = (i >= 0) & (j >= 0) & (i < on_edge.shape[0]) & (j < on_edge.shape[1])
    on_edge[i[there], j[there]] = True
