"""The scores of one case: every metric of every annotated organ, from two label maps.

What an empty mask gives, per state of (case, organ); `-` is undefined and stored as nan:

| metric           | unit    | overlap | missed            | false_alarm | both_empty |
|------------------|---------|---------|-------------------|-------------|------------|
| `dsc`            | percent | value   | 0                 | -           | -          |
| `dsc_slicewise`  | percent | value   | 0                 | -           | -          |
| `assd`           | mm      | value   | -                 | -           | -          |
| `assd_penalised` | mm      | `assd`  | volume's diagonal | -           | -          |
| `hd95`           | mm      | value   | -                 | -           | -          |
| `nsd`            | percent | value   | 0                 | -           | -          |
| `false_alarm_ml` | ml      | 0       | 0                 | value       | 0          |

`dsc`, `assd_penalised` and `nsd` are defined exactly where the truth holds the organ. So every
method has the same n, and missing one more organ never improves their means: tests and ranks use
these. `assd` and `hd95` drop missed organs, so their means are for display only, with n_missed.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.plan.organs import meant
from benchmark.scoring.overlap import Mask, State, dice_percent, dice_slicewise_percent, state_of
from benchmark.scoring.surface import assd_mm, hd95_mm, nsd_percent, surface_distances

SCORING_VERSION = 1
"""Part of every stored result's identity: raise it with any change of a value in this folder."""

METRIC_UNITS: Mapping[str, str] = MappingProxyType(
    {
        "dsc": "percent",
        "dsc_slicewise": "percent",
        "assd": "mm",
        "assd_penalised": "mm",
        "hd95": "mm",
        "nsd": "percent",
        "false_alarm_ml": "ml",
    }
)
"""Every metric that `score_case` gives, in its order, with the unit."""

# The tolerances of the FLARE22 abdominal CT challenge (Ma et al., Lancet Digital Health 6, 2024).
NSD_TOLERANCE_MM: Mapping[str, float] = MappingProxyType(
    {
        "liver": 5.0,
        "left_kidney": 3.0,
        "right_kidney": 3.0,
        "spleen": 3.0,
        "pancreas": 5.0,
        "gallbladder": 2.0,
        "esophagus": 3.0,
        "stomach": 5.0,
        "duodenum": 7.0,
        "aorta": 2.0,
    }
)
"""The tolerance of `nsd` by organ, however it is spelled; others: `NSD_TOLERANCE_OTHER_MM`."""
NSD_TOLERANCE_OTHER_MM = 3.0

OF_THE_CUT_ARRAY = "-cut"
"""What the evaluation of a set with crop boxes ends on. Without it the faces of a box were no
borders, which is another definition of ASSD, HD95 and NSD (docs/decisions/0018)."""

Label = NDArray[np.uint8]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True, kw_only=True)
class Score:
    """One metric of one organ in one case; `value` is nan where the metric is undefined,
    `n_voxels_true` counts the organ's voxels in the truth (inside the crop box, if any)."""

    organ: str
    state: str
    metric: str
    value: float
    unit: str
    n_voxels_true: int


def nsd_tolerance_mm(organ: str) -> float:
    """Return the tolerance, in mm, at which `nsd` is computed for this organ.

    >>> nsd_tolerance_mm("gall_bladder"), nsd_tolerance_mm("prostate")
    (2.0, 3.0)
    """
    return NSD_TOLERANCE_MM.get(meant(organ), NSD_TOLERANCE_OTHER_MM)


def scoring_identity(organs: Sequence[str]) -> tuple[Any, ...]:
    """Return what of the scoring is part of a result's identity, for a set of these organs.

    Tolerances once went by the exact name: an organ whose tolerance is another since spellings
    are known is named, so that what was stored of it is scored again, and nothing else is.
    """
    by_name = {name: NSD_TOLERANCE_MM.get(name, NSD_TOLERANCE_OTHER_MM) for name in organs}
    now = {name: nsd_tolerance_mm(name) for name in organs}
    moved = {name: mm for name, mm in sorted(now.items()) if mm != by_name[name]}
    return (SCORING_VERSION, *([moved] if moved else []))


def score_case(
    truth_ZYX: Label,
    predicted_ZYX: Label,
    *,
    spacing_mm: tuple[float, float, float],
    organs: Sequence[str],
    annotated: Collection[str],
    box: Box | None = None,
    unknown_ZYX: Mask | None = None,
) -> list[Score]:
    """Return one Score per annotated organ and metric, organs in the order of `organs`.

    Both maps are uint8 of shape (Z, Y, X), canonical, 0 for background and k + 1 for the k-th
    organ. An organ that is not annotated in this case gives no Score. The table above says what
    empty masks give. Both maps are cut to the crop `box`: a voxel at its face is a border voxel, as
    at the volume's edge; a missed organ's penalty stays the diagonal of the whole volume. What is
    `unknown_ZYX` is in neither mask and makes no border (`surface_distances`).

    Raises ValueError where shapes, types, labels, organs, spacing or box make no sense together.

    >>> truth = np.zeros((3, 4, 4), dtype=np.uint8)
    >>> truth[1, 1:3, 1:3] = 1
    >>> named = {"organs": ["liver"], "annotated": ["liver"]}
    >>> found = score_case(truth, truth, spacing_mm=(2.0, 1.0, 1.0), **named)
    >>> [(score.metric, score.value) for score in found[:3]]
    [('dsc', 100.0), ('dsc_slicewise', 100.0), ('assd', 0.0)]
    """
    _check_maps(truth_ZYX, predicted_ZYX, spacing_mm)
    _check_organs(truth_ZYX, predicted_ZYX, organs, annotated)
    size_mm = (n * step for n, step in zip(truth_ZYX.shape, spacing_mm, strict=True))
    diagonal_mm = math.hypot(*size_mm)
    if box is not None:
        _check_box(box, truth_ZYX.shape)
        truth_ZYX, predicted_ZYX = truth_ZYX[box], predicted_ZYX[box]
        unknown_ZYX = _part(unknown_ZYX, box)
    truth_ZYX, predicted_ZYX = (known(each, unknown_ZYX) for each in (truth_ZYX, predicted_ZYX))
    from scipy import ndimage  # slow to import

    windows = [ndimage.find_objects(each, len(organs)) for each in (truth_ZYX, predicted_ZYX)]
    scores: list[Score] = []
    for k, organ in enumerate(organs):
        if organ in annotated:
            window = _joint_window(windows[0][k], windows[1][k], truth_ZYX.shape)
            scores += _score_organ(
                truth_ZYX[window] == k + 1,
                predicted_ZYX[window] == k + 1,
                organ=organ,
                spacing_mm=spacing_mm,
                diagonal_mm=diagonal_mm,
                unknown=_part(unknown_ZYX, window),
            )
    return scores


def _part(unknown: Mask | None, window: tuple[slice, ...]) -> Mask | None:
    return None if unknown is None else unknown[window]


def known(label_ZYX: Label, unknown_ZYX: Mask | None) -> Label:
    """Return a label map with 0 in the unknown voxels; itself where there are none."""
    return label_ZYX if unknown_ZYX is None else np.where(unknown_ZYX, np.uint8(0), label_ZYX)


def _score_organ(
    truth: Mask,
    predicted: Mask,
    *,
    organ: str,
    spacing_mm: tuple[float, float, float],
    diagonal_mm: float,
    unknown: Mask | None,
) -> list[Score]:
    n_voxels_true, n_voxels_predicted = (int(np.count_nonzero(m)) for m in (truth, predicted))
    state = state_of(n_voxels_true, n_voxels_predicted)
    if state == "overlap":
        values = _overlap_values(truth, predicted, organ, spacing_mm, unknown)
    else:
        false_alarm_ml = n_voxels_predicted * math.prod(spacing_mm) / 1000.0
        values = _values_without_overlap(state, diagonal_mm, false_alarm_ml)
    return scores_of(values, METRIC_UNITS, organ=organ, state=state, n_voxels_true=n_voxels_true)


def scores_of(
    values: Mapping[str, float],
    units: Mapping[str, str],
    *,
    organ: str,
    state: State,
    n_voxels_true: int,
) -> list[Score]:
    """Return a Score for every metric of `units`, in that order; nan where `values` has none."""
    return [
        Score(
            organ=organ,
            state=state,
            metric=metric,
            value=values.get(metric, math.nan),
            unit=unit,
            n_voxels_true=n_voxels_true,
        )
        for metric, unit in units.items()
    ]


def _overlap_values(
    truth: Mask,
    predicted: Mask,
    organ: str,
    spacing_mm: tuple[float, float, float],
    unknown: Mask | None,
) -> dict[str, float]:
    distances = surface_distances(truth, predicted, spacing_mm, unknown)
    assd = assd_mm(distances)
    return {
        "dsc": dice_percent(truth, predicted),
        "dsc_slicewise": dice_slicewise_percent(truth, predicted),
        "assd": assd,
        "assd_penalised": assd,
        "hd95": hd95_mm(distances),
        "nsd": nsd_percent(distances, nsd_tolerance_mm(organ)),
        "false_alarm_ml": 0.0,
    }


def _values_without_overlap(
    state: State, diagonal_mm: float, false_alarm_ml: float
) -> dict[str, float]:
    """The defined values of a case with an empty mask; a metric left out is undefined."""
    if state == "missed":
        defined = {"dsc": 0.0, "dsc_slicewise": 0.0, "nsd": 0.0, "assd_penalised": diagonal_mm}
        return defined | {"false_alarm_ml": 0.0}
    return {"false_alarm_ml": false_alarm_ml}  # 0 ml where both are empty


def _joint_window(
    truth: tuple[slice, ...] | None, predicted: tuple[slice, ...] | None, shape: tuple[int, ...]
) -> tuple[slice, ...]:
    """The bounding box of both masks with a margin of one voxel inside the array.

    Only a face that the array itself cuts off can touch a mask. One voxel where both are empty."""
    found = [window for window in (truth, predicted) if window is not None]
    if not found:
        return tuple(slice(0, 1) for _ in shape)
    return tuple(
        slice(
            max(min(window[axis].start for window in found) - 1, 0),
            min(max(window[axis].stop for window in found) + 1, length),
        )
        for axis, length in enumerate(shape)
    )


def _check_maps(truth_ZYX: Any, predicted_ZYX: Any, spacing_mm: tuple[float, ...]) -> None:
    truth_shape, predicted_shape = np.shape(truth_ZYX), np.shape(predicted_ZYX)
    if truth_shape != predicted_shape or len(truth_shape) != 3 or 0 in truth_shape:
        raise ValueError(
            f"truth has shape {truth_shape}, predicted has shape {predicted_shape}; "
            "both must be the same (Z, Y, X)"
        )
    for name, label in (("truth", truth_ZYX), ("predicted", predicted_ZYX)):
        if label.dtype != np.uint8:
            raise ValueError(f"{name} must be a uint8 label map, not {label.dtype}")
    if len(spacing_mm) != 3 or not all(math.isfinite(step) and step > 0 for step in spacing_mm):
        raise ValueError(f"spacing_mm must be three positive numbers, not {spacing_mm}")


def _check_organs(
    truth_ZYX: Label, predicted_ZYX: Label, organs: Sequence[str], annotated: Collection[str]
) -> None:
    if len(set(organs)) != len(organs):
        raise ValueError(f"an organ is named twice: {list(organs)}")
    # A name that is not known would silently give no score at all.
    if unknown := sorted(set(annotated) - set(organs)):
        raise ValueError(f"annotated organs {unknown} are not among {list(organs)}")
    for name, label in (("truth", truth_ZYX), ("predicted", predicted_ZYX)):
        highest = int(label.max())
        if highest > len(organs):
            raise ValueError(f"{name} holds label {highest}, but there are {len(organs)} organs")


def _check_box(box: Box, shape: tuple[int, ...]) -> None:
    for axis, (cut, length) in enumerate(zip(box, shape, strict=True)):
        # Negative or missing ends would be legal slices, but a box is always written out.
        inside = all(isinstance(end, int) for end in (cut.start, cut.stop)) and (
            0 <= cut.start < cut.stop <= length
        )
        if not inside or cut.step not in (None, 1):
            raise ValueError(f"box axis {axis} is {cut}, outside of a volume of shape {shape}")
