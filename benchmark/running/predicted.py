"""What there is to say and do about a predicted label map: how far its scan goes beyond those that
the networks were trained on, and the parts that lie apart from each organ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.data.feeding.folds import folds_of
from benchmark.data.feeding.slices import REFERENCE, organ_range
from benchmark.data.library import DataSet, open_dataset
from benchmark.data.scan import Scan
from benchmark.data.volume import Label
from benchmark.files.locks import at_once
from benchmark.running.bench import Bench
from benchmark.running.cells import fold_at
from benchmark.running.predicting import Trained, given

FAR_MM = 30.0  # a scan may go on so far beyond the training scans before it is said


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How long a scan is, and how far it goes on above and below the liver (all organs where there
    is none; 0 where nothing was found), in mm."""

    length_mm: float
    above_mm: float = 0.0
    below_mm: float = 0.0


def reach(label_ZYX: Label, organs: tuple[str, ...], z_mm: float) -> Reach:
    """Return the reach of a scan by its label map."""
    chosen: NDArray[np.bool_] = label_ZYX > 0
    if REFERENCE in organs and (liver := label_ZYX == organs.index(REFERENCE) + 1).any():
        chosen = liver
    length_mm = len(label_ZYX) * z_mm
    if not chosen.any():
        return Reach(length_mm=length_mm)
    first, last = organ_range(largest_part(chosen).astype(np.uint8))
    above_mm = (len(label_ZYX) - 1 - last) * z_mm
    return Reach(length_mm=length_mm, above_mm=above_mm, below_mm=first * z_mm)


def beyond_training(trained: Trained, scan: Scan, label_ZYX: Label, bench: Bench) -> str:
    """Return a warning where a scan goes far beyond every scan that the networks were trained on,
    else "". How far is measured from the liver that was found, and by the scan's whole length,
    since a network that is shown what it never saw may find a liver everywhere. Where the data
    set is not in the workspace nothing can be told."""
    name = trained.entries[0].dataset
    if not (bench.root / "data" / name / "dataset.json").is_file():
        return ""
    z_mm = scan.geometry.spacing_mm[0]
    seen = _reaches(trained, open_dataset(bench.root, name))
    if not seen:
        return ""
    text = beyond(reach(label_ZYX, trained.organs, z_mm), seen)
    start = f"of {scan.name} lie outside the range of the training scans"
    return text and f"{text.replace('#', start)}: look at what is marked there, or cut the scan"


def beyond(own: Reach, seen: Sequence[Reach]) -> str:
    """Return how far a scan goes beyond others (`#` stands for its name), "" for not far."""
    above_mm = max(own.above_mm - max(one.above_mm for one in seen), 0.0)
    below_mm = max(own.below_mm - max(one.below_mm for one in seen), 0.0)
    longer_mm = own.length_mm - max(one.length_mm for one in seen)
    outside_mm = max(above_mm + below_mm, longer_mm)
    if outside_mm <= FAR_MM:
        return ""
    parts = [f"{mm:.0f} {side}" for mm, side in ((above_mm, "above"), (below_mm, "below")) if mm]
    where = " and ".join(parts) + " its organs"
    if longer_mm > above_mm + below_mm:
        where = f"it is {longer_mm:.0f} longer than the longest"
    return f"{outside_mm:.0f} mm # ({where})"


def _reaches(trained: Trained, dataset: DataSet) -> list[Reach]:
    split = folds_of(dataset)
    used = [entry for entry in trained.entries if entry.split == split.fingerprint]
    names = sorted(
        {
            name
            for entry in used
            for name in given(trained, dataset, fold_at(split.folds, entry.fold, entry.part))
        }
    )

    def one(name: str) -> Reach:
        z_mm = dataset.case(name).geometry.spacing_mm[0]
        return reach(dataset.label(name), dataset.organs, z_mm)

    return at_once(one, names)


def largest_part(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the largest part of a mask that hangs together by faces; the first of two equal ones.
    An empty mask gives itself."""
    from scipy import ndimage  # slow to import

    parts, count = ndimage.label(mask)
    if count < 2:
        return mask
    largest: NDArray[np.bool_] = parts == int(np.argmax(np.bincount(parts.ravel())[1:])) + 1
    return largest


def largest_parts(label_ZYX: Label, organs: int) -> tuple[Label, tuple[int, ...]]:
    """Return a label map with the largest part of each organ alone, and how many voxels of each
    became background."""
    kept = np.zeros_like(label_ZYX)
    dropped = []
    for number in range(1, organs + 1):
        mask = label_ZYX == number
        part = largest_part(mask)
        kept[part] = number
        dropped.append(int(np.count_nonzero(mask)) - int(np.count_nonzero(part)))
    return kept, tuple(dropped)
