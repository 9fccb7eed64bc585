"""Label maps with numbers: which number is which organ, and what the others are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.data.badfile import BadFile
from benchmark.data.judging.checks import Check
from benchmark.data.readers.base import IGNORE, integers, place_checks
from benchmark.data.readers.placed import Placed, laid_like
from benchmark.data.readers.structures import Labels, Wanted

SPECK = 10  # voxels: less is no tumour but the rim of a model's mask
NAMED = 10
HOW = "; if nobody knows what they are: --map ...,ignore=NUMBER"


def from_numbers(label: Placed, image: Placed, wanted: Wanted, said: list[str]) -> Labels:
    """Return a label map with 1..K for the organs, on the image's grid, and what is wrong with the
    other numbers; none where image and label do not lie on one grid.

    Raises BadFile where no number of an organ is in the label.
    """
    label = laid_like(label, image)
    said += label.warnings
    placed = place_checks(image.grid, label.grid, said)
    organs = tuple(organ for organ in wanted if organ != IGNORE)
    if not all(check.ok for check in placed):
        return Labels(label=None, annotated=organs, checks=placed, sha256=label.sha256)
    numbers = integers(label.array, label.scaling)
    own = np.zeros(numbers.shape, np.uint8)
    for position, organ in enumerate(organs, start=1):
        ours = wanted[organ]
        mask = np.isin(numbers, ours) if len(ours) > 1 else numbers == ours[0]
        own[mask] = position
        if not mask.any():
            shown = " or ".join(str(number) for number in ours)
            said.append(f"no voxel has {shown}: {organ} counts as looked for and not there")
    if not own.any():
        there = ", ".join(str(n) for n in np.unique(numbers)[:20])
        message = f"no number of --map is in the label, which holds {there}"
        ours_of = [wanted[organ] for organ in organs]
        asked = [ours[0] if len(ours) == 1 else list(ours) for ours in ours_of]
        raise BadFile("labels", there, str(asked), message)
    unknown = np.isin(numbers, wanted.get(IGNORE, ()))
    lines, checks = unmapped(np.where(unknown, 0, numbers), own, organs)
    said += lines
    return Labels(
        label=own,
        annotated=organs,
        checks=(*placed, *checks),
        sha256=label.sha256,
        unknown=unknown,
    )


def unmapped(
    numbers: NDArray[np.integer], own: NDArray[np.uint8], organs: Sequence[str]
) -> tuple[tuple[str, ...], tuple[Check, ...]]:
    """Return a line on what has a number but no organ, and a failed check for what is enclosed.

    `own` is the label with 1..K for the organs. Enclosed is a connected part of one number more
    than half of whose border faces are those of one organ.
    """
    rest = (numbers != 0) & (own == 0)
    values, inverse, counts = np.unique(numbers[rest], return_inverse=True, return_counts=True)
    if not len(values):
        return (), ()
    named = ", ".join(f"{n} with {value}" for value, n in zip(values, counts, strict=True))
    if len(values) > NAMED:
        named = f"{counts.sum()} with one of {len(values)} other numbers"
    line = f"background by --map: {named} (voxels){HOW}"
    order = np.zeros(numbers.shape, np.int32)
    order[rest] = inverse.reshape(-1) + 1
    return (line,), tuple(_checks(values, order, own, organs))


def _checks(
    values: NDArray[np.integer],
    order: NDArray[np.int32],
    own: NDArray[np.uint8],
    organs: Sequence[str],
) -> Iterator[Check]:
    from scipy import ndimage  # slow to import

    windows = ndimage.find_objects(order)
    for position, (value, window) in enumerate(zip(values, windows, strict=True), start=1):
        wide = tuple(slice(max(part.start - 1, 0), part.stop + 1) for part in window)
        if not own[wide].any():
            continue
        parts = ndimage.label(order[wide] == position)[0]
        enclosed = _enclosed(parts, own[wide], len(organs))
        for organ, voxels in zip(organs, enclosed, strict=True):
            if voxels >= SPECK:
                yield _check(organ, int(value), int(voxels))


def _check(organ: str, value: int, voxels: int) -> Check:
    message = (
        f"{voxels} voxels with {value} are enclosed by {organ} and would be background: a tumour?"
        f" To count them to it, --map {organ}=...+{value}; if nobody knows, ignore={value}"
    )
    return Check(
        name=f"enclosed_{organ}", ok=False, value=voxels, limit=f"< {SPECK}", message=message
    )


def _enclosed(parts: NDArray[np.int32], own: NDArray[np.uint8], organs: int) -> NDArray[np.int64]:
    """The voxels of the parts that each organ encloses; `parts` are numbered from 1."""
    size, width = int(parts.max()) + 1, organs + 1
    faces = np.zeros(size * width, np.int64)
    for axis in range(3):
        for here, there in ((slice(1, None), slice(-1)), (slice(-1), slice(1, None))):
            at: list[slice] = [slice(None)] * 3
            beside: list[slice] = [slice(None)] * 3
            at[axis], beside[axis] = here, there
            part, other = parts[tuple(at)], parts[tuple(beside)]
            border = (part > 0) & (other == 0)
            pairs = part[border] * width + own[tuple(beside)][border]
            faces += np.bincount(pairs, minlength=size * width)
    table = faces.reshape(size, width)
    most = 2 * table[:, 1:] > table.sum(axis=1, keepdims=True)
    voxels = np.bincount(parts.reshape(-1), minlength=size)
    voxels[0] = 0
    found: NDArray[np.int64] = (most * voxels[:, None]).sum(axis=0)
    return found
