"""`cropping.csv` of the Multi-Organ labels: which part of a volume was annotated whole.

Its columns, as users of the set report them: `id, publisher, dataset, original_id` and six extents
in voxels. Those of x count from the patient's right, those of y from the front, those of z from the
feet, which are the canonical axes; the two of a pair stand in either order. A reading that were
wrong would cut organs off, so the share of labelled voxels inside the box is checked.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO

import numpy as np

from benchmark.data.badfile import BadFile
from benchmark.data.judging.checks import Check, bounded
from benchmark.data.readers.files import FoundFile
from benchmark.data.volume import Box, Volume, slices_of
from benchmark.errors import BadInput

PUBLISHERS = {"tcia": "tcia", "synapse": "btcv", "btcv": "btcv"}
AXES = (("inf", "sup"), ("ant", "post"), ("left", "right"))  # z, y, x
INSIDE = 0.95


Crops = Mapping[str, tuple[tuple[int, int], ...]]
"""The extents of each case, (z, y, x) pairs in the order of the file."""


def crop_box(crops: Crops, case: str, shape: Sequence[int]) -> Box:
    """Return a case's box within an array of this shape; raises BadFile where there is none."""
    if case not in crops:
        raise BadFile("crop_row", "missing", "one row", "cropping.csv has no row for it")
    z, y, x = (
        (max(min(pair), 0), min(max(pair), size))
        for pair, size in zip(crops[case], shape, strict=True)
    )
    if any(first >= behind for first, behind in (z, y, x)):
        shown = " ".join(f"{a}..{b}" for a, b in crops[case])
        size = " x ".join(str(n) for n in shape)
        message = f"its crop box {shown} lies outside of the volume of {size} (z, y, x)"
        raise BadFile("crop_range", shown, size, message)
    return z, y, x


def read_crops(entry: FoundFile) -> Crops:
    """Return the boxes of a `cropping.csv`; raises BadInput naming the line that is wrong."""
    rows = csv.DictReader(StringIO(entry.read().decode("utf-8-sig", errors="replace")))
    names = [(name or "").strip().lower() for name in rows.fieldnames or []]
    rows.fieldnames = names
    try:
        columns = [[_column(names, f"extent_{end}") for end in pair] for pair in AXES]
        publisher, original = _column(names, "publisher"), _column(names, "original_id")
    except LookupError as error:
        raise BadInput(f"{entry.shown} has no column {error.args[0]}...: get it anew") from None
    extents: dict[str, tuple[tuple[int, int], ...]] = {}
    for number, row in enumerate(rows, start=2):
        try:
            source = PUBLISHERS[row[publisher].strip().lower()]
            case = f"{source}_{int(row[original]):04d}"
            extents[case] = tuple((int(row[a]), int(row[b])) for a, b in columns)
        except (KeyError, ValueError, AttributeError, TypeError):
            raise BadInput(f"{entry.shown}, line {number}: no publisher, id and extents") from None
    return extents


def _column(names: Sequence[str], start: str) -> str:
    found = next((name for name in names if name.startswith(start)), None)
    if found is None:
        raise LookupError(start)
    return found


def box_check(volume: Volume) -> Iterator[Check]:
    """Yield whether the labelled voxels lie in the box, where there is one."""
    if volume.box is None:
        return
    total = int(np.count_nonzero(volume.label))
    share = int(np.count_nonzero(volume.label[slices_of(volume.box)])) / max(total, 1)
    message = f"only {100 * share:.3g} % of the labelled voxels lie in the crop box"
    yield bounded("crop_box", share, message, least=INSIDE)
