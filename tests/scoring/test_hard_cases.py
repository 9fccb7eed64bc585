"""Hard cases against volumes whose answers are known."""

import math

import numpy as np
import pytest
from scipy import stats

from benchmark.errors import BadInput
from benchmark.scoring.hard_cases import (
    HARD_CASE_UNITS,
    against_difficulty,
    gradient_hu_mm,
    hard_case,
    score_prepared,
)

SPACING_MM = (2.0, 1.0, 1.0)
SHAPE = (24, 48, 48)
Z, Y, X = np.indices(SHAPE)
TRUTH = ((Z >= 7) & (Z < 17) & (Y >= 14) & (Y < 34) & (X >= 14) & (X < 34)).astype(np.uint8)
# 100 HU within the organ; outside it the contrast falls with Y
IMAGE = np.where(TRUTH == 1, 100.0, 100.0 - 4.0 * Y)


def score_hard_cases(image, truth, predicted, **settings):
    return score_prepared(hard_case(image, truth, **settings), predicted)


def values(predicted, truth=TRUTH, image=IMAGE, **changes):
    settings = {"spacing_mm": SPACING_MM, "organs": ["liver"], "annotated": ["liver"]} | changes
    scores = score_hard_cases(image, truth, predicted, **settings)
    assert [score.metric for score in scores] == list(HARD_CASE_UNITS)
    return {score.metric: score.value for score in scores}, scores[0].state


def test_truth_against_itself():
    found, state = values(TRUTH)
    gradient = found.pop("border_gradient")
    assert gradient > 10
    assert (found, state) == (dict.fromkeys(found, 0.0), "overlap")
    assert len(found) == 4


def test_errors_are_told_by_the_gradient_of_the_border_beside_them():
    """Low Y is the faint side, high Y the sharp one."""
    for at, name, other in ((slice(14, 16), "low", "high"), (slice(32, 34), "high", "low")):
        predicted = TRUTH.copy()
        predicted[:, at] = 0
        found, _ = values(predicted)
        assert found[f"border_error_{name}"] > 3 * found[f"border_error_{other}"]


def test_a_missed_organ_is_wrong_in_its_part_of_the_band():
    found, state = values(np.zeros_like(TRUTH))
    assert state == "missed"
    assert all(20 < found[f"border_error_{name}"] < 80 for name in ("low", "middle", "high"))
    whole, _ = values(np.ones_like(TRUTH))
    for name in ("low", "middle", "high"):
        total = found[f"border_error_{name}"] + whole[f"border_error_{name}"]
        assert total == pytest.approx(100)  # inside and outside make the band


def test_errors_beyond_the_band_do_not_count():
    predicted = TRUTH.copy()
    predicted[:, :6] = 1  # 8 mm from the organ and more
    found, _ = values(predicted)
    assert found["border_error_low"] == 0
    predicted[:, 6:12] = 1
    assert values(predicted)[0]["border_error_low"] > 0


def test_false_positives_that_look_like_the_organ():
    image = IMAGE.copy()
    image[:, :, 40:44] = 100.0  # looks like it
    image[:, :, 44:] = 300.0  # does not
    predicted = TRUTH.copy()
    predicted[2, 10:20, 38:48] = 1
    found, _ = values(predicted, image=image)
    assert found["similar_false_ml"] == pytest.approx(10 * 4 * 2.0 / 1000)


def test_an_organ_that_is_not_there_is_not_defined():
    found, state = values(TRUTH, truth=np.zeros_like(TRUTH))
    assert state == "false_alarm"
    assert all(math.isnan(value) for value in found.values())


def test_an_organ_that_is_not_annotated_gives_no_score():
    scores = score_hard_cases(
        IMAGE, TRUTH, TRUTH, spacing_mm=SPACING_MM, organs=["liver", "spleen"], annotated=["spleen"]
    )
    assert {score.organ for score in scores} == {"spleen"}


def test_a_crop_box_is_the_array_that_it_cuts_out():
    box = (slice(0, 24), slice(0, 24), slice(0, 48))
    predicted = TRUTH.copy()
    predicted[:, 24:] = 0  # outside the box
    predicted[11:13, 22:24, 22:26] = 0  # at the cut, 8 mm from every other border
    found, _ = values(predicted, box=box)
    cut, _ = values(predicted[box], truth=TRUTH[box], image=IMAGE[box])
    assert found == cut
    assert sum(found[f"border_error_{name}"] for name in ("low", "middle", "high")) > 0
    filled, _ = values(TRUTH, box=(slice(8, 16), slice(15, 33), slice(15, 33)))
    assert math.isfinite(filled["border_gradient"])


def test_gradient_of_a_ramp_in_mm():
    ramp = 3.0 * Z * SPACING_MM[0] + 4.0 * Y
    middle = gradient_hu_mm(ramp, SPACING_MM)[8:-8, 8:-8, 8:-8]
    np.testing.assert_allclose(middle, 5.0, atol=1e-3)
    assert gradient_hu_mm(ramp[:1], SPACING_MM).shape == (1, 48, 48)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="must have one shape"):
        values(TRUTH, image=IMAGE[1:])


def test_gain_against_difficulty():
    rng = np.random.default_rng(0)
    difficulty_n = rng.uniform(5, 40, 30)
    gain_n = 3 - 0.1 * difficulty_n + rng.normal(0, 0.1, 30)
    found = against_difficulty(gain_n, difficulty_n)
    assert found.slope_low < -0.1 < found.slope_high < 0
    assert found.rho == pytest.approx(stats.spearmanr(gain_n, difficulty_n)[0], abs=1e-12)
    assert math.isnan(against_difficulty(np.ones(12), difficulty_n[:12]).rho)
    with pytest.raises(BadInput, match="12 patients"):
        against_difficulty(gain_n[:11], difficulty_n[:11])
