"""Surface distances against medpy, and the symmetries that any distance must have."""

import itertools
import math
import time
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from medpy.metric import binary
from scipy import ndimage
from scipy.ndimage import gaussian_filter

from benchmark.scoring import surface
from benchmark.scoring.surface import (
    SurfaceDistances,
    assd_mm,
    border,
    hd95_mm,
    nsd_percent,
    surface_distances,
)

SPACING_MM = (2.5, 0.71, 0.83)
small_masks = arrays(bool, (3, 4, 3)).filter(np.any)


def blobs(seed: int, shape: tuple[int, ...] = (14, 30, 26)) -> tuple[np.ndarray, np.ndarray]:
    """Two overlapping random masks of several pieces, some of them at the array's edge."""
    random = np.random.default_rng(seed)
    field = gaussian_filter(random.normal(size=shape), 2.0)
    other = field + 0.7 * gaussian_filter(random.normal(size=shape), 2.0)
    return field > 0.6 * field.std(), other > 0.8 * other.std()


def every_number(truth, predicted, spacing_mm, tolerance_mm=2.0):
    distances = surface_distances(truth, predicted, spacing_mm)
    return assd_mm(distances), hd95_mm(distances), nsd_percent(distances, tolerance_mm)


def medpy_distances(truth, predicted, spacing_mm) -> SimpleNamespace:
    directed = vars(binary)["__surface_distances"]
    return SimpleNamespace(
        there=directed(truth, predicted, spacing_mm), back=directed(predicted, truth, spacing_mm)
    )


def test_the_blobs_touch_every_edge_of_the_array():
    touched = np.zeros(6, dtype=int)
    for seed in range(8):
        truth, _ = blobs(seed)
        faces = [truth.take(side, axis=axis).any() for axis in range(3) for side in (0, -1)]
        touched += faces
    assert (touched > 0).all()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), SPACING_MM, (30.0, 21.0, 25.0)])
def test_equal_to_medpy(seed, spacing_mm):
    truth, predicted = blobs(seed)
    ours = surface_distances(truth, predicted, spacing_mm)
    medpy = medpy_distances(truth, predicted, spacing_mm)
    assert ours.truth_to_predicted_mm == pytest.approx(medpy.there, abs=1e-9)
    assert ours.predicted_to_truth_mm == pytest.approx(medpy.back, abs=1e-9)
    assert assd_mm(ours) == pytest.approx(binary.assd(predicted, truth, spacing_mm), abs=1e-9)
    # Metrics Reloaded's HD95: the larger directed percentile; medpy's is the pooled one.
    directed = max(np.percentile(medpy.there, 95), np.percentile(medpy.back, 95))
    assert hd95_mm(ours) == pytest.approx(directed, abs=1e-9)
    assert np.percentile(ours.pooled_mm, 95) == pytest.approx(
        binary.hd95(predicted, truth, spacing_mm), abs=1e-9
    )
    pooled = np.concatenate([medpy.there, medpy.back])
    assert nsd_percent(ours, 2.0) == pytest.approx(100 * np.mean(pooled <= 2.0), abs=1e-9)


def far_pieces(inside: bool) -> tuple[np.ndarray, np.ndarray]:
    """A block, and another one far away or with a hollow box far around it."""
    truth, predicted = np.zeros((2, 30, 60, 60), dtype=bool)
    truth[13:17, 28:34, 26:32] = True
    if inside:
        predicted[...] = True
    else:
        truth = np.roll(truth, (-12, -24, -24), axis=(0, 1, 2))
        predicted[22:26, 46:54, 48:56] = True
    return truth, predicted


@pytest.mark.parametrize("inside", [False, True])
def test_far_pieces_equal_medpy(inside, monkeypatch):
    """Voxels beside the other surface ask the tree, those far within it the distance transform;
    both are exact."""
    transforms = []
    transform = ndimage.distance_transform_edt
    monkeypatch.setattr(
        ndimage,
        "distance_transform_edt",
        lambda *given, **named: transforms.append(1) or transform(*given, **named),
    )
    truth, predicted = far_pieces(inside)
    ours = surface_distances(truth, predicted, SPACING_MM)
    assert bool(transforms) == inside
    medpy = medpy_distances(truth, predicted, SPACING_MM)
    assert ours.truth_to_predicted_mm == pytest.approx(medpy.there, abs=1e-9)
    assert ours.predicted_to_truth_mm == pytest.approx(medpy.back, abs=1e-9)
    assert ours.predicted_to_truth_mm.max() > surface.NEAR_MM


def test_assd_is_pooled_and_hd95_is_directed():
    """Surfaces of unequal size, where each of the two rival definitions gives another number."""
    distances = SurfaceDistances(
        truth_to_predicted_mm=np.array([0.0, 0.0, 0.0]), predicted_to_truth_mm=np.array([8.0])
    )
    assert assd_mm(distances) == 2.0  # the mean of the directed means would be 4
    assert hd95_mm(distances) == 8.0  # the pooled percentile would be 6.8
    assert nsd_percent(distances, 1.0) == 75.0


def test_the_medpy_oracle_pools_too():
    """So that a medpy that averages the two directed means is noticed here, not in a table."""
    truth = np.zeros((1, 5, 9), dtype=bool)
    predicted = truth.copy()
    truth[0, 2, 0] = True
    predicted[0, 2, :] = True
    medpy = medpy_distances(truth, predicted, None)
    pooled = (medpy.there.sum() + medpy.back.sum()) / (medpy.there.size + medpy.back.size)
    assert binary.assd(predicted, truth) == pytest.approx(pooled, abs=1e-12)
    assert pooled != pytest.approx((medpy.there.mean() + medpy.back.mean()) / 2, abs=0.1)


@pytest.mark.parametrize("seed", range(3))
def test_cropping_changes_nothing(seed):
    """Far inside a large volume, off centre, as on the padded blobs alone."""
    truth, predicted = (np.pad(mask, 1) for mask in blobs(seed))
    large = [np.pad(mask, ((9, 2), (0, 30), (17, 5))) for mask in (truth, predicted)]
    expected = surface_distances(truth, predicted, SPACING_MM)
    found = surface_distances(*large, SPACING_MM)
    np.testing.assert_allclose(
        found.truth_to_predicted_mm, expected.truth_to_predicted_mm, rtol=0, atol=1e-12
    )
    np.testing.assert_allclose(
        found.predicted_to_truth_mm, expected.predicted_to_truth_mm, rtol=0, atol=1e-12
    )
    medpy = medpy_distances(*large, SPACING_MM)
    np.testing.assert_allclose(found.truth_to_predicted_mm, medpy.there, rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.predicted_to_truth_mm, medpy.back, rtol=0, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(truth=small_masks, predicted=small_masks, factor=st.floats(0.1, 10.0))
def test_millimetres_scale_with_the_spacing(truth, predicted, factor):
    assd, hd95, nsd = every_number(truth, predicted, SPACING_MM, 2.0)
    scaled = every_number(truth, predicted, tuple(factor * s for s in SPACING_MM), factor * 2.0)
    assert scaled == pytest.approx((factor * assd, factor * hd95, nsd), rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    truth=small_masks,
    predicted=small_masks,
    axes=st.sampled_from(list(itertools.permutations(range(3)))),
    flipped=st.sets(st.integers(0, 2)),
)
def test_axes_and_directions_do_not_matter(truth, predicted, axes, flipped):
    turned = [np.flip(mask.transpose(axes), tuple(flipped)) for mask in (truth, predicted)]
    spacing_mm = tuple(SPACING_MM[axis] for axis in axes)
    expected = every_number(truth, predicted, SPACING_MM)
    assert every_number(*turned, spacing_mm) == pytest.approx(expected, rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(truth=small_masks, predicted=small_masks)
def test_symmetric_in_the_two_masks(truth, predicted):
    expected = every_number(truth, predicted, SPACING_MM)
    assert every_number(predicted, truth, SPACING_MM) == pytest.approx(expected, rel=1e-12)
    distances = surface_distances(truth, predicted, SPACING_MM)
    swapped = surface_distances(predicted, truth, SPACING_MM)
    assert (distances.truth_to_predicted_mm == swapped.predicted_to_truth_mm).all()


@given(mask=small_masks)
def test_a_mask_lies_on_itself(mask):
    assert every_number(mask, mask, SPACING_MM, 0.0) == (0.0, 0.0, 100.0)


def test_a_distance_of_exactly_the_tolerance_is_within_it():
    # Three voxels of 0.7 mm are 2.0999999999999996 or 2.1 mm, by how they are summed.
    mask, shifted = np.zeros((2, 1, 1, 8), dtype=bool)
    mask[0, 0, 1] = shifted[0, 0, 4] = True
    distances = surface_distances(mask, shifted, (1.0, 1.0, 0.7))
    assert nsd_percent(distances, 2.1) == 100.0
    assert nsd_percent(distances, math.nextafter(3 * 0.7, 0)) == 100.0
    assert nsd_percent(distances, 2.099) == 0.0


def test_voxels_at_the_edge_of_the_array_are_border():
    full = np.ones((3, 3, 3), dtype=bool)
    assert border(full).sum() == 26
    holed = full.copy()
    holed[1, 1, 1] = False
    assert border(holed).sum() == 26
    assert border(np.zeros_like(full)).sum() == 0


def test_the_larger_percentile_is_not_always_the_larger_number():
    """Between two distances the pooled percentile may lie higher."""
    both = np.array([0.0, 1.0])
    distances = SurfaceDistances(truth_to_predicted_mm=both, predicted_to_truth_mm=both)
    assert hd95_mm(distances) == pytest.approx(0.95)
    assert np.percentile(distances.pooled_mm, 95) == 1.0


@settings(max_examples=100, deadline=None)
@given(truth=small_masks, predicted=small_masks)
def test_two_masks_that_hold_voxels_always_have_a_distance(truth, predicted):
    """Also one that fills the array."""
    for pair in ((truth, predicted), (np.ones_like(truth), predicted)):
        numbers = every_number(*pair, SPACING_MM)
        assert np.isfinite(numbers).all(), numbers
        assert numbers[0] == pytest.approx(binary.assd(*pair[::-1], SPACING_MM), abs=1e-9)


def test_wrong_input_is_refused():
    mask = np.ones((3, 4, 4), dtype=bool)
    with pytest.raises(ValueError, match=r"\(3, 4, 4\).*\(1, 4, 4\)"):
        surface_distances(mask, mask[:1], SPACING_MM)
    with pytest.raises(ValueError, match="predicted mask is empty"):
        surface_distances(mask, np.zeros_like(mask), SPACING_MM)
    with pytest.raises(ValueError, match="truth mask is empty"):
        surface_distances(np.zeros_like(mask), mask, SPACING_MM)
    for spacing_mm in ((1.0, 1.0), (1.0, 0.0, 1.0), (1.0, -1.0, 1.0), (1.0, math.nan, 1.0)):
        with pytest.raises(ValueError, match="spacing_mm"):
            surface_distances(mask, mask, spacing_mm)
    for tolerance_mm in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="tolerance_mm"):
            nsd_percent(surface_distances(mask, mask, SPACING_MM), tolerance_mm)


def test_faster_than_medpy():
    z, y, x = np.ogrid[:40, :128, :128]
    truth = ((z - 20) / 12) ** 2 + ((y - 60) / 30) ** 2 + ((x - 50) / 35) ** 2 < 1
    predicted = np.roll(truth, 2, axis=2)

    def seconds(function) -> float:
        started = time.perf_counter()
        function()
        return time.perf_counter() - started

    ours = min(seconds(lambda: every_number(truth, predicted, SPACING_MM)) for _ in range(3))
    assert ours < seconds(lambda: binary.assd(predicted, truth, SPACING_MM))
