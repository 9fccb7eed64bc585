"""Two metrics of one's own, made of well-kept libraries: how far an organ's volume is off, and how
far its centre. Install them with `pip install -e examples/own_metrics`, then `bench score`."""

from __future__ import annotations

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from scipy import ndimage

from benchmark.scoring.own import OwnMetric

Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]


def volume_difference(truth: Mask, predicted: Mask, spacing_mm: Spacing, organ: str) -> float:
    """Return |predicted - true| over the mean of both volumes, in percent (0 to 200), as SimpleITK
    has it (`GetVolumeSimilarity`, which is signed and between -2 and 2)."""
    filter_ = SimpleITK.LabelOverlapMeasuresImageFilter()
    filter_.Execute(*(SimpleITK.GetImageFromArray(m.astype(np.uint8)) for m in (truth, predicted)))
    return 100.0 * abs(filter_.GetVolumeSimilarity())


def centre_distance(truth: Mask, predicted: Mask, spacing_mm: Spacing, organ: str) -> float:
    """Return how far the centres of mass lie apart, in mm."""
    one, other = (np.array(ndimage.center_of_mass(mask)) for mask in (truth, predicted))
    return float(np.linalg.norm((one - other) * np.array(spacing_mm)))


METRICS = {
    "volume-difference": OwnMetric(
        measure=volume_difference,
        unit="percent",
        higher_is_better=False,
        perfect=0.0,
        margin=1.0,
        about="The volumes' difference over their mean.",
        missed="function",  # 200 %: nothing of the organ is there
        symmetric=True,
    ),
    "centre-distance": OwnMetric(
        measure=centre_distance,
        unit="mm",
        higher_is_better=False,
        perfect=0.0,
        margin=0.5,
        about="How far the centres of mass lie apart.",
        missed="diagonal",  # a missed organ has no centre: as far as anything can be
        symmetric=True,
    ),
}
