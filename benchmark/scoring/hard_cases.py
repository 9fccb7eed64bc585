"""Hard cases, the paper's motive, measured from CT and ground truth alone.

Ambiguous borders: the error within 5 mm of the organ's border, split by terciles of the CT's
gradient along that border. Similar intensities: falsely positive volume in voxels that look like
the organ but are not. Case difficulty: the median gradient of the border.

| metric                | unit    | what                                                        |
|-----------------------|---------|-------------------------------------------------------------|
| `border_error_low`    | percent | wrong voxels of the band next to the faintest third          |
| `border_error_middle` | percent | ... the middle third                                         |
| `border_error_high`   | percent | ... the sharpest third                                       |
| `similar_false_ml`    | ml      | predicted, not the organ, HU within its 5th to 95th percentile |
| `border_gradient`     | HU/mm   | median over the border; says nothing about a prediction      |

All are nan where the truth does not hold the organ, so every method has the same n. A missed organ
is wrong in every band voxel that belongs to it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats

from benchmark.errors import BadInput
from benchmark.scoring.cases import Box, Label, Score, known, scores_of
from benchmark.scoring.overlap import Mask, state_of
from benchmark.scoring.statistics.components import PATIENTS_P
from benchmark.scoring.statistics.layout import Floats
from benchmark.scoring.surface import border

BAND_MM = 5.0
SMOOTHING_MM = 1.0  # sd of the Gaussian under the gradient: noise of single voxels is no edge
HU_PERCENTILES = (5.0, 95.0)
TERCILES = ("low", "middle", "high")

HARD_CASE_UNITS: Mapping[str, str] = MappingProxyType(
    {
        **{f"border_error_{name}": "percent" for name in TERCILES},
        "similar_false_ml": "ml",
        "border_gradient": "HU/mm",
    }
)
"""Every metric that `score_prepared` gives, in its order, with the unit."""


@dataclass(frozen=True, kw_only=True)
class Association:
    """How a gain goes with case difficulty over patients.

    `slope` is Theil and Sen's, gain per unit of difficulty, with its 95 % limits; `rho` is
    Spearman's. nan where either does not vary. For description: runs are not accounted for."""

    patients: int
    rho: float
    slope: float
    slope_low: float
    slope_high: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Border:
    """An organ's border band in the window where it lies: which third each voxel of `band`
    belongs to, and the median gradient of the border in HU/mm."""

    window: tuple[slice, ...]
    band: Mask
    third_k: NDArray[np.int8]
    gradient: float


@dataclass(frozen=True, kw_only=True, eq=False)
class HardOrgan:
    """What image and truth alone say of one organ. `similar` are the voxels that look like the
    organ and are not; both are None where the truth does not hold it."""

    organ: str
    value: int
    n_true: int
    similar: Mask | None
    border: Border | None


@dataclass(frozen=True, kw_only=True, eq=False)
class HardCase:
    """A case as its predictions are scored: made once, used for every row."""

    truth: Label
    cut: tuple[slice, ...]
    voxel_ml: float
    unknown: Mask | None
    organs: tuple[HardOrgan, ...]


def hard_case(
    image_hu_ZYX: NDArray[Any],
    truth_ZYX: Label,
    *,
    spacing_mm: tuple[float, float, float],
    organs: Sequence[str],
    annotated: Collection[str],
    box: Box | None = None,
    unknown_ZYX: Mask | None = None,
) -> HardCase:
    """Return what does not depend on a prediction: nearly all of the work.

    `image_hu_ZYX` holds HU; the rest is as in `cases.score_case`. With a crop `box` all arrays are
    cut to it, a prediction later too. Raises ValueError when the shapes differ."""
    _check_shapes(image=image_hu_ZYX, truth=truth_ZYX)
    cut = box or (slice(None),) * 3
    unknown = None if unknown_ZYX is None else unknown_ZYX[cut]
    image, truth = image_hu_ZYX[cut], known(truth_ZYX[cut], unknown)
    return HardCase(
        truth=truth,
        cut=cut,
        voxel_ml=math.prod(spacing_mm) / 1000.0,
        unknown=unknown,
        organs=tuple(
            _hard_organ(image, truth == k + 1, organ, k + 1, spacing_mm, unknown)
            for k, organ in enumerate(organs)
            if organ in annotated
        ),
    )


def score_prepared(case: HardCase, predicted_ZYX: Label) -> list[Score]:
    """Return a Score per annotated organ and metric of the table above, for one prediction of shape
    (Z, Y, X). Raises ValueError when its shape is another."""
    predicted = predicted_ZYX[case.cut]
    _check_shapes(truth=case.truth, predicted=predicted)
    predicted = known(predicted, case.unknown)
    scores: list[Score] = []
    for organ in case.organs:
        mask = predicted == organ.value
        scores += scores_of(
            _prediction_values(organ, case.truth, mask, case.voxel_ml),
            HARD_CASE_UNITS,
            organ=organ.organ,
            state=state_of(organ.n_true, int(np.count_nonzero(mask))),
            n_voxels_true=organ.n_true,
        )
    return scores


def against_difficulty(gain_n: Floats, difficulty_n: Floats) -> Association:
    """Return how the gain of a patient (mean over seeds) goes with its difficulty.

    Raises `BadInput` for arrays of unequal length or fewer than 12 patients."""
    if gain_n.shape != difficulty_n.shape or len(gain_n) < PATIENTS_P:
        raise BadInput(f"gain against difficulty needs {PATIENTS_P} patients or more, paired")
    if np.ptp(gain_n) == 0 or np.ptp(difficulty_n) == 0:
        nothing = math.nan
        return Association(
            patients=len(gain_n), rho=nothing, slope=nothing, slope_low=nothing, slope_high=nothing
        )
    line = stats.theilslopes(gain_n, difficulty_n, alpha=0.95)
    return Association(
        patients=len(gain_n),
        rho=float(stats.spearmanr(gain_n, difficulty_n).statistic),
        slope=float(line.slope),
        slope_low=float(line.low_slope),
        slope_high=float(line.high_slope),
    )


def gradient_hu_mm(image_hu: NDArray[Any], spacing_mm: Sequence[float]) -> Floats:
    """Return the magnitude of the CT's gradient, in HU/mm, after a Gaussian of 1 mm sd.

    An axis with a single voxel has no gradient."""
    sigma = [SMOOTHING_MM / step for step in spacing_mm]
    smooth = ndimage.gaussian_filter(image_hu.astype(np.float64), sigma, mode="nearest")
    parts = [
        np.gradient(smooth, step, axis=axis) if smooth.shape[axis] > 1 else np.zeros(smooth.shape)
        for axis, step in enumerate(spacing_mm)
    ]
    return np.asarray(np.sqrt(sum((part**2 for part in parts), np.zeros(smooth.shape))))


def _hard_organ(
    image: NDArray[Any],
    mask: Mask,
    organ: str,
    value: int,
    spacing_mm: tuple[float, float, float],
    unknown: Mask | None,
) -> HardOrgan:
    n_true = int(np.count_nonzero(mask))
    if not n_true:
        return HardOrgan(organ=organ, value=value, n_true=0, similar=None, border=None)
    low_hu, high_hu = np.percentile(image[mask], HU_PERCENTILES)
    similar = ~mask & (image >= low_hu) & (image <= high_hu)
    return HardOrgan(
        organ=organ,
        value=value,
        n_true=n_true,
        similar=similar if unknown is None else similar & ~unknown,
        border=_border(image, mask, spacing_mm, unknown),
    )


def _border(
    image: NDArray[Any],
    mask: Mask,
    spacing_mm: tuple[float, float, float],
    unknown: Mask | None,
) -> Border | None:
    surface = border(mask, unknown)
    if not surface.any():  # all around it is unknown
        return None
    window = _window(surface, spacing_mm)
    gradient, surface = gradient_hu_mm(image[window], spacing_mm), surface[window]
    distance_mm, nearest = ndimage.distance_transform_edt(
        ~surface, sampling=spacing_mm, return_indices=True
    )
    band = np.asarray(distance_mm <= BAND_MM)
    if unknown is not None:
        band &= ~unknown[window]
    return Border(
        window=window,
        band=band,
        third_k=_thirds(gradient, surface)[tuple(nearest)][band],
        gradient=float(np.median(gradient[surface])),
    )


def _prediction_values(
    organ: HardOrgan, truth: Label, mask: Mask, voxel_ml: float
) -> dict[str, float]:
    if organ.similar is None or organ.border is None:
        return {}
    values = {"similar_false_ml": float(np.count_nonzero(mask & organ.similar)) * voxel_ml}
    window, band = organ.border.window, organ.border.band
    wrong_k = ((truth[window] == organ.value) ^ mask[window])[band]
    values["border_gradient"] = organ.border.gradient
    for t, name in enumerate(TERCILES):
        part = wrong_k[organ.border.third_k == t]
        values[f"border_error_{name}"] = 100.0 * float(part.mean()) if part.size else math.nan
    return values


def _check_shapes(**arrays: NDArray[Any]) -> None:
    shapes = [f"{name} {array.shape}" for name, array in arrays.items()]
    if len({array.shape for array in arrays.values()}) > 1:
        raise ValueError(f"{' and '.join(shapes)} must have one shape")


def _thirds(gradient: Floats, surface: Mask) -> NDArray[np.int8]:
    """0, 1, 2 for border voxels by the tercile of their gradient; -1 elsewhere.

    By rank, so that the three are of equal size whatever the ties."""
    order = np.argsort(gradient[surface], kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    third = np.full(surface.shape, -1, dtype=np.int8)
    third[surface] = rank * 3 // len(order)
    return third


def _window(surface: Mask, spacing_mm: tuple[float, ...]) -> tuple[slice, ...]:
    """The border's bounding box with room for the band and the Gaussian's tail."""
    (box,) = ndimage.find_objects(surface.astype(np.int8))
    window = []
    for cut, step, length in zip(box, spacing_mm, surface.shape, strict=True):
        room = math.ceil((BAND_MM + 4 * SMOOTHING_MM) / step) + 1
        window.append(slice(max(cut.start - room, 0), min(cut.stop + room, length)))
    return tuple(window)
