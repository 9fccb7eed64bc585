"""Scores of whole cases: states, annotation, crop boxes, refusals, and the monotone means."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from medpy.metric import binary

from benchmark.scoring.cases import (
    METRIC_UNITS,
    NSD_TOLERANCE_OTHER_MM,
    SCORING_VERSION,
    nsd_tolerance_mm,
    score_case,
    scoring_identity,
)

SPACING_MM = (3.0, 0.8, 0.7)
SHAPE = (8, 12, 10)
DIAGONAL_MM = math.hypot(8 * 3.0, 12 * 0.8, 10 * 0.7)
ORGANS = ("liver", "left_kidney", "right_kidney")
WHOLE = (slice(0, 8), slice(0, 12), slice(0, 10))


def label_map() -> np.ndarray:
    label = np.zeros(SHAPE, dtype=np.uint8)
    label[2:6, 1:9, 0:5] = 1
    label[1:4, 2:5, 7:9] = 2
    label[4:7, 8:12, 7:10] = 3
    return label


def score(truth, predicted, **changes):
    settings = {"spacing_mm": SPACING_MM, "organs": ORGANS, "annotated": ORGANS} | changes
    return score_case(truth, predicted, **settings)


def values(scores, organ) -> dict[str, float]:
    return {each.metric: each.value for each in scores if each.organ == organ}


def state(scores, organ) -> str:
    (found,) = {each.state for each in scores if each.organ == organ}
    return found


def test_truth_against_itself():
    scores = score(label_map(), label_map())
    assert [(each.organ, each.metric) for each in scores] == [
        (organ, metric) for organ in ORGANS for metric in METRIC_UNITS
    ]
    for organ in ORGANS:
        assert state(scores, organ) == "overlap"
        assert values(scores, organ) == {
            "dsc": 100.0,
            "dsc_slicewise": 100.0,
            "assd": 0.0,
            "assd_penalised": 0.0,
            "hd95": 0.0,
            "nsd": 100.0,
            "false_alarm_ml": 0.0,
        }
    assert all(each.unit == METRIC_UNITS[each.metric] for each in scores)
    assert {each.organ: each.n_voxels_true for each in scores} == {
        "liver": 160,
        "left_kidney": 18,
        "right_kidney": 36,
    }


def test_each_organ_is_scored_alone_and_equals_medpy():
    truth, predicted = label_map(), np.roll(label_map(), 2, axis=1)
    scores = score(truth, predicted)
    for k, organ in enumerate(ORGANS):
        masks = predicted == k + 1, truth == k + 1
        found = values(scores, organ)
        assert found["dsc"] == pytest.approx(100 * binary.dc(*masks), abs=1e-9)
        assert found["assd"] == pytest.approx(binary.assd(*masks, SPACING_MM), abs=1e-9)
        assert found["assd_penalised"] == found["assd"]


def test_an_organ_missed_a_false_alarm_and_both_empty():
    truth, predicted = label_map(), label_map()
    predicted[predicted == 1] = 0
    truth[truth == 2] = 0
    truth[truth == 3] = predicted[predicted == 3] = 0
    scores = score(truth, predicted)
    nan = pytest.approx(math.nan, nan_ok=True)
    undefined = dict.fromkeys(METRIC_UNITS, nan)
    assert [state(scores, organ) for organ in ORGANS] == ["missed", "false_alarm", "both_empty"]
    assert values(scores, "liver") == undefined | {
        "dsc": 0.0,
        "dsc_slicewise": 0.0,
        "assd_penalised": DIAGONAL_MM,
        "nsd": 0.0,
        "false_alarm_ml": 0.0,
    }
    assert values(scores, "left_kidney") == undefined | {
        "false_alarm_ml": pytest.approx(18 * 3.0 * 0.8 * 0.7 / 1000)
    }
    assert values(scores, "right_kidney") == undefined | {"false_alarm_ml": 0.0}


def test_disjoint_masks_are_an_overlap_of_zero_with_a_distance():
    truth, predicted = np.zeros((2, *SHAPE), dtype=np.uint8)
    truth[0, 0, 0] = predicted[7, 0, 0] = 1
    scores = score(truth, predicted)
    assert state(scores, "liver") == "overlap"
    found = values(scores, "liver")
    assert (found["dsc"], found["assd"], found["nsd"]) == (0.0, 21.0, 0.0)


def test_an_organ_that_is_not_annotated_gives_no_score():
    predicted = label_map()
    predicted[0] = 2  # a false alarm, were the kidney annotated
    scores = score(label_map(), predicted, annotated=("liver",))
    assert {each.organ for each in scores} == {"liver"}
    assert score(label_map(), label_map(), annotated=()) == []


def test_a_kidney_is_held_to_a_finer_tolerance_than_a_liver():
    truth, predicted = np.zeros((2, 6, 6, 6), dtype=np.uint8)
    truth[0, 0, 0], predicted[0, 0, 4] = 1, 1
    truth[5, 0, 0], predicted[5, 0, 4] = 2, 2
    scores = score(truth, predicted, spacing_mm=(1.0, 1.0, 1.0))
    assert values(scores, "liver")["nsd"] == 100.0
    assert values(scores, "left_kidney")["nsd"] == 0.0
    assert nsd_tolerance_mm("an organ of one's own") == NSD_TOLERANCE_OTHER_MM
    assert SCORING_VERSION == 1


def test_a_box_hides_everything_outside_it():
    truth, predicted = label_map(), label_map()
    box = (slice(2, 6), slice(1, 9), slice(0, 5))
    predicted[0] = 1
    predicted[7] = 3
    scores = score(truth, predicted, box=box)
    assert values(scores, "liver") == pytest.approx(
        dict.fromkeys(METRIC_UNITS, 0.0) | dict.fromkeys(("dsc", "dsc_slicewise", "nsd"), 100.0)
    )
    assert state(scores, "right_kidney") == "both_empty"
    (n_voxels_true,) = {each.n_voxels_true for each in scores if each.organ == "liver"}
    assert n_voxels_true == 160


def test_a_box_is_scored_as_the_array_that_it_cuts_out():
    """A face of the box is a border, as the edge of the volume is; medpy finds the same."""
    truth, predicted = np.zeros((2, *SHAPE), dtype=np.uint8)
    truth[:, :, :3] = 1
    predicted[:, :, :6] = 1
    whole = values(score(truth, predicted), "liver")
    assert values(score(truth, predicted, box=WHOLE), "liver") == whole
    box = (slice(2, 5), slice(1, 9), slice(0, 10))
    masks = predicted[box] == 1, truth[box] == 1
    found = values(score(truth, predicted, box=box), "liver")
    assert found["assd"] == pytest.approx(binary.assd(*masks, SPACING_MM), abs=1e-9)
    assert whole["assd"] == pytest.approx(binary.assd(predicted, truth, SPACING_MM), abs=1e-9)


@st.composite
def boxed_cases(draw):
    """Two label maps and a box in them, which truth or prediction may fill."""
    shape = (3, 4, 3)
    cuts = []
    for length in shape:
        first = draw(st.integers(0, length - 1))
        cuts.append(slice(first, draw(st.integers(first + 1, length))))
    maps = [draw(arrays(np.uint8, shape, elements=st.integers(0, 1))) for _ in range(2)]
    for label in maps:
        if draw(st.booleans()):
            label[tuple(cuts)] = 1
    return *maps, tuple(cuts)


@settings(max_examples=200, deadline=None)
@given(case=boxed_cases())
def test_an_overlap_always_has_all_distances(case):
    """In any box, also one that an organ fills, the numbers are those of the arrays cut before."""
    truth, predicted, box = case
    asked = {"organs": ("liver",), "annotated": ("liver",)}
    scores = score(truth, predicted, box=box, **asked)
    found = values(scores, "liver")
    if state(scores, "liver") == "overlap":
        assert all(map(math.isfinite, found.values())), found
        assert found["assd_penalised"] == found["assd"]
        masks = predicted[box] == 1, truth[box] == 1
        assert found["assd"] == pytest.approx(binary.assd(*masks, SPACING_MM), abs=1e-9)
        assert found == values(score(truth[box], predicted[box], **asked), "liver")


def test_a_miss_in_a_box_costs_the_whole_volumes_diagonal():
    box = (slice(2, 6), slice(1, 9), slice(0, 5))
    empty = np.zeros(SHAPE, dtype=np.uint8)
    assert values(score(label_map(), empty, box=box), "liver")["assd_penalised"] == DIAGONAL_MM


def test_wrong_input_is_refused():
    label = label_map()
    with pytest.raises(ValueError, match=r"\(8, 12, 10\).*\(8, 12, 9\)"):
        score(label, label[:, :, :9])
    with pytest.raises(ValueError, match=r"\(8, 12\)"):
        score(label[:, :, 0], label[:, :, 0])
    with pytest.raises(ValueError, match="truth must be a uint8"):
        score(label.astype(np.float32), label)
    with pytest.raises(ValueError, match="predicted must be a uint8"):
        score(label, label > 0)
    with pytest.raises(ValueError, match="predicted holds label 3, but there are 2 organs"):
        score(np.minimum(label, 2), label, organs=ORGANS[:2], annotated=ORGANS[:2])
    with pytest.raises(ValueError, match="liverr"):
        score(label, label, annotated=("liverr",))
    with pytest.raises(ValueError, match="named twice"):
        score(label, label, organs=("liver", "liver", "left_kidney"), annotated=("liver",))
    for spacing_mm in ((1.0, 1.0), (0.0, 1.0, 1.0), (math.nan, 1.0, 1.0)):
        with pytest.raises(ValueError, match="spacing_mm"):
            score(label, label, spacing_mm=spacing_mm)
    for cut in (slice(0, 9), slice(-1, 4), slice(3, 3), slice(None, 4), slice(0, 8, 2)):
        with pytest.raises(ValueError, match="box axis 0"):
            score(label, label, box=(cut, *WHOLE[1:]))


def test_spacing_has_no_default():
    with pytest.raises(TypeError, match="spacing_mm"):
        score_case(label_map(), label_map(), organs=ORGANS, annotated=ORGANS)


def means(cases, box) -> dict[str, tuple[float, int]]:
    """Mean and number of defined values over the cases, by tested metric."""
    found = {}
    for metric in ("dsc", "dsc_slicewise", "assd_penalised", "nsd"):
        column = [
            values(
                score(truth, predicted, organs=("liver",), annotated=("liver",), box=box), "liver"
            )[metric]
            for truth, predicted in cases
        ]
        defined = [value for value in column if not math.isnan(value)]
        assert len(defined) == sum((truth[box or ...] > 0).any() for truth, _ in cases)
        found[metric] = (float(np.mean(defined)) if defined else 0.0, len(defined))
    return found


tiny_labels = st.one_of(
    arrays(np.uint8, (2, 3, 2), elements=st.integers(0, 1)),
    st.sampled_from([np.full((2, 3, 2), value, np.uint8) for value in (0, 1)]),
)
boxes = st.sampled_from([None, (slice(0, 2), slice(0, 3), slice(0, 2)), (slice(0, 1),) * 3])


@settings(max_examples=150, deadline=None)
@given(
    cases=st.lists(st.tuples(tiny_labels, tiny_labels), min_size=1, max_size=5),
    box=boxes,
    data=st.data(),
)
def test_missing_one_more_case_never_improves_a_tested_number(cases, box, data):
    """Also where the case was a false alarm, and also inside a box that an organ may fill."""
    blanked = data.draw(st.integers(0, len(cases) - 1))
    truth, predicted = cases[blanked]
    worse = [*cases]
    worse[blanked] = (truth, np.zeros_like(predicted))
    before, after = means(cases, box), means(worse, box)
    rounding = 1e-9
    for metric in ("dsc", "dsc_slicewise", "nsd"):
        assert after[metric][0] <= before[metric][0] + rounding
    assert after["assd_penalised"][0] >= before["assd_penalised"][0] - rounding
    assert {m: n for m, (_, n) in before.items()} == {m: n for m, (_, n) in after.items()}


@pytest.mark.parametrize(
    ("spelled", "known"),
    [("gall_bladder", "gallbladder"), ("arota", "aorta"), ("kidney_left", "left_kidney")],
)
def test_the_tolerance_is_the_organs_and_not_the_spellings(spelled, known):
    assert nsd_tolerance_mm(spelled) == nsd_tolerance_mm(known)


def test_only_results_of_a_respelled_organ_have_another_identity():
    plain = ("liver", "left_kidney", "kidney_left", "esophagus", "oesophagus", "prostate")
    assert scoring_identity(plain) == (SCORING_VERSION,)  # 3 mm by either rule
    moved = (SCORING_VERSION, {"gall_bladder": 2.0})
    assert scoring_identity((*plain, "gall_bladder", "gallbladder")) == moved
