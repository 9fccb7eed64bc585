"""Wrong border voxels are put right: nested, nothing else touched, counted as scored."""

import numpy as np
import pytest
from sensitivity_edit import DOSES, edited, edited_dsc, ranked, wrong_border

from benchmark.scoring.overlap import dice_percent


@pytest.fixture(scope="module")
def maps():
    """A truth of three organs, and a prediction that is shifted, and wrong deep inside one."""
    z, y, x = np.mgrid[:12, :40, :40]
    truth = np.zeros((12, 40, 40), np.uint8)
    for organ, (cy, cx, r) in enumerate([(15, 14, 11), (30, 30, 6), (30, 10, 5)], start=1):
        truth[(y - cy) ** 2 + (x - cx) ** 2 + (3 * (z - 6)) ** 2 < r * r] = organ
    predicted = np.roll(truth, (2, 1), (1, 2))
    predicted[5:8, 13:18, 12:17] = 2  # a hole whose middle touches no border
    return truth, predicted


def test_a_wrong_voxel_at_a_border_is_one_with_another_label_beside_it(maps):
    truth, predicted = maps
    found = set(wrong_border(truth, predicted).tolist())
    wanted = set()
    for z, y, x in np.argwhere(truth != predicted):
        for label in maps:
            for axis in range(3):
                for step in (-1, 1):
                    near = [z, y, x]
                    near[axis] += step
                    there = 0 <= near[axis] < truth.shape[axis]
                    if there and label[tuple(near)] != label[z, y, x]:
                        wanted.add(int(np.ravel_multi_index((z, y, x), truth.shape)))
    assert found == wanted
    assert 0 < len(found) < np.count_nonzero(truth != predicted)


def test_doses_are_nested_and_touch_wrong_border_voxels_alone(maps):
    truth, predicted = maps
    border = np.zeros(truth.size, bool)
    border[wrong_border(truth, predicted)] = True
    right = np.zeros(truth.size, bool)
    for dose in DOSES:
        found = edited(truth, predicted, "patient", dose)
        changed = (found != predicted).ravel()
        assert not (changed & ~border).any()
        assert (found.ravel()[changed] == truth.ravel()[changed]).all()
        assert not (right & ~changed).any(), "what a lower dose put right stays right"
        right = changed
        share = changed.sum() / border.sum()
        assert abs(share - dose) < 4 * np.sqrt(dose * (1 - dose) / border.sum()) + 1e-12
    assert (right == border).all(), "dose 1 leaves none of them"


def test_a_rank_is_of_the_voxel_the_patient_and_the_organ_not_of_the_prediction(maps):
    truth, predicted = maps
    other = np.roll(truth, (-1, 2), (1, 2))
    one, two = (dict(zip(*map(np.ndarray.tolist, ranked(truth, each, "patient")), strict=True))
                for each in (predicted, other))  # fmt: skip
    shared = one.keys() & two.keys()
    same_organ = {k for k in shared if truth.flat[k] or predicted.flat[k] == other.flat[k]}
    assert len(same_organ) > 50
    assert all(one[k] == two[k] for k in same_organ)
    assert not set(one.values()) & set(ranked(truth, predicted, "another")[1].tolist())


def test_dsc_is_counted_as_the_edited_map_would_be_scored(maps):
    truth, predicted = maps
    found_DK = edited_dsc(truth, predicted, "patient", organs=3)
    for dose, dsc_K in zip(DOSES, found_DK, strict=True):
        label = edited(truth, predicted, "patient", dose)
        wanted = [dice_percent(truth == k, label == k) for k in (1, 2, 3)]
        assert dsc_K.tolist() == wanted


def test_an_organ_that_is_missed_counts_0_and_one_that_is_not_there_nothing(maps):
    truth, _ = maps
    nothing = np.zeros_like(truth)
    found_DK = edited_dsc(truth, nothing, "patient", organs=4, doses=(0.0, 1.0))
    assert (found_DK[0, :3] == 0).all() and (found_DK[1, :3] > 0).all()
    assert np.isnan(found_DK[:, 3]).all()
