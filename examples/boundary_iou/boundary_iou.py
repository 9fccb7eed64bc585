"""Boundary IoU (Cheng, Girshick, Dollar, Berg and Kirillov, CVPR 2021): the overlap of two masks
near their borders alone. A large organ cannot hide a bad border in its inside.

The paper measures in the plane, with a share of the image's diagonal. Here it is a volume, and the
distance is in mm, so that it means the same in every scan.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmark.scoring.own import OwnMetric

Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]
DISTANCE_MM = 4.0


def near_the_border(mask_ZYX: Mask, spacing_mm: Spacing) -> Mask:
    """Return the mask's voxels that lie within `DISTANCE_MM` of its border; what is beyond the
    volume is outside the mask. Where voxels are longer than that, a voxel a side is taken."""
    reach_mm = max(DISTANCE_MM, *spacing_mm)
    padded = np.pad(mask_ZYX, 1)
    inside_mm = ndimage.distance_transform_edt(padded, sampling=spacing_mm)
    return (padded & (inside_mm <= reach_mm))[1:-1, 1:-1, 1:-1]


def boundary_iou(truth_ZYX: Mask, predicted_ZYX: Mask, spacing_mm: Spacing, organ: str) -> float:
    """Return the intersection over the union of both bands, in percent (0 to 100)."""
    true, predicted = (near_the_border(one, spacing_mm) for one in (truth_ZYX, predicted_ZYX))
    return 100.0 * np.count_nonzero(true & predicted) / np.count_nonzero(true | predicted)


METRICS = {
    "boundary-iou": OwnMetric(
        measure=boundary_iou,
        unit="percent",
        higher_is_better=True,
        perfect=100.0,
        margin=1.0,
        about=f"The overlap of both masks within {DISTANCE_MM:g} mm of their borders.",
        missed=0.0,
        symmetric=True,
    ),
}
