"""Label maps in which a share of the wrong border voxels is put right, and what that makes of DSC.

A voxel is wrong where the prediction is not the truth, and lies at a border where one of its six
face neighbours has another label than itself in the truth or in the prediction. Its organ is the
truth's, or the predicted one where the truth is background. Each such voxel has a rank in [0, 1), a
hash of the patient, the organ and the voxel's place alone: at dose d all of rank < d are put right.
So doses are nested, and a voxel has the same rank in every network's prediction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

Label = NDArray[np.uint8]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

DOSES = (0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.14, 0.17, 0.2, 0.25, 0.3, 0.4, 0.6, 1.0)


def wrong_border(truth: Label, predicted: Label) -> Integers:
    """Return the flat indices of the wrong voxels that touch a border, in rising order; the edge of
    the volume is none."""
    wrong_k = np.flatnonzero(truth != predicted)
    z_k, y_k, x_k = np.unravel_index(wrong_k, truth.shape)
    at_border = np.zeros(len(wrong_k), dtype=bool)
    for label, axis, step in product((truth, predicted), range(3), (0, 2)):
        padded = np.pad(label, [(1, 1) if a == axis else (0, 0) for a in range(3)], mode="edge")
        place = [z_k, y_k, x_k]
        place[axis] = place[axis] + step
        at_border |= padded[tuple(place)] != label.flat[wrong_k]
    return wrong_k[at_border]


def ranks(patient: str, organ: int, voxel_k: Integers) -> Floats:
    """Return each voxel's rank in [0, 1): SplitMix64 (Steele et al., OOPSLA 2014) of its flat
    index, from a start that is a hash of the patient's identity and the organ's label."""
    start = hashlib.sha256(f"{patient} {organ}".encode()).digest()[:8]
    x = np.uint64(int.from_bytes(start, "big")) + voxel_k.astype(np.uint64) * np.uint64(
        0x9E3779B97F4A7C15
    )  # wraps around, as it should
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return np.asarray((x >> np.uint64(11)) * 2.0**-53)


def ranked(truth: Label, predicted: Label, patient: str) -> tuple[Integers, Floats]:
    """Return the wrong border voxels as flat indices, and their ranks."""
    voxel_k = wrong_border(truth, predicted)
    true_k, false_k = truth.flat[voxel_k], predicted.flat[voxel_k]
    organ_k = np.where(true_k > 0, true_k, false_k)
    rank_k = np.empty(len(voxel_k))
    for organ in np.unique(organ_k):
        own = organ_k == organ
        rank_k[own] = ranks(patient, int(organ), voxel_k[own])
    return voxel_k, rank_k


def edited(truth: Label, predicted: Label, patient: str, dose: float) -> Label:
    """Return the predicted label map with the share `dose` of its wrong border voxels put right."""
    voxel_k, rank_k = ranked(truth, predicted, patient)
    right = voxel_k[rank_k < dose]
    found = predicted.copy()
    found.flat[right] = truth.flat[right]
    return found


def edited_dsc(
    truth: Label, predicted: Label, patient: str, *, organs: int, doses: Sequence[float] = DOSES
) -> Floats:
    """Return the DSC in percent of `edited` at each dose and organ, shape (D, K), by counting: the
    map itself is never made. `doses` rise from 0. An organ without a voxel in the truth has nan.

    The same figures as `overlap.dice_percent` of the edited map (a test)."""
    voxel_k, rank_k = ranked(truth, predicted, patient)
    true_k, false_k = truth.flat[voxel_k], predicted.flat[voxel_k]
    first_k = np.searchsorted(np.asarray(doses), rank_k, side="right")  # the first dose over it

    def per_dose(label_k: Label) -> Integers:
        """How many voxels of each label are put right up to each dose."""
        kept = first_k < len(doses)
        cell = first_k[kept] * (organs + 1) + label_k[kept]
        counts = np.bincount(cell, minlength=len(doses) * (organs + 1))
        return np.asarray(counts.reshape(len(doses), organs + 1).cumsum(axis=0))

    won_DK, lost_DK = per_dose(true_k), per_dose(false_k)
    true_K = np.bincount(truth.ravel(), minlength=organs + 1)
    predicted_DK = np.bincount(predicted.ravel(), minlength=organs + 1) + won_DK - lost_DK
    both_K = np.bincount(truth[truth == predicted], minlength=organs + 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        dsc_DK = 200.0 * (both_K + won_DK) / (true_K + predicted_DK)
    return np.asarray(np.where(true_K > 0, dsc_DK, np.nan)[:, 1:])
