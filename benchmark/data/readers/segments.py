"""DICOM Segmentations (SEG): frames of one bit, a fraction or a number, laid on the image's grid.

Each frame says where it lies; empty frames are mostly left out, and the others come in any order
and at uneven distances, so that a frame's place is its position and never its number.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.badfile import MAX_BYTES, BadFile
from benchmark.data.readers.placed import Placed
from benchmark.data.readers.structures import Mask, Structure, Wanted, check_gaps, chosen
from benchmark.data.volume import Affine

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
MAX_OFF = 0.1  # voxels, at a frame's worst corner: positions are copied from the image's


def masks_of_segments(
    header: Any, image: Placed, wanted: Wanted, said: list[str]
) -> dict[str, Mask]:
    """Return the masks (i, j, k) of the organs that a segmentation holds, on the image's grid.

    Raises BadFile for frames that lie on another grid or outside the image, and for two frames of
    a segment in one place.
    """
    structures = [
        Structure(number=int(one.SegmentNumber), names=_names(one))
        for one in header.get("SegmentSequence") or []
    ]
    found = chosen(structures, wanted, said)
    kind = str(header.get("SegmentationType", ""))
    if kind == "FRACTIONAL":
        said.append("the segmentation holds fractions: voxels of at least one half are taken")
    masks = {organ: np.zeros(image.array.shape, bool) for organ in found}
    of = {number: organ for organ, numbers in found.items() for number in numbers}
    seen: dict[tuple[int, tuple[int, ...]], int] = {}
    for number, (frame, affine) in enumerate(_frames(header)):
        labels = _segments_of(header, number, frame, kind)
        for segment, mask in labels.items():
            if segment in of:
                place = _lay(mask, affine, image, masks[of[segment]])
                if seen.setdefault((segment, place), number) != number:
                    message = "two frames of one segment lie in one slice of the image"
                    raise BadFile("frames", number, "one a slice", message)
    for organ in masks:
        places = np.array([place for number, place in seen if of[number] == organ])
        across = int(np.argmax(np.ptp(places, axis=0))) if len(places) else 0
        check_gaps(organ, places[:, across].tolist() if len(places) else (), said)
    return masks


def _names(segment: Any) -> tuple[str, ...]:
    names = [str(segment.get("SegmentLabel", ""))]
    for coded in segment.get("SegmentedPropertyTypeCodeSequence") or []:
        meaning = str(coded.get("CodeMeaning", ""))
        sides = coded.get("SegmentedPropertyTypeModifierCodeSequence") or []
        sides = sides or segment.get("SegmentedPropertyTypeModifierCodeSequence") or []
        names += [" ".join([*(str(s.get("CodeMeaning", "")) for s in sides), meaning])]
    return tuple(name for name in names if name)


def _frames(header: Any) -> Iterator[tuple[NDArray[Any], Affine]]:
    """Each frame (rows, columns), and the affine from (column, row, 0) to RAS+ mm."""
    count = int(header.get("NumberOfFrames") or 1)
    size = count * int(header.Rows) * int(header.Columns)
    if size > MAX_BYTES:
        message = f"the segmentation asks for {size / 1024**3:.1f} GiB, at most 4"
        raise BadFile("size", size, "<= 4 GiB", message)
    pixels = header.pixel_array.reshape(count, int(header.Rows), int(header.Columns))
    groups = header.get("PerFrameFunctionalGroupsSequence") or []
    if len(groups) != count:
        message = f"{count} frames, of which {len(groups)} say where they lie"
        raise BadFile("frames", len(groups), str(count), message)
    for frame, group in zip(pixels, groups, strict=True):
        yield frame, _affine(header, group)


def _group(header: Any, frame: Any, name: str) -> Any:
    """A functional group of a frame: its own, else the one that all frames share."""
    shared = (header.get("SharedFunctionalGroupsSequence") or [{}])[0]
    found = frame.get(name) or shared.get(name)
    if not found:
        raise BadFile("frames", "missing", name, f"a frame of the segmentation has no {name}")
    return found[0]


def _affine(header: Any, frame: Any) -> Affine:
    origin = _group(header, frame, "PlanePositionSequence").ImagePositionPatient
    cosines = _group(header, frame, "PlaneOrientationSequence").ImageOrientationPatient
    row_mm, column_mm = _group(header, frame, "PixelMeasuresSequence").PixelSpacing
    affine = np.eye(4)
    affine[:3, 0] = np.array(cosines[:3], float) * float(column_mm)
    affine[:3, 1] = np.array(cosines[3:], float) * float(row_mm)
    affine[:3, 2] = np.cross(affine[:3, 0], affine[:3, 1])
    affine[:3, 3] = np.array(origin, float)
    result: Affine = LPS_TO_RAS @ affine
    return result


def _segments_of(header: Any, number: int, frame: NDArray[Any], kind: str) -> dict[int, Mask]:
    """The segments that a frame shows something of."""
    if kind == "LABELMAP":
        return {int(n): frame == n for n in np.unique(frame[frame != 0])}
    own = header.PerFrameFunctionalGroupsSequence[number]
    segment = int(_group(header, own, "SegmentIdentificationSequence").ReferencedSegmentNumber)
    half = 1.0
    if kind == "FRACTIONAL":
        half = float(header.get("MaximumFractionalValue") or 255) / 2
    mask: Mask = frame >= half
    return {segment: mask} if mask.any() else {}


def _as_large(frame: Mask, turned: NDArray[np.float64], image: Placed) -> bool:
    """Whether a frame has the rows and columns of the image: then it lies in no part of it."""
    along = [int(np.argmax(np.abs(turned[:, axis]))) for axis in (0, 1)]
    return (image.array.shape[along[0]], image.array.shape[along[1]]) == frame.shape[::-1]


def _lay(frame: Mask, affine: Affine, image: Placed, mask: Mask) -> tuple[int, ...]:
    """Set a frame's voxels in a mask on the image's grid; return the place of its first corner.

    A frame may lie along any two axes of the image, in either direction.
    """
    to_index = np.linalg.inv(image.affine) @ affine
    rows, columns = frame.shape
    corners = np.array([[c, r, 0, 1] for c in (0, columns - 1) for r in (0, rows - 1)]).T
    exact = (to_index @ corners)[:3]
    turned = np.rint(to_index[:3, :2])
    first = np.rint(exact[:, :1])
    off = float(np.abs(turned @ corners[:2] + first - exact).max())
    if np.abs(turned).sum() == 2 and _as_large(frame, turned, image):
        ends = np.clip(first, 0, np.array(image.array.shape)[:, None] - 1)
        in_plane = np.abs(turned).sum(axis=1) > 0
        middle = (ends > 0) & (ends < np.array(image.array.shape)[:, None] - 1)
        off = max(off, float((np.abs(first - ends) + middle)[in_plane].max()))
    if off > MAX_OFF or np.abs(turned).sum() != 2:
        message = f"a frame of the segmentation lies {off:.3g} voxels off the image's grid"
        raise BadFile("segment_grid", off, f"<= {MAX_OFF:g} voxel", message)
    r, c = np.nonzero(frame)
    at = (turned @ np.array([c, r]) + first).astype(np.int64)
    size = np.array(image.array.shape)[:, None]
    outside = int(((at < 0) | (at >= size)).any(axis=0).sum())
    if outside:
        message = f"{outside} voxels of a frame of the segmentation lie outside the image"
        raise BadFile("segment_place", outside, "0", message)
    mask[tuple(at)] = True
    return tuple(int(n) for n in first[:, 0])
