"""What there is to say and do about a predicted label map: how far its scan goes beyond those that
the networks were trained on, and the parts that lie apart from each organ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.data.feeding.folds import slices_key
from benchmark.data.feeding.slices import organ_range, reference
from benchmark.data.feeding.splits import fold_at, split_of
from benchmark.data.library import DataSet, open_dataset
from benchmark.data.scan import Scan
from benchmark.data.volume import Label
from benchmark.errors import BadInput
from benchmark.files.atomic import read_json
from benchmark.files.locks import at_once
from benchmark.running.bench import Bench
from benchmark.running.predicting import given
from benchmark.running.trained import Trained

FAR_MM = 30.0  # a scan may go on so far beyond the training scans before it is said


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How long a scan is, and how far it goes on above and below the liver (all organs where there
    is none; 0 where nothing was found), in mm."""

    length_mm: float
    above_mm: float = 0.0
    below_mm: float = 0.0


def reach(label_ZYX: Label, organs: tuple[str, ...], z_mm: float) -> Reach:
    """Return the reach of a scan by the label map that was predicted."""
    found: NDArray[np.bool_] = reference(label_ZYX, organs) > 0
    if not found.any():
        return Reach(length_mm=len(label_ZYX) * z_mm)
    ends = organ_range(largest_part(found).astype(np.uint8))
    return _reach(len(label_ZYX), ends, z_mm)


def _reach(slices: int, ends: tuple[int, int], z_mm: float) -> Reach:
    above_mm = (slices - 1 - ends[1]) * z_mm
    return Reach(length_mm=slices * z_mm, above_mm=above_mm, below_mm=ends[0] * z_mm)


def training_reaches(trained: Trained, bench: Bench) -> list[Reach]:
    """Return the reaches of the scans that the networks were trained on, inside their crop boxes;
    none where the data set is not in the workspace, or is another now."""
    name = trained.entries[0].dataset
    if not (bench.root / "data" / name / "dataset.json").is_file():
        return []
    dataset = open_dataset(bench.root, name)
    first = trained.entries[0]
    try:
        split = split_of(dataset, first.split if first.own_split else "")
    except BadInput:  # the folds that somebody gave are not here any more
        return []
    used = [entry for entry in trained.entries if entry.split == split.fingerprint]
    folds = [fold_at(split.folds, entry.fold, entry.part) for entry in used]
    names = sorted({name for fold in folds for name in given(trained, dataset, fold)})

    def one(name: str) -> Reach:
        case = dataset.case(name)
        ends = _ends(dataset, name, trained.setting.ground.size)
        return _reach(case.shape_inside[0], ends, case.geometry.spacing_mm[0])

    return at_once(one, names)


def _ends(dataset: DataSet, name: str, size: int | None) -> tuple[int, int]:
    """The first and last slice of a case's liver: kept beside its slices, or read of its label."""
    kept = dataset.folder / "slices" / slices_key(dataset, name, size) / "slices.json"
    try:
        first, last = read_json(kept)["ends"]
        return int(first), int(last)
    except (OSError, ValueError, KeyError, TypeError):
        return organ_range(reference(dataset.label(name), dataset.organs))


def beyond_training(
    scan: Scan, label_ZYX: Label, organs: tuple[str, ...], seen: list[Reach]
) -> str:
    """Return a warning where a scan goes far beyond every scan that the networks were trained on
    (`training_reaches`), else "". How far is measured from the liver that was found, and by the
    scan's whole length: a network that is shown what it never saw may find a liver everywhere."""
    if not seen:
        return ""
    text = beyond(reach(label_ZYX, organs, scan.geometry.spacing_mm[0]), seen)
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
