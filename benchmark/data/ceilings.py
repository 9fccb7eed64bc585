"""What the training grid leaves to be scored: two reference lines, by case and organ.

The *target ceiling* is the DSC of a perfect copy of the training target: the labels of the grid, a
class a pixel, brought back to the native grid as a prediction is. The *grid ceiling* is that of
the share of each organ in each pixel, brought back in the same way: what the grid itself allows.
A native grid loses nothing: both are 100 there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from benchmark.data.feeding.slices import shares_of, training_grid
from benchmark.data.library import DataSet
from benchmark.data.volume import Label
from benchmark.files.atomic import commit_file, read_json, write_json
from benchmark.files.locks import at_once
from benchmark.plan.ground import AREA
from benchmark.plan.keys import content_hash
from benchmark.scoring.cases import known
from benchmark.scoring.overlap import dice_percent
from benchmark.training.prediction import most_probable

Kept = TypeVar("Kept")  # what numbers of an organ are kept of
CEILINGS_VERSION = 1
"""Part of every key: raise it with any change of what `ceilings` returns."""


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """The DSC in percent of an organ in a case, through the grid and back, from labels of one class
    a pixel (`majority`) and from shares of pixels (`area`); both are nan where the truth does not
    hold the organ. `n_voxels_true` counts its voxels there (inside the crop box). Beside them may
    stand what mean shape and constant predictor score (`data/references.py`), None where that is
    not known."""

    majority: float
    area: float
    n_voxels_true: int
    mean_shape: float | None = None
    constant: float | None = None

    def target(self, labels: str) -> float:
        """Return the target ceiling for a form of the labels, `ground.labels`."""
        return self.area if labels == AREA else self.majority


def ceilings(
    label_ZYX: Label,
    organs: Sequence[str],
    size: int | None,
    unknown_ZYX: NDArray[np.bool_] | None = None,
) -> dict[str, Ceiling]:
    """Return the ceilings of each organ on the grid of `size`.

    `label_ZYX` is uint8, cut to the crop box, k + 1 for the k-th organ. An organ that vanishes on
    the grid has 0, one that the map does not hold has nan. Unknown voxels are left out.
    """
    held = label_ZYX.any(axis=(1, 2))
    held_ZYX = label_ZYX[held]  # empty slices come back empty
    majority_ZYX, area_ZYX = held_ZYX, held_ZYX
    through = training_grid(label_ZYX.shape[1:], size)
    if through != label_ZYX.shape[1:]:
        majority_ZYX, area_ZYX = held_ZYX.copy(), held_ZYX.copy()
        for z, label_YX in enumerate(held_ZYX):
            majority_ZYX[z], area_ZYX[z] = _there_and_back(torch.from_numpy(label_YX), through)
    if unknown_ZYX is not None:
        majority_ZYX, area_ZYX = (known(x, unknown_ZYX[held]) for x in (majority_ZYX, area_ZYX))
    return {
        organ: Ceiling(
            majority=_dice(held_ZYX == k, majority_ZYX == k),
            area=_dice(held_ZYX == k, area_ZYX == k),
            n_voxels_true=int(np.count_nonzero(held_ZYX == k)),
        )
        for k, organ in enumerate(organs, start=1)
    }


def case_ceilings(dataset: DataSet, name: str, size: int | None) -> Mapping[str, Ceiling]:
    """Return the ceilings of a case by its annotated organs, from disk where they lie, else made
    and kept there. Raises `BadInput` when the stored case is missing or damaged."""
    path = ceilings_file(dataset, name, size)
    found = read_kept(path, _ceiling)
    if found is None:
        case = dataset.case(name)
        made = ceilings(dataset.label(name), dataset.organs, size, dataset.unknown(name))
        found = {organ: made[organ] for organ in dataset.organs if organ in case.annotated}
        with suppress(OSError):  # a workspace that is full or cannot be written serves as well
            write_kept(path, {o: [c.majority, c.area, c.n_voxels_true] for o, c in found.items()})
    return found


def several_ceilings(
    dataset: DataSet, names: Sequence[str], size: int | None
) -> dict[str, Mapping[str, Ceiling]]:
    """Return the ceilings of several cases by name, made in parallel where they are not there.
    Raises `BadInput` like `case_ceilings`."""
    found = at_once(lambda name: case_ceilings(dataset, name, size), names)
    return dict(zip(names, found, strict=True))


def are_kept(dataset: DataSet, name: str, size: int | None) -> bool:
    """Return whether the ceilings of a case lie on disk, whole. Raises `BadInput` like
    `case_ceilings`."""
    return read_kept(ceilings_file(dataset, name, size), _ceiling) is not None


def ceilings_file(dataset: DataSet, name: str, size: int | None) -> Path:
    """Return the file that keeps the ceilings of a case on a grid."""
    made_by = {"size": size, "version": CEILINGS_VERSION, "torch": torch.__version__}
    return dataset.folder / "ceilings" / f"{dataset.derived_key(name, made_by)}.json"


def _there_and_back(
    label_YX: Tensor, through: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """One slice through the grid and back, from its labels there and from its shares of pixels.
    A class that is not in the slice has no share anywhere."""
    native_hw = (label_YX.shape[0], label_YX.shape[1])
    classes = torch.bincount(label_YX.flatten()).nonzero()[:, 0].to(torch.uint8)
    area_CHW = shares_of(label_YX, classes, through)
    majority_CHW = F.one_hot(area_CHW.max(dim=0).indices, len(classes)).movedim(-1, 0).float()
    ways = (majority_CHW[None], area_CHW[None])
    back = (classes[most_probable(probs, native_hw)[0]].numpy() for probs in ways)
    return next(back), next(back)


def _dice(truth: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> float:
    return dice_percent(truth, predicted) if truth.size else math.nan


def write_kept(path: Path, values: Mapping[str, Sequence[float]]) -> None:
    """Keep numbers by organ in a file with a checksum; nan is kept as null. Raises `OSError`."""
    plain = {organ: [None if math.isnan(x) else x for x in of] for organ, of in values.items()}
    with commit_file(path) as temporary:
        write_json(temporary, {"ceilings": plain, "checksum": content_hash(plain)})


def read_kept(path: Path, made_of: Callable[..., Kept]) -> dict[str, Kept] | None:
    """Return what a file keeps by organ, each `made_of` its numbers; None where it is not there or
    was damaged."""
    try:
        kept = read_json(path)
        if kept["checksum"] != content_hash(kept["ceilings"]):
            return None
        return {organ: made_of(*values) for organ, values in kept["ceilings"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _ceiling(majority: Any, area: Any, n_voxels_true: int) -> Ceiling:
    majority, area = (math.nan if x is None else float(x) for x in (majority, area))
    return Ceiling(majority=majority, area=area, n_voxels_true=n_voxels_true)
