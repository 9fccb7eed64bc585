"""Every pair of masks of 2 x 2 x 2 voxels against an oracle in pure Python."""

import itertools
import math

import numpy as np
import pytest

from benchmark.scoring.cases import score_case

SPACING_MM = (2.0, 3.0, 4.0)  # so that a distance may be exactly the kidney's 3 mm, or beside it
VOXELS = list(itertools.product((0, 1), repeat=3))
CENTRES_MM = [[step * s for step, s in zip(v, SPACING_MM, strict=True)] for v in VOXELS]
DISTANCE_MM = [[math.dist(a, b) for b in CENTRES_MM] for a in CENTRES_MM]
MEMBERS = [[v for v in range(8) if code >> v & 1] for code in range(256)]
ARRAYS = [
    np.array([code >> v & 1 for v in range(8)], dtype=np.uint8).reshape(2, 2, 2)
    for code in range(256)
]
NAMES = ["dsc", "dsc_slicewise", "assd", "assd_penalised", "hd95", "nsd", "false_alarm_ml"]
NAN = math.nan
# Each pair once, in alternating roles; `test_symmetric_in_the_two_masks` covers the swap. The
# empty mask, where the roles differ, comes in both.
PAIRS = [(a, b) if (a + b) % 2 else (b, a) for a in range(256) for b in range(a, 256)]
PAIRS += [(b, a) for a, b in PAIRS if a == 0 or b == 0]


def mirrored(code: int, axes: int) -> int:
    """The mask, mirrored at these axes (a bit each): a voxel's number has a bit an axis too."""
    return sum(1 << (v ^ axes) for v in MEMBERS[code])


def unmirrored(pair: tuple[int, int]) -> bool:
    """Whether a pair stands for all of its mirror images; each set of them has one such pair."""
    images = [sorted(mirrored(code, axes) for code in pair) for axes in range(8)]
    return sorted(pair) == min(images)


# `test_axes_and_directions_do_not_matter` covers the others, `make long` takes them too
UNMIRRORED = [pair for pair in PAIRS if unmirrored(pair)]


def nearest(members: list[int], others: list[int]) -> list[float]:
    return [min(DISTANCE_MM[i][j] for j in others) for i in members]


def percentile_95(values: list[float]) -> float:
    ordered = sorted(values)
    place = 0.95 * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def dice(truth: list[int], predicted: list[int]) -> float:
    return 200 * len(set(truth) & set(predicted)) / (len(truth) + len(predicted))


def slicewise(truth: list[int], predicted: list[int]) -> float:
    slices = [[[v for v in mask if v // 4 == z] for mask in (truth, predicted)] for z in (0, 1)]
    found = [dice(a, b) for a, b in slices if a or b]
    return sum(found) / len(found)


def oracle(truth: list[int], predicted: list[int]) -> tuple[str, list[float]]:
    """In two voxels a side every voxel lies at the edge, so every voxel is border."""
    if not truth and not predicted:
        return "both_empty", [NAN, NAN, NAN, NAN, NAN, NAN, 0]
    if not truth:
        return "false_alarm", [NAN, NAN, NAN, NAN, NAN, NAN, len(predicted) * 24 / 1000]
    if not predicted:
        return "missed", [0, 0, NAN, math.sqrt(4**2 + 6**2 + 8**2), NAN, 0, 0]
    there, back = nearest(truth, predicted), nearest(predicted, truth)
    both = there + back
    assd = sum(both) / len(both)
    hd95 = max(percentile_95(there), percentile_95(back))
    nsd = 100 * sum(d <= 3.0 for d in both) / len(both)
    return "overlap", [
        dice(truth, predicted), slicewise(truth, predicted), assd, assd, hd95, nsd, 0
    ]  # fmt: skip


def test_every_pair_is_there():
    assert {frozenset(pair) for pair in PAIRS} == {
        frozenset((a, b)) for a in range(256) for b in range(256)
    }
    images = {(mirrored(a, m), mirrored(b, m)) for a, b in UNMIRRORED for m in range(8)}
    assert {frozenset(pair) for pair in images} == {frozenset(pair) for pair in PAIRS}
    assert len(UNMIRRORED) < len(PAIRS) / 7


@pytest.mark.slow
@pytest.mark.parametrize(
    "pairs", [UNMIRRORED, pytest.param(PAIRS, marks=pytest.mark.long)], ids=["unmirrored", "all"]
)
def test_every_metric_of_every_pair(pairs):
    found, expected = [], []
    for a, b in pairs:
        scores = score_case(
            ARRAYS[a],
            ARRAYS[b],
            spacing_mm=SPACING_MM,
            organs=["left_kidney"],
            annotated=["left_kidney"],
        )
        state, values = oracle(MEMBERS[a], MEMBERS[b])
        assert [score.metric for score in scores] == NAMES
        assert {score.state for score in scores} == {state}
        assert {score.n_voxels_true for score in scores} == {len(MEMBERS[a])}
        found.append([score.value for score in scores])
        expected.append(values)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
