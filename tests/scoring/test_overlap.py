"""DSC and states against worked examples."""

import math

import numpy as np
import pytest

from benchmark.scoring.overlap import dice_percent, dice_slicewise_percent, state_of


def slab(n_slices: int, *filled: int) -> np.ndarray:
    mask = np.zeros((n_slices, 2, 2), dtype=bool)
    for z in filled:
        mask[z] = True
    return mask


def test_dice_of_half_overlapping_masks():
    assert dice_percent(slab(4, 0, 1), slab(4, 1, 2)) == 50.0
    assert dice_percent(slab(4, 0, 1, 2), slab(4, 0)) == 50.0


def test_dice_of_empty_masks():
    assert math.isnan(dice_percent(slab(3), slab(3)))
    assert math.isnan(dice_percent(slab(3), slab(3, 0)))
    assert dice_percent(slab(3, 0), slab(3)) == 0.0


def test_dice_counts_beyond_the_range_of_small_integers():
    mask = np.ones((300, 300, 2), dtype=np.uint8)
    assert dice_percent(mask, mask) == 100.0


def test_slicewise_dice_weighs_slices_equally():
    truth, predicted = slab(5, 0, 1), slab(5, 0, 3)
    truth[2, 0, 0] = True
    predicted[2, 0] = True
    # slice 0: 100, slice 1: missed, slice 2: 2 * 1 / (1 + 2), slice 3: false, slice 4: not counted
    assert dice_slicewise_percent(truth, predicted) == pytest.approx((100 + 200 / 3) / 4)
    assert dice_percent(truth, predicted) == pytest.approx(200 * 5 / (9 + 10))


def test_slicewise_dice_of_empty_masks():
    assert math.isnan(dice_slicewise_percent(slab(3), slab(3)))
    assert math.isnan(dice_slicewise_percent(slab(3), slab(3, 0)))
    assert dice_slicewise_percent(slab(3, 0), slab(3)) == 0.0


def test_states():
    assert state_of(1, 1) == "overlap"
    assert state_of(1, 0) == "missed"
    assert state_of(0, 1) == "false_alarm"
    assert state_of(0, 0) == "both_empty"


@pytest.mark.parametrize("function", [dice_percent, dice_slicewise_percent])
def test_unequal_shapes_are_refused_with_both_shapes(function):
    # These two shapes would broadcast against each other and give a number.
    with pytest.raises(ValueError, match=r"\(3, 2, 2\).*\(1, 2, 2\)"):
        function(slab(3, 0), slab(1, 0))
    with pytest.raises(ValueError, match="no voxel"):
        function(np.zeros((0, 2, 2)), np.zeros((0, 2, 2)))
