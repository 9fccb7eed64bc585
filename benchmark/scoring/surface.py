"""Distances between the surfaces of two masks, and ASSD, HD95 and NSD from one pass over them.

The surface of a mask is its set of border voxels: the mask minus its erosion with the
6-neighbourhood (face neighbours; in two dimensions the 4-neighbourhood), voxels outside the array
being background. A voxel at the array's edge is therefore a border voxel. Distances run between
voxel centres in mm. This is medpy's definition (medpy 0.5.2, `medpy.metric.binary`, connectivity
1) and that of Metrics Reloaded (Maier-Hein et al., Nature Methods 21, 2024).

Each surface becomes a k-d tree that the other surface's voxels ask for their nearest neighbour.
That is exact like medpy's distance transform of the whole volume, but costs time and memory by the
number of border voxels only. Where many voxels lie far within the other surface (a prediction that
fills the volume) a tree is slow: there the distance transform of the masks' bounding box is taken.

`OURS` is the one text that tables, page and commands show. `ELSEWHERE` holds the definitions of
other libraries that are one formula over the same distances. They are shown beside ours where
somebody asks for them, and never stored or tested.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BadInput, near
from benchmark.scoring.overlap import Mask, as_masks

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

# Added to every tolerance, so that a distance of exactly the tolerance counts as within it
# whatever the order of the axes in which its squares were summed. A voxel is a million times this.
ROUNDING_MM = 1e-9

# What follows decides speed alone: both ways are exact. What a query of the tree costs, in voxels
# of the distance transform (measured: 60 to 210 ns each). A far query is cheap outside of the box
# around all goals (1 to 20 us), where half of the tree lies behind the rest; inside, as within a
# shell, nearly all of the tree may be asked (5 to 1700 us).
NEAR_MM = 20.0
VOXELS_PER_NEAR_QUERY = 12
VOXELS_PER_OUTER_QUERY = 100
VOXELS_PER_INNER_QUERY = 3000
SAMPLE = 1000  # voxels by which the way is chosen

OURS: Mapping[str, str] = MappingProxyType(
    {
        "assd": "ASSD: mean distance over the border voxels of both masks, pooled (as MedPy 0.5.2 "
        "and MONAI)",
        "assd_penalised": "assd_penalised: ASSD, but the volume's diagonal for a missed organ",
        "hd95": "HD95: the larger of the two directed 95th percentiles (as MONAI and Metrics "
        "Reloaded)",
        "nsd": "NSD: share of border voxels that lie within the organ's tolerance, exactly at it "
        "too (as MONAI and Metrics Reloaded)",
    }
)
EMPTY = (
    "A missed organ has DSC 0, NSD 0, no ASSD and no HD95; an organ that the truth does not hold "
    "has none of them."
)


@dataclass(frozen=True, kw_only=True)
class SurfaceDistances:
    """The distance of each border voxel of one mask to the other mask's surface, in mm.

    Both arrays are float64 of shape (number of border voxels,), finite, and hold at least one.
    """

    truth_to_predicted_mm: NDArray[np.float64]
    predicted_to_truth_mm: NDArray[np.float64]

    @property
    def pooled_mm(self) -> NDArray[np.float64]:
        """Both directions in one array."""
        return np.concatenate([self.truth_to_predicted_mm, self.predicted_to_truth_mm])


def border(mask: Mask, unknown: Mask | None = None) -> Mask:
    """Return the voxels of `mask` that have a face neighbour outside it, in the mask's shape.

    What lies beyond the array is background. An empty mask gives an empty border, and no other
    mask does. A neighbour that is `unknown` is not outside: nobody knows of a border there.

    >>> border(np.ones((3, 3), dtype=bool)).astype(int)
    array([[1, 1, 1],
           [1, 0, 1],
           [1, 1, 1]])
    """
    padded = np.zeros([length + 2 for length in mask.shape], dtype=bool)
    within = mask if unknown is None else mask | unknown
    padded[(slice(1, -1),) * mask.ndim] = within
    surrounded = within.copy()
    for axis, length in enumerate(mask.shape):
        for first in (0, 2):  # the neighbour before, the neighbour after
            window = [slice(1, -1)] * mask.ndim
            window[axis] = slice(first, first + length)
            surrounded &= padded[tuple(window)]
    return mask & ~surrounded


def surface_distances(
    truth: NDArray[Any],
    predicted: NDArray[Any],
    spacing_mm: Sequence[float],
    unknown: Mask | None = None,
) -> SurfaceDistances:
    """Return the distances, in mm, from each surface to the other, for masks of equal shape.

    `spacing_mm` holds one number per axis. Neither mask holds an `unknown` voxel, and a voxel that
    has unknown neighbours alone outside its mask is not a border voxel. Where a mask has no border
    then (all around it is unknown), what was cut off is the border of both.

    Raises ValueError when a mask is empty (it has no surface: decide by `state_of` first), when
    the shapes differ, or when the spacing is not one positive number per axis.

    >>> found = surface_distances(np.array([1, 0, 0, 0]), np.array([0, 1, 0, 1]), [2.5])
    >>> found.truth_to_predicted_mm, found.predicted_to_truth_mm
    (array([2.5]), array([2.5, 7.5]))
    >>> round(assd_mm(found), 3), hd95_mm(found), nsd_percent(found, tolerance_mm=3.0)
    (4.167, 7.25, 66.66666666666666)
    """
    truth, predicted = as_masks(truth, predicted)
    _check_spacing(spacing_mm, truth.ndim)
    for name, mask in (("truth", truth), ("predicted", predicted)):
        if not mask.any():
            raise ValueError(f"the {name} mask is empty: it has no surface")
    window = _window(truth | predicted)
    hidden = None if unknown is None else unknown[window]
    borders = [border(mask[window], hidden) for mask in (truth, predicted)]
    if not all(each.any() for each in borders):
        borders = [border(mask[window]) for mask in (truth, predicted)]
    border_true, border_predicted = borders
    step_mm = np.asarray(spacing_mm, dtype=np.float64)
    return SurfaceDistances(
        truth_to_predicted_mm=_nearest_mm(border_true, border_predicted, step_mm),
        predicted_to_truth_mm=_nearest_mm(border_predicted, border_true, step_mm),
    )


def assd_mm(distances: SurfaceDistances) -> float:
    """Return the average symmetric surface distance in mm.

    (sum_a d(a, B) + sum_b d(b, A)) / (|A| + |B|): one mean over the pooled border voxels, as
    medpy 0.5.2's `assd` computes it; not the mean of the two directed means (that is MASD, and
    medpy 0.4.0's `assd`).
    """
    return float(np.mean(distances.pooled_mm))


def hd95_mm(distances: SurfaceDistances) -> float:
    """Return the 95th percentile Hausdorff distance in mm.

    The larger of the two directed 95th percentiles, each with linear interpolation, as Metrics
    Reloaded defines it. (medpy takes one percentile of the pooled distances, which hides an error
    that lies on the smaller surface. It is mostly the smaller number, and may be larger by the
    interpolation between two distances: [0, 1] both ways gives 0.95 here and 1.0 pooled.)
    """
    directed = (distances.truth_to_predicted_mm, distances.predicted_to_truth_mm)
    return max(float(np.percentile(each, 95)) for each in directed)


def nsd_percent(distances: SurfaceDistances, tolerance_mm: float) -> float:
    """Return the normalised surface distance: the percentage of border voxels within tolerance.

    (|{a: d(a, B) <= t}| + |{b: d(b, A) <= t}|) / (|A| + |B|), Nikolov et al., J Med Internet Res
    23 (2021), counted in border voxels as in Metrics Reloaded; a distance of exactly the tolerance
    is within it. Raises ValueError when the tolerance is negative or not finite.
    """
    if not (math.isfinite(tolerance_mm) and tolerance_mm >= 0):
        raise ValueError(f"tolerance_mm must be a number of at least 0, not {tolerance_mm}")
    return 100.0 * float(np.mean(distances.pooled_mm <= tolerance_mm + ROUNDING_MM))


def _nearest_mm(start: Mask, goal: Mask, step_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distance of each voxel of `start` to the nearest voxel of `goal`."""
    from scipy.spatial import cKDTree  # slow to import

    voxels, goals = _places(start), _places(goal)
    # Voxels lie on a grid: midpoint splits are as good as medians, and faster to build.
    tree = cKDTree(goals * step_mm, balanced_tree=False, compact_nodes=False)
    if _cost_voxels(tree, voxels, step_mm) > goal.size:
        return _transformed_mm(voxels, goal, step_mm)
    nearest_mm: NDArray[np.float64] = tree.query(voxels * step_mm, distance_upper_bound=NEAR_MM)[0]
    far = np.flatnonzero(np.isinf(nearest_mm))
    nearest_mm[far] = tree.query(voxels[far] * step_mm)[0]
    return nearest_mm


def _cost_voxels(tree: cKDTree, voxels: NDArray[np.intp], step_mm: NDArray[np.float64]) -> float:
    """About what the tree costs to ask for all voxels, as voxels of a distance transform."""
    some_mm = voxels[:: -(-len(voxels) // SAMPLE)] * step_mm
    is_near = np.isfinite(tree.query(some_mm, distance_upper_bound=NEAR_MM)[0])
    is_inner = ~is_near & ((some_mm >= tree.mins) & (some_mm <= tree.maxes)).all(axis=1)
    costs = np.where(is_inner, VOXELS_PER_INNER_QUERY, VOXELS_PER_OUTER_QUERY)
    return len(voxels) * float(np.where(is_near, VOXELS_PER_NEAR_QUERY, costs).mean())


def _transformed_mm(
    voxels: NDArray[np.intp], goal: Mask, step_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """As `_nearest_mm`, by the distance transform: its cost is that of the array, no more."""
    from scipy import ndimage  # slow to import

    nearest = ndimage.distance_transform_edt(
        ~goal, sampling=step_mm, return_distances=False, return_indices=True
    )
    offset = voxels - nearest[(slice(None), *voxels.T)].T
    distance_mm: NDArray[np.float64] = np.linalg.norm(offset * step_mm, axis=1)
    return distance_mm


def _places(mask: Mask) -> NDArray[np.intp]:
    """What `np.argwhere` returns, three times as fast."""
    return np.stack(np.unravel_index(np.flatnonzero(mask), mask.shape), axis=1)


def _window(mask: Mask) -> tuple[slice, ...]:
    """The bounding box of a mask that is not empty, with a margin of one voxel inside the array.

    The margin keeps the box's own faces apart from the array's edge."""
    window = []
    for axis, length in enumerate(mask.shape):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        used = np.flatnonzero(mask.any(axis=others))
        window.append(slice(max(int(used[0]) - 1, 0), min(int(used[-1]) + 2, length)))
    return tuple(window)


def _check_spacing(spacing_mm: Sequence[float], n_axes: int) -> None:
    if len(spacing_mm) != n_axes or not all(math.isfinite(s) and s > 0 for s in spacing_mm):
        raise ValueError(f"spacing_mm must be {n_axes} positive numbers, not {spacing_mm}")


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """The ASSD and HD95, in mm, of a library of one version (`about`)."""

    about: str
    assd: Callable[[SurfaceDistances], float]
    hd95: Callable[[SurfaceDistances], float]


def described(metrics: Iterable[str]) -> str:
    """Return what these metrics are and what an empty mask gives, as sentences in one line."""
    return "; ".join(OURS[metric] for metric in metrics) + f". {EMPTY}"


def mean_of_means_mm(distances: SurfaceDistances) -> float:
    """Return the mean of the two directed mean distances, in mm."""
    directed = (distances.truth_to_predicted_mm, distances.predicted_to_truth_mm)
    return float(np.mean([np.mean(each) for each in directed]))


def pooled_hd95_mm(distances: SurfaceDistances) -> float:
    """Return the 95th percentile of the distances of both directions together, in mm."""
    return float(np.percentile(distances.pooled_mm, 95))


ELSEWHERE: Mapping[str, Elsewhere] = MappingProxyType(
    {
        "medpy-0.4": Elsewhere(about="MedPy 0.4.0", assd=mean_of_means_mm, hd95=pooled_hd95_mm),
        "medpy-0.5": Elsewhere(about="MedPy 0.5.2", assd=assd_mm, hd95=pooled_hd95_mm),
        "pooled-hd95": Elsewhere(about="MedPy 0.5.2", assd=assd_mm, hd95=pooled_hd95_mm),
        "monai": Elsewhere(about="MONAI 1.6.1", assd=assd_mm, hd95=hd95_mm),
        "metrics-reloaded": Elsewhere(
            about="Metrics Reloaded, snapshot ca3d352", assd=assd_mm, hd95=hd95_mm
        ),
    }
)
"""By the name that `bench compare --as` takes."""


def elsewhere(name: str) -> Elsewhere:
    """Return the definitions of that name; raises `BadInput` with the known ones."""
    if name not in ELSEWHERE:
        raise BadInput(f"--as {name!r}: {near(name, ELSEWHERE)}there is {', '.join(ELSEWHERE)}")
    return ELSEWHERE[name]
