"""Values by patient and seed: what is missing is named, what does not fit is refused."""

import numpy as np
import pytest

from benchmark.errors import BadInput
from benchmark.scoring.statistics.layout import (
    Incomplete,
    RowValues,
    ScoredPatient,
    endpoint_organs,
    gain,
    gather,
)

PATIENTS = [
    ScoredPatient(case="a", fold=0, organs=("liver", "left_kidney")),
    ScoredPatient(case="b", fold=1, organs=("liver",)),
    ScoredPatient(case="c", fold=0, organs=("left_kidney", "spleen")),
]
STORED = [
    ("a", "liver", 0, 90.0),
    ("a", "left_kidney", 0, 80.0),
    ("a", "liver", 1, 92.0),
    ("a", "left_kidney", 1, 84.0),
    ("b", "liver", 0, 70.0),
    ("b", "liver", 1, 72.0),
    ("b", "left_kidney", 0, 1.0),  # not in b's ground truth: no part of the endpoint
    ("c", "left_kidney", 0, 60.0),
    ("c", "left_kidney", 1, 62.0),
]


def gathered(stored=STORED, organs=("liver", "left_kidney"), seeds=(0, 1)):
    case_k, organ_k, seed_k, value_k = zip(*stored, strict=True)
    return gather(
        "fsm",
        patients=PATIENTS,
        organs=organs,
        seeds=seeds,
        case_k=case_k,
        organ_k=organ_k,
        seed_k=seed_k,
        value_k=value_k,
    )


def test_endpoint_is_the_mean_over_the_organs_that_a_patient_has():
    found = gathered()
    assert found.cases == ("a", "b", "c")
    assert found.fold_n.tolist() == [0, 1, 0]
    np.testing.assert_allclose(found.value_nS, [[85, 88], [70, 72], [60, 62]])


def test_a_patient_without_the_endpoint_is_in_no_row():
    assert gathered(organs=("liver",)).cases == ("a", "b")


@pytest.mark.parametrize("lost", range(len(STORED)))
def test_a_missing_value_is_incomplete(lost):
    found = gathered(STORED[:lost] + STORED[lost + 1 :])
    case, organ, seed, _ = STORED[lost]
    if (case, organ) == ("b", "left_kidney"):
        assert isinstance(found, RowValues)
    else:
        assert found == Incomplete(row="fsm", missing=((case, seed),))
        assert f"case {case}, seed {seed}" in found.sentence


def test_nan_counts_as_missing_and_so_does_a_seed_without_values():
    holed = [(c, o, s, np.nan if c == "b" and s == 1 else v) for c, o, s, v in STORED]
    assert gathered(holed).missing == (("b", 1),)
    assert gathered(seeds=(0, 1, 2)).missing == (("a", 2), ("b", 2), ("c", 2))


def test_what_was_not_planned_is_refused():
    for stranger in [("z", "liver", 0, 1.0), ("a", "liver", 7, 1.0)]:
        with pytest.raises(BadInput, match=r"is not part of this comparison"):
            gathered([*STORED, stranger])
    with pytest.raises(BadInput, match="two values of liver in case a with seed 0"):
        gathered([*STORED, STORED[0]])


def test_endpoint_organs_by_share():
    many = [ScoredPatient(case=str(i), fold=0, organs=("liver",) * (i < 9)) for i in range(10)]
    assert endpoint_organs(many) == ("liver",)
    kidneys = [
        ScoredPatient(case=str(i), fold=0, organs=("liver", *("left_kidney",) * (i < 8),
                                             *("right_kidney",) * (i < 7)))
        for i in range(10)
    ]  # fmt: skip
    assert endpoint_organs(kidneys) == ("left_kidney", "liver")
    with pytest.raises(BadInput, match="no organ"):
        endpoint_organs([ScoredPatient(case="a", fold=0, organs=())])


def values(row="fsm", cases=("a", "b"), seeds=(0, 1), fold_n=(0, 1), value_nS=None):
    filled = np.array([[1.0, 2.0], [3.0, 4.0]]) if value_nS is None else value_nS
    return RowValues(row=row, cases=cases, seeds=seeds, fold_n=np.array(fold_n), value_nS=filled)


def test_gain_is_positive_where_the_row_is_better():
    other = values(value_nS=np.ones((2, 2)))
    assert gain(values(), other, higher_is_better=True).tolist() == [[0, 1], [2, 3]]
    assert gain(values(), other, higher_is_better=False).tolist() == [[0, -1], [-2, -3]]


@pytest.mark.parametrize("change", [{"cases": ("a", "c")}, {"seeds": (0, 2)}, {"fold_n": (1, 1)}])
def test_rows_that_cannot_be_paired(change):
    with pytest.raises(BadInput, match="cannot be paired"):
        gain(values(), values(row="unet", **change), higher_is_better=True)


def test_row_values_are_whole():
    with pytest.raises(BadInput, match="not finite"):
        values(value_nS=np.array([[1.0, np.nan], [3.0, 4.0]]))
    with pytest.raises(BadInput, match="do not fit"):
        values(seeds=(0,))
