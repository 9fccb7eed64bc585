"""What metrics and data sets of one's own must hold, as pytest classes that anyone can subclass."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from benchmark.data.feeding.folds import folds_of
from benchmark.data.library import add
from benchmark.data.source import Source
from benchmark.data.volume import Volume
from benchmark.scoring.overlap import Mask, State
from benchmark.scoring.own import OwnMetric, measured, own_scores
from benchmark.settings.metrics import refusal

SPACING_MM = (2.5, 0.7, 0.8)
SHAPE = (6, 16, 14)
ORGANS = ("liver", "left_kidney", "an organ that nobody knows")


def once_each(metafunc: pytest.Metafunc, names: Iterable[str]) -> None:
    """Run a test that takes a `name` once for each of these."""
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", list(names))


def box(*ends: tuple[int, int]) -> Mask:
    """Return a mask of `SHAPE` that holds one box: (first, behind the last) of Z, Y and X."""
    mask = np.zeros(SHAPE, dtype=np.bool_)
    mask[tuple(slice(*end) for end in ends)] = True
    return mask


MASKS: dict[str, Mask] = {
    "a block": box((1, 5), (3, 11), (2, 9)),
    "the block moved": box((1, 5), (5, 13), (2, 9)),
    "the block moved far": box((1, 5), (8, 16), (6, 13)),
    "a smaller block": box((2, 4), (4, 10), (3, 8)),
    "one voxel": box((0, 1), (0, 1), (0, 1)),
    "one slice": box((3, 4), (3, 11), (2, 9)),
    "all of it": box((0, 6), (0, 16), (0, 14)),
    "two pieces": box((1, 3), (1, 5), (1, 5)) | box((4, 6), (10, 15), (8, 13)),
}
PAIRS = [(a, b) for a in MASKS for b in MASKS]


class MetricConformance:
    """Subclass it with `metrics`, a module's METRICS."""

    metrics: ClassVar[Mapping[str, OwnMetric]] = {}

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run every test once a metric."""
        once_each(metafunc, self.metrics)

    def value(self, name: str, truth: Mask, predicted: Mask, organ: str = ORGANS[0]) -> float:
        """Return what a metric says of two masks."""
        return measured(name, self.metrics[name], truth, predicted, SPACING_MM, organ)

    def test_it_can_be_installed(self, name: str) -> None:
        """Its name is free, and its function stands where an edit of it is seen."""
        assert not (why := refusal(name, self.metrics[name])), why

    def test_equal_masks_are_perfect(self, name: str) -> None:
        """It is `perfect` for two equal masks, whatever they look like."""
        for about, mask in MASKS.items():
            found, wanted = self.value(name, mask, mask), self.metrics[name].perfect
            assert math.isclose(found, wanted, abs_tol=1e-6), f"{about}: {found}, not {wanted}"

    def test_nothing_is_better_than_perfect(self, name: str) -> None:
        """It points where it says: no prediction beats an equal one, and some are worse."""
        metric = self.metrics[name]
        sign = 1 if metric.higher_is_better else -1
        lost = {
            (a, b): sign * (metric.perfect - self.value(name, MASKS[a], MASKS[b])) for a, b in PAIRS
        }
        better = [pair for pair, loss in lost.items() if loss < -1e-6]
        assert not better, f"truth and prediction {better[0]} are better than equal masks"
        assert max(lost.values()) > 0, "it is perfect for any two masks"

    def test_every_value_is_finite(self, name: str) -> None:
        """It gives one finite number for any two masks that hold a voxel, of any organ."""
        for number, (a, b) in enumerate(PAIRS):
            organ = ORGANS[number % len(ORGANS)]
            assert math.isfinite(self.value(name, MASKS[a], MASKS[b], organ)), (a, b, organ)

    def test_it_is_a_pure_function(self, name: str) -> None:
        """It gives the same again, draws from no global random state, and leaves its masks as they
        were."""
        before = np.random.get_state()[1].tolist()  # type: ignore[index]
        for a, b in PAIRS:
            truth, predicted = MASKS[a].copy(), MASKS[b].copy()
            first = self.metrics[name].measure(truth, predicted, SPACING_MM, ORGANS[0])
            same = np.array_equal(truth, MASKS[a]) and np.array_equal(predicted, MASKS[b])
            assert same, f"it changes a mask ({a}, {b})"
            again = self.value(name, truth, predicted)
            assert first == again, f"it gives another value the second time ({a}, {b})"
        after = np.random.get_state()[1].tolist()  # type: ignore[index]
        assert before == after, "it draws from NumPy's global random state"

    def test_it_is_symmetric_where_it_says_so(self, name: str) -> None:
        """Truth and prediction may change places in a metric that is `symmetric`."""
        if not self.metrics[name].symmetric:
            pytest.skip("it does not say that it is symmetric")
        for a, b in PAIRS:
            one, other = self.value(name, MASKS[a], MASKS[b]), self.value(name, MASKS[b], MASKS[a])
            assert math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-6), f"{a}, {b}: {one}, {other}"

    def test_empty_masks_go_by_the_rule(self, name: str) -> None:
        """What is stored of each state is what is declared."""
        metric, full, empty = self.metrics[name], MASKS["a block"], box((0, 0), (0, 0), (0, 0))
        diagonal_mm = math.hypot(*(n * mm for n, mm in zip(SHAPE, SPACING_MM, strict=True)))
        states: dict[State, tuple[Mask, Mask]] = {
            "missed": (full, empty),
            "false_alarm": (empty, full),
            "both_empty": (empty, empty),
        }
        for state, pair in states.items():
            truth, predicted = (mask.astype(np.uint8) for mask in pair)
            (score,) = own_scores(
                name, metric, truth, predicted,
                spacing_mm=SPACING_MM, organs=ORGANS[:1], annotated=ORGANS[:1],
            )  # fmt: skip
            rule = metric.rule(state)
            wanted = {"undefined": math.nan, "diagonal": diagonal_mm}.get(str(rule), rule)
            if rule == "function":
                wanted = self.value(name, *pair)
            assert score.state == state
            assert score.value == wanted or (wanted != wanted and math.isnan(score.value)), state


class SourceConformance:
    """Subclass it with `sources`: data sets by the names of their entry points. Each case is read,
    and the set is stored, so this takes as long as its `bench data add`."""

    sources: ClassVar[Mapping[str, Source]] = {}

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run every test once a data set."""
        once_each(metafunc, self.sources)

    def test_its_volumes_are_volumes(self, name: str) -> None:
        """HU as int16, labels as uint8 within the organs, cases that are named once."""
        source, names = self.sources[name], []
        for volume in source.volumes():
            assert isinstance(volume, Volume)
            assert volume.image.dtype == np.int16 and volume.label.dtype == np.uint8, volume.case
            assert volume.image.shape == volume.label.shape and volume.image.ndim == 3, volume.case
            assert int(volume.label.max()) <= len(source.organs), f"{volume.case}: unknown label"
            assert set(volume.annotated) <= set(source.organs), volume.case
            names.append(volume.case)
        assert names and len(set(names)) == len(names), "a case is named twice, or there is none"

    def test_it_is_the_same_each_time(self, name: str) -> None:
        """Its fingerprint and its volumes do not change from one reading to the next."""
        source = self.sources[name]
        assert source.fingerprint == source.fingerprint
        for one, other in zip(source.volumes(), source.volumes(), strict=True):
            assert one.case == other.case and one.annotated == other.annotated
            assert np.array_equal(one.image, other.image), f"{one.case}: its image changes"
            assert np.array_equal(one.label, other.label), f"{one.case}: its label changes"

    def test_it_can_be_stored_and_split(self, name: str, tmp_path: Path) -> None:
        """All checks of `bench data add` pass, and there are patients enough for the folds."""
        stored = add(tmp_path, "mine", self.sources[name])
        tested = [case for fold in folds_of(stored).folds for case in fold.test]
        assert sorted(tested) == sorted(case.name for case in stored.cases)
