"""What predictions score that never look at the CT: the mean shape and the constant one."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from bench_process import flip

from benchmark.data import references as module
from benchmark.data.feeding.fills import mean_masks
from benchmark.data.feeding.folds import folds_of, open_slices
from benchmark.data.feeding.slices import CaseSlices, on_training_grid
from benchmark.data.library import DataSet, add
from benchmark.data.references import BINS, MeanMap, fold_references, mean_maps, not_kept
from benchmark.data.volume import Label, Volume
from benchmark.errors import BadInput
from benchmark.plan.folds import Fold
from benchmark.scoring.overlap import dice_percent
from benchmark.testing import ORGANS, TinySource, tiny_volume


class Source(TinySource):
    """The tiny set with other volumes."""

    def __init__(self, *volumes: Volume) -> None:
        super().__init__(patients=len(volumes))
        object.__setattr__(self, "_volumes", volumes)

    def volumes(self) -> Iterator[Volume]:
        yield from self._volumes  # type: ignore[attr-defined]


@pytest.fixture
def tiny(tmp_path: Path) -> DataSet:
    return add(tmp_path, "tiny", TinySource())


def fold_of(dataset: DataSet) -> Fold:
    return folds_of(dataset).folds[0]


def slices(volume: Volume, size: int | None = None) -> CaseSlices:
    return on_training_grid(volume, ORGANS, size)


def moved(volume: Volume, by: int) -> Volume:
    """The patient's organs other slices up in the same scan; with room for that."""
    label = np.concatenate([volume.label, np.zeros_like(volume.label)])
    image = np.concatenate([volume.image, volume.image])
    return replace(volume, label=np.roll(label, by, axis=0), image=image)


def test_the_mean_shape_is_what_the_row_fsm_mean_shape_sees() -> None:
    cases = [slices(tiny_volume(n), 16) for n in range(4)]
    shape, _ = mean_maps(cases, 3, (16, 13))
    label_NHW = torch.cat([case.label_ZHW for case in cases])
    seen = mean_masks(cases, label_NHW, BINS).float() / 255
    got = torch.stack([shape.mean(place, (16, 13)) for place in range(BINS)])
    assert seen.amax() == 1 and torch.allclose(got, seen, atol=0.5 / 255 + 1e-6)


def test_an_organ_counts_in_the_patients_in_whom_it_is_annotated() -> None:
    whole = slices(tiny_volume(0))
    partly = replace(whole, annotated_K=torch.tensor([True, False, False]))
    shape, _ = mean_maps([whole, partly], 3, (24, 20))
    held = shape.mean(BINS // 2, (24, 20)).amax(dim=(1, 2))
    assert held.tolist() == [1, 1, 1]
    none, _ = mean_maps([partly], 3, (24, 20))
    assert none.mean(BINS // 2, (24, 20)).amax(dim=(1, 2)).tolist() == [1, 0, 0]


def test_the_constant_predictor_sees_nothing_of_the_patient_and_the_mean_shape_its_height() -> None:
    training = [slices(moved(tiny_volume(n), 1)) for n in range(4)]
    shape, constant = mean_maps(training, 3, (24, 20))

    def predicted(which: MeanMap, by: int, patient: int) -> Label:
        case = slices(moved(tiny_volume(patient), by))
        return which.predict(case if which is shape else module._by_scan(case), (24, 20))

    first = predicted(constant, 1, 4)
    assert {1, 2, 3} <= set(np.unique(first))
    for by, patient in ((1, 5), (3, 4), (4, 5)):
        assert np.array_equal(predicted(constant, by, patient), first)
    assert np.array_equal(predicted(shape, 1, 4), predicted(shape, 1, 5))
    assert np.array_equal(predicted(shape, 3, 4), np.roll(predicted(shape, 1, 4), 2, axis=0))


def test_where_all_patients_are_one_both_are_100(tmp_path: Path) -> None:
    one = tiny_volume(0)
    noise = [replace(tiny_volume(n), label=one.label) for n in range(5)]  # other CT, equal masks
    dataset = add(tmp_path, "same", Source(*noise))
    found = fold_references(dataset, fold_of(dataset), fold_of(dataset).test, None)
    for of in found.values():
        assert {(x.mean_shape, x.constant) for x in of.values()} == {(100.0, 100.0)}


def test_they_are_scored_on_the_native_grid_of_each_test_patient(tiny: DataSet) -> None:
    fold = fold_of(tiny)
    found = fold_references(tiny, fold, fold.test, 16)
    assert set(found) == set(fold.test) and len(fold.test) == 2
    training = [open_slices(tiny, name, 16) for name in fold.train]
    maps = mean_maps(training, 3, (16, 13))
    for name in fold.test:
        case, truth = open_slices(tiny, name, 16), tiny.label(name)
        cases = (case, replace(case, ends_Z=(0, 4)))
        for k, organ in enumerate(ORGANS, start=1):
            by_hand = [
                dice_percent(truth == k, which.predict(x, (24, 20)) == k)
                for which, x in zip(maps, cases, strict=True)
            ]
            got = found[name][organ]
            assert [got.mean_shape, got.constant] == by_hand
            assert 30 < got.mean_shape < 100


def test_a_truth_without_an_organ_has_none(tmp_path: Path) -> None:
    volumes = [tiny_volume(n) for n in range(6)]
    lost = [replace(v, label=np.where(v.label == 3, 0, v.label).astype(np.uint8)) for v in volumes]
    dataset = add(tmp_path, "lost", Source(*lost))
    fold = fold_of(dataset)
    for of in fold_references(dataset, fold, fold.test, 16).values():
        assert math.isnan(of["right_kidney"].constant) and of["liver"].constant > 0
    again = fold_references(dataset, fold, fold.test, 16)
    assert all(math.isnan(of["right_kidney"].mean_shape) for of in again.values())


def test_they_are_kept_by_the_folds_training_masks(
    tiny: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fold = fold_of(tiny)
    assert not_kept(tiny, fold, fold.test, 16) == 2
    first = fold_references(tiny, fold, fold.test, 16)
    assert not_kept(tiny, fold, fold.test, 16) == 0
    fewer = replace(fold, train=fold.train[1:])
    assert not_kept(tiny, fewer, fold.test, 16) == not_kept(tiny, fold, fold.test, None) == 2
    with monkeypatch.context() as patch:
        patch.setattr(module, "mean_maps", lambda *_: pytest.fail("they are kept"))
        assert fold_references(tiny, fold, fold.test, 16) == first
    for path in (tiny.folder / "ceilings").iterdir():
        path.write_text('{"ceilings": {"liver": [1]}, "checksum": ""}')
    assert not_kept(tiny, fold, fold.test, 16) == 2
    assert fold_references(tiny, fold, fold.test, 16) == first
    monkeypatch.setattr(module, "REFERENCES_VERSION", 2)
    assert not_kept(tiny, fold, fold.test, 16) == 2


def test_a_workspace_that_cannot_be_written_serves_as_well(tiny: DataSet) -> None:
    fold = fold_of(tiny)
    first = fold_references(tiny, fold, fold.test, 16)
    shutil.rmtree(tiny.folder / "ceilings")
    (tiny.folder / "ceilings").write_text("in the way")
    assert fold_references(tiny, fold, fold.test, 16) == first


def test_a_damaged_training_case_gives_none(tiny: DataSet) -> None:
    fold = fold_of(tiny)
    flip(tiny.folder / "cases" / fold.train[0] / "label.npy")
    with pytest.raises(BadInput, match="damaged"):
        fold_references(tiny, fold, fold.test, None)
