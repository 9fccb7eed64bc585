"""What scores a prediction that never looks at the CT: two reference lines under the ceilings.

The *mean shape* is the mean mask of the fold's training patients at the same relative height, as
`fsm-mean-shape` sees it, taken as a prediction. Heights are measured between the ends of the
patient's own liver, so it sees that much of the truth. The *constant predictor* sees nothing of the
patient: it is the mean mask at the same share of the way from the scan's first slice to its last.
In both a pixel has the class that most training patients have there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.data.ceilings import read_kept, write_kept
from benchmark.data.feeding.fills import BEYOND
from benchmark.data.feeding.folds import open_slices
from benchmark.data.feeding.slices import CaseSlices, training_grid
from benchmark.data.library import DataSet
from benchmark.plan.folds import Fold
from benchmark.plan.ground import MeanMask
from benchmark.plan.keys import content_hash
from benchmark.scoring.cases import known
from benchmark.scoring.overlap import dice_percent
from benchmark.training.prediction import most_probable

REFERENCES_VERSION = 1
"""Part of every key: raise it with any change of what `fold_references` returns."""
BINS = MeanMask().bins
HEIGHTS = torch.linspace(-BEYOND, 1 + BEYOND, BINS).tolist()  # between the ends of the liver
SHARES = torch.linspace(0, 1, BINS).tolist()  # of the way through the scan


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The DSC in percent of an organ in a case, predicted by the mean shape and by the constant
    predictor; both are nan where the truth does not hold the organ."""

    mean_shape: float
    constant: float


class MeanMap:
    """The mean masks of cases at some places along their height, on the training grid.

    `total_BKHW` counts the cases whose mask of an organ holds a pixel, at each of `places`;
    `known_K` those in which the organ is annotated. Frames are padded behind, as trainings do.
    """

    def __init__(self, organs: int, frame: tuple[int, int], places: Sequence[float]) -> None:
        self.places = places
        self.known_K = torch.zeros(organs, dtype=torch.int16)
        self.lost_BKHW: Tensor | None = None  # cases of which a pixel is unknown
        self.total_BKHW = torch.zeros(len(places), organs, *frame, dtype=torch.int16)

    def add(self, case: CaseSlices) -> None:
        """Count a case."""
        label_BHW = case.label_ZHW[[case.nearest(place) for place in self.places]]
        height, width = label_BHW.shape[1:]
        self.known_K += case.annotated_K
        for k in case.annotated_K.nonzero()[:, 0].tolist():
            self.total_BKHW[:, k, :height, :width] += label_BHW == k + 1
        if case.unknown_ZHW is not None:
            if self.lost_BKHW is None:
                self.lost_BKHW = torch.zeros_like(self.total_BKHW)
            lost_BHW = case.unknown_ZHW[[case.nearest(place) for place in self.places]]
            for k in case.annotated_K.nonzero()[:, 0].tolist():
                self.lost_BKHW[:, k, :height, :width] += lost_BHW

    def mean(self, place: int, grid: tuple[int, int]) -> Tensor:
        """Return the mean masks (K, *grid) at one of the places, 0 to 1; 0 for an organ that is
        annotated in no case."""
        total_KHW = self.total_BKHW[place, :, : grid[0], : grid[1]]
        known_KHW = self.known_K[:, None, None]
        if self.lost_BKHW is not None:
            known_KHW = known_KHW - self.lost_BKHW[place, :, : grid[0], : grid[1]]
        return total_KHW / known_KHW.clamp_min(1)

    def predict(self, case: CaseSlices, native_hw: tuple[int, int]) -> NDArray[np.uint8]:
        """Return the label map (Z, *native_hw) of a case, brought back as a prediction is."""
        grid = (case.label_ZHW.shape[1], case.label_ZHW.shape[2])
        first, last = self.places[0], self.places[-1]
        steps = (len(self.places) - 1) / (last - first)
        at_Z = [
            min(max(round((case.height(z) - first) * steps), 0), len(self.places) - 1)
            for z in range(len(case.label_ZHW))
        ]
        made = {}
        for place in set(at_Z):
            mean_KHW = self.mean(place, grid)
            rest_HW = (1 - mean_KHW.sum(dim=0)).clamp_min(0)
            probs_CHW = torch.cat([rest_HW[None], mean_KHW])
            made[place] = most_probable(probs_CHW[None], native_hw)[0].to(torch.uint8).numpy()
        return np.stack([made[place] for place in at_Z])


def fold_references(
    dataset: DataSet, fold: Fold, names: Sequence[str], size: int | None
) -> dict[str, Mapping[str, Reference]]:
    """Return the references of cases that a fold tests, by case and annotated organ, from disk
    where they lie, else made of the fold's training masks and kept there.

    Raises `BadInput` when a stored case is missing or damaged.
    """
    paths = _files(dataset, fold, names, size)
    found = {name: read_kept(path, _reference) for name, path in paths.items()}
    lacking = [name for name, kept in found.items() if kept is None]
    for name, made in _measured(dataset, fold, lacking, size).items():
        found[name] = made
        with suppress(OSError):  # a workspace that is full or cannot be written serves as well
            write_kept(paths[name], {o: [x.mean_shape, x.constant] for o, x in made.items()})
    return {name: kept for name, kept in found.items() if kept is not None}


def not_kept(dataset: DataSet, fold: Fold, names: Sequence[str], size: int | None) -> int:
    """Return how many cases' references do not lie on disk, whole. Raises `BadInput` like
    `fold_references`."""
    paths = _files(dataset, fold, names, size)
    return sum(read_kept(path, _reference) is None for path in paths.values())


def mean_maps(
    cases: Iterable[CaseSlices], organs: int, frame: tuple[int, int]
) -> tuple[MeanMap, MeanMap]:
    """Return the mean masks of cases along the liver and along the scan; each case is looked at
    once, so that they need not be in memory together."""
    shape, constant = MeanMap(organs, frame, HEIGHTS), MeanMap(organs, frame, SHARES)
    for case in cases:
        shape.add(case)
        constant.add(_by_scan(case))
    return shape, constant


def _by_scan(case: CaseSlices) -> CaseSlices:
    """The case with its heights measured from its first slice to its last: nothing of its masks
    is in them."""
    return replace(case, ends_Z=(0, len(case.label_ZHW) - 1))


def _measured(
    dataset: DataSet, fold: Fold, names: Sequence[str], size: int | None
) -> dict[str, dict[str, Reference]]:
    if not names:
        return {}
    native = [dataset.case(name).shape_inside[1:] for name in (*fold.train, *names)]
    heights, widths = zip(*(training_grid(hw, size) for hw in native), strict=True)
    training = (open_slices(dataset, name, size) for name in fold.train)
    maps = mean_maps(training, len(dataset.organs), (max(heights), max(widths)))
    return {name: _case(dataset, name, size, *maps) for name in names}


def _case(
    dataset: DataSet, name: str, size: int | None, shape: MeanMap, constant: MeanMap
) -> dict[str, Reference]:
    truth_ZYX, case = dataset.label(name), open_slices(dataset, name, size)
    native_hw = (truth_ZYX.shape[1], truth_ZYX.shape[2])
    unknown = dataset.unknown(name)
    by_shape = known(shape.predict(case, native_hw), unknown)
    by_constant = known(constant.predict(_by_scan(case), native_hw), unknown)
    annotated = dataset.case(name).annotated
    return {
        organ: Reference(
            mean_shape=dice_percent(truth_ZYX == k, by_shape == k),
            constant=dice_percent(truth_ZYX == k, by_constant == k),
        )
        for k, organ in enumerate(dataset.organs, start=1)
        if organ in annotated
    }


def _files(dataset: DataSet, fold: Fold, names: Sequence[str], size: int | None) -> dict[str, Path]:
    """Where the references of each case lie: the key holds the content of the fold's training
    cases, whatever their names."""
    train = sorted(dataset.derived_key(name, {}) for name in fold.train)
    made_by = {
        "references": content_hash(train),
        "size": size,
        "version": REFERENCES_VERSION,
        "torch": torch.__version__,
    }
    folder = dataset.folder / "ceilings"
    return {name: folder / f"{dataset.derived_key(name, made_by)}.json" for name in names}


def _reference(mean_shape: Any, constant: Any) -> Reference:
    mean_shape, constant = (math.nan if x is None else float(x) for x in (mean_shape, constant))
    return Reference(mean_shape=mean_shape, constant=constant)
