"""Other libraries' definitions over the same distances, against the libraries and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from medpy.metric import binary

from benchmark.errors import BadInput
from benchmark.scoring.cases import METRIC_UNITS
from benchmark.scoring.surface import (
    ELSEWHERE,
    OURS,
    SurfaceDistances,
    assd_mm,
    described,
    elsewhere,
    hd95_mm,
    surface_distances,
)

SPACING_MM = (3.0, 0.8, 0.5)


def small_box_in_a_large_one():
    """Surfaces of unequal size, which tell the definitions apart."""
    truth, predicted = np.zeros((2, 14, 30, 36), bool)
    truth[6:8, 13:16, 16:20] = True
    predicted[3:11, 4:26, 4:32] = True
    return truth, predicted


def test_a_pair_that_tells_them_apart():
    """The numbers of MedPy 0.4.0 by its definition, of MedPy 0.5.2 and of MONAI 1.6.1."""
    truth, predicted = small_box_in_a_large_one()
    distances = surface_distances(truth, predicted, SPACING_MM)
    found = {
        name: (round(one.assd(distances), 3), round(one.hd95(distances), 3))
        for name, one in ELSEWHERE.items()
    }
    assert found == {
        "medpy-0.4": (8.097, 12.189),
        "medpy-0.5": (9.896, 12.189),
        "pooled-hd95": (9.896, 12.189),
        "monai": (9.896, 12.2),
        "metrics-reloaded": (9.896, 12.2),
    }
    assert (round(assd_mm(distances), 3), round(hd95_mm(distances), 3)) == found["monai"]


def test_by_hand():
    distances = SurfaceDistances(
        truth_to_predicted_mm=np.array([0.0, 0.0, 0.0]), predicted_to_truth_mm=np.array([8.0])
    )
    assert elsewhere("medpy-0.4").assd(distances) == 4.0
    assert elsewhere("medpy-0.5").assd(distances) == 2.0
    assert elsewhere("medpy-0.4").hd95(distances) == pytest.approx(6.8)


masks = arrays(bool, (3, 4, 3)).filter(np.any)


@settings(max_examples=100, deadline=None)
@given(truth=masks, predicted=masks)
def test_equal_to_the_medpy_that_is_installed(truth, predicted):
    """It is 0.5.2; the mean of 0.4.0 is made of its directed means."""
    distances = surface_distances(truth, predicted, SPACING_MM)
    both = predicted, truth
    now = elsewhere("medpy-0.5")
    assert now.assd(distances) == pytest.approx(binary.assd(*both, SPACING_MM), abs=1e-9)
    assert now.hd95(distances) == pytest.approx(binary.hd95(*both, SPACING_MM), abs=1e-9)
    directed = [binary.asd(*pair, SPACING_MM) for pair in (both, both[::-1])]
    assert elsewhere("medpy-0.4").assd(distances) == pytest.approx(np.mean(directed), abs=1e-9)


def test_names_and_words():
    with pytest.raises(BadInput, match=r"--as 'medpy': did you mean .*\? there is medpy"):
        elsewhere("medpy")
    assert OURS.keys() <= METRIC_UNITS.keys()
    text = described(["assd", "hd95", "nsd"])
    for part in ("pooled (as MedPy 0.5.2", "larger of the two directed", "tolerance", "missed"):
        assert part in text
