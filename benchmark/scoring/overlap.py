"""Overlap of two masks: DSC per volume and per axial slice, and the state of an organ in a case.

Dice, Ecology 26 (1945): DSC = 2 |A and B| / (|A| + |B|). The state keeps the four kinds of empty
masks apart, because a mean that silently drops missed organs improves as misses grow.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
State = Literal["overlap", "missed", "false_alarm", "both_empty"]


def as_masks(truth: NDArray[Any], predicted: NDArray[Any]) -> tuple[Mask, Mask]:
    """Return both arrays as boolean masks (nonzero is inside).

    Raises ValueError, naming both shapes, when the shapes differ or an array holds no voxel.
    """
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.shape != predicted.shape:
        raise ValueError(f"truth has shape {truth.shape}, predicted has shape {predicted.shape}")
    if truth.size == 0:
        raise ValueError(f"no voxel to compare: both arrays have shape {truth.shape}")
    return truth.astype(np.bool_, copy=False), predicted.astype(np.bool_, copy=False)


def state_of(n_voxels_true: int, n_voxels_predicted: int) -> State:
    """Return which of the two masks hold voxels.

    `overlap` means that both do, also when they are disjoint; `missed` that only the truth does;
    `false_alarm` that only the prediction does; `both_empty` that neither does.

    >>> state_of(120, 0), state_of(0, 7)
    ('missed', 'false_alarm')
    """
    if n_voxels_true:
        return "overlap" if n_voxels_predicted else "missed"
    return "false_alarm" if n_voxels_predicted else "both_empty"


def dice_percent(truth: NDArray[Any], predicted: NDArray[Any]) -> float:
    """Return the DSC of two masks of equal shape, in percent (0 to 100).

    nan when the truth is empty: both empty and a false alarm are undefined (a false alarm is
    counted in ml instead). 0 when only the prediction is empty. Raises ValueError when the shapes
    differ.

    >>> dice_percent(np.array([1, 1, 0]), np.array([0, 1, 1]))
    50.0
    >>> dice_percent(np.zeros(3), np.ones(3))
    nan
    """
    truth, predicted = as_masks(truth, predicted)
    n_voxels_true = int(np.count_nonzero(truth))
    if n_voxels_true == 0:
        return math.nan
    n_voxels_both = int(np.count_nonzero(truth & predicted))
    return 200.0 * n_voxels_both / (n_voxels_true + int(np.count_nonzero(predicted)))


def dice_slicewise_percent(truth_ZYX: NDArray[Any], predicted_ZYX: NDArray[Any]) -> float:
    """Return the mean DSC, in percent, of the axial slices where either mask holds voxels.

    A slice in which only one of the masks holds voxels counts 0; a slice that both leave empty is
    not counted. Empty masks of the whole volume as in `dice_percent`: nan when the truth is empty,
    0 when only the prediction is. Raises ValueError when the shapes differ.

    >>> dice_slicewise_percent(np.array([[[1, 1]], [[0, 0]]]), np.array([[[1, 1]], [[0, 1]]]))
    50.0
    """
    truth_ZYX, predicted_ZYX = as_masks(truth_ZYX, predicted_ZYX)
    within_slice = tuple(range(1, truth_ZYX.ndim))
    n_true_Z = np.count_nonzero(truth_ZYX, axis=within_slice)
    if not n_true_Z.any():
        return math.nan
    n_either_Z = n_true_Z + np.count_nonzero(predicted_ZYX, axis=within_slice)
    n_both_Z = np.count_nonzero(truth_ZYX & predicted_ZYX, axis=within_slice)
    counted = n_either_Z > 0
    return float(np.mean(200.0 * n_both_Z[counted] / n_either_Z[counted]))
