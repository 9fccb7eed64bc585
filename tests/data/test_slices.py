"""The draw: every slice once an epoch, the same for the same seed, never a test case."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.data.feeding.draw import SliceDraw
from benchmark.data.feeding.folds import FoldData, GridCache, folds_of
from benchmark.data.feeding.order import epoch_length, near_and_far
from benchmark.data.feeding.slices import CaseSlices, on_training_grid, scaled
from benchmark.data.library import DataSet
from benchmark.data.volume import Geometry, Volume
from benchmark.parts.batch import Batch
from benchmark.plan.ground import Augmentation, Ground

STILL = Augmentation(rotation_degrees=0, scale=0, shift=0, hu_shift=0, hu_noise=0)
ORGANS = ("a", "b")


def volume(
    first_hu: int, slices: int, organs_in: dict[int, tuple[int, int]], hw: tuple[int, int] = (8, 6)
) -> Volume:
    """Every slice has a HU of its own; organ k fills a corner of slices lo..hi."""
    image = np.empty((slices, *hw), dtype=np.int16)
    image[:] = first_hu + np.arange(slices)[:, None, None]
    label = np.zeros(image.shape, dtype=np.uint8)
    for organ, (low, high) in organs_in.items():
        label[low : high + 1, :3, 3 * (organ - 1) : 3 * organ] = organ
    geometry = Geometry(spacing_mm=(1, 1, 1), affine=(), shape=(1, 1, 1), orientation="LPS")
    return Volume(
        case=f"case{first_hu}", image=image, label=label, annotated=ORGANS, geometry=geometry
    )


def slices_of(*volumes: Volume, size: int | None = None) -> list[CaseSlices]:
    return [on_training_grid(v, ORGANS, size, sha256=f"{n}") for n, v in enumerate(volumes)]


def draw_of(cases: list[CaseSlices], ground: Ground, **changes: Any) -> SliceDraw:
    values = {"seed": 0, "stream": "ct", "stride": 1, "device": torch.device("cpu"), **changes}
    return SliceDraw(cases, ground, **values)


def shown(batch: Batch, ground: Ground) -> list[int]:
    """Which slices a still batch holds, by their HU."""
    hu = batch.image_B1HW[:, 0, 0, 0] * (ground.hu_high - ground.hu_low) + ground.hu_low
    return [round(value) for value in hu.tolist()]


def still(**changes: Any) -> Ground:
    return Ground(augmentation=STILL, hu_low=-1000, hu_high=1000, **changes)


def epochs_of(draw: SliceDraw, ground: Ground, per_epoch: int, epochs: int) -> list[list[int]]:
    steps = -(-per_epoch * epochs // ground.batch)
    flat = [hu for step in range(steps) for hu in shown(draw(step), ground)]
    return [flat[n * per_epoch : (n + 1) * per_epoch] for n in range(epochs)]


@pytest.mark.parametrize("batch", [1, 3, 4, 50])
def test_an_epoch_is_every_near_slice_and_some_others_once(batch: int) -> None:
    ground = still(batch=batch, margin=0.1, others=0.25)
    cases = slices_of(volume(0, 30, {1: (10, 19)}), volume(100, 20, {1: (5, 8), 2: (7, 9)}))
    near = {*range(9, 21), *range(105, 110)}  # +- 10 % of 10 slices, of 5 slices: none
    far = {*range(30), *range(100, 120)} - near
    per_epoch = 17 + 4
    draw = draw_of(cases, ground)
    assert draw.steps_in_one_pass == per_epoch / batch
    epochs = epochs_of(draw, ground, per_epoch, 4)
    for epoch in epochs:
        assert max(Counter(epoch).values()) == 1
        assert near <= set(epoch) and len(set(epoch) & far) == 4
    assert len({tuple(epoch) for epoch in epochs}) == 4  # another order, and
    assert len({frozenset(set(epoch) & far) for epoch in epochs}) > 1  # other others
    labels = [volume(0, 30, {1: (10, 19)}).label, volume(1, 20, {1: (5, 8), 2: (7, 9)}).label]
    assert epoch_length([near_and_far(label, ground) for label in labels], ground) == per_epoch


def test_the_order_is_a_function_of_the_step_alone() -> None:
    cases = slices_of(volume(0, 12, {1: (2, 9)}), volume(100, 9, {2: (0, 8)}))
    ground = Ground(batch=4)
    forwards = [draw_of(cases, ground)(step) for step in range(12)]
    other = draw_of(cases, ground)
    for step in (11, 0, 7, 3, 3):
        assert torch.equal(other(step).image_B1HW, forwards[step].image_B1HW)
        assert torch.equal(other(step).label_BHW, forwards[step].label_BHW)
    for change in ({"seed": 1}, {"stream": "gt"}):
        changed = draw_of(cases, ground, **change)
        assert not torch.equal(changed(0).image_B1HW, forwards[0].image_B1HW)


def test_every_step_is_augmented_anew() -> None:
    """One slice, again and again: never the same batch twice, and always the same sequence."""
    (case,) = slices_of(volume(0, 1, {1: (0, 0)}))
    ground = Ground(batch=1)
    seen = [draw_of([case], ground)(step).image_B1HW for step in range(5)]
    for place, image in enumerate(seen):
        assert not any(torch.equal(image, other) for other in seen[:place])
        assert torch.equal(image, draw_of([case], ground)(place).image_B1HW)
    for change in ({"seed": 1}, {"stream": "gt"}):
        assert not torch.equal(draw_of([case], ground, **change)(0).image_B1HW, seen[0])


def test_the_order_follows_content_and_not_names() -> None:
    cases = slices_of(*(volume(100 * n, 6, {1: (1, 4)}) for n in range(4)))
    ground = Ground(batch=3)
    renamed = [replace(case, name=f"z{9 - n}") for n, case in enumerate(cases)][::-1]
    one, other = draw_of(cases, ground), draw_of(renamed, ground)
    assert one.case_names == ("case0", "case100", "case200", "case300")
    assert other.case_names == ("z9", "z8", "z7", "z6")
    for step in range(8):
        first, second = one(step), other(step)
        assert torch.equal(first.image_B1HW, second.image_B1HW)
        assert torch.equal(first.case_B, second.case_B)
    swapped = [replace(case, sha256=f"{9 - n}") for n, case in enumerate(cases)]
    assert not torch.equal(draw_of(swapped, ground)(0).image_B1HW, one(0).image_B1HW)


def test_a_batch_says_whose_slices_it_holds() -> None:
    ground = still(batch=5)
    known = replace(volume(100, 10, {1: (2, 7)}), annotated=("a",))
    cases = slices_of(volume(0, 6, {2: (1, 5)}), known)
    draw = draw_of(cases, ground)
    for step in range(6):
        batch = draw(step)
        for place, hu in enumerate(shown(batch, ground)):
            case, z = divmod(hu, 100)
            assert batch.case_B[place] == case
            assert batch.annotated_BK[place].tolist() == [True, case == 0]
            low, high = ((1, 5), (2, 7))[case]
            assert batch.position_B[place].item() == pytest.approx((z - low) / (high - low))
            assert torch.equal(batch.label_BHW[place], cases[case].label_ZHW[z].long())


def test_most_batches_hold_every_organ() -> None:
    """An organ in a seventh of the slices: by chance a batch of 8 misses it in 30 % of cases."""
    ground = Ground(batch=8, augmentation=STILL)
    cases = slices_of(*(volume(10 * n, 28, {1: (0, 27), 2: (9, 12)}) for n in range(8)))
    draw = draw_of(cases, ground)
    held = [set(draw(step).label_BHW.unique().tolist()) >= {1, 2} for step in range(140)]
    assert sum(held) >= 0.95 * len(held)


def test_padding_is_not_valid_and_holds_nothing() -> None:
    cases = slices_of(volume(100, 4, {1: (0, 3)}, (9, 6)), volume(200, 4, {1: (0, 3)}, (5, 10)))
    for augmentation in (STILL, Augmentation()):
        ground = replace(still(batch=8), augmentation=augmentation)
        batch = draw_of(cases, ground, stride=4)(0)
        assert batch.image_B1HW.shape == (8, 1, 12, 12) and batch.image_B1HW.dtype == torch.float32
        assert not batch.image_B1HW[:, 0][~batch.valid_BHW].any()
        assert not batch.label_BHW[~batch.valid_BHW].any()
        assert batch.image_B1HW[:, 0][batch.valid_BHW].min() > 0
        if augmentation is STILL:
            for place, case in enumerate(batch.case_B.tolist()):
                height, width = ((9, 6), (5, 10))[case]
                expected = torch.zeros(12, 12, dtype=torch.bool)
                expected[:height, :width] = True
                assert torch.equal(batch.valid_BHW[place], expected)


def test_nothing_of_the_padding_is_blended_into_valid_pixels() -> None:
    """A slice of constant HU stays constant wherever it is valid, however it is moved."""
    ground = replace(still(batch=8), augmentation=replace(STILL, rotation_degrees=10, shift=0.1))
    cases = slices_of(volume(500, 1, {1: (0, 0)}, (9, 6)), volume(500, 8, {1: (0, 7)}, (12, 12)))
    cases = [replace(case, hu_ZHW=torch.full_like(case.hu_ZHW, 500)) for case in cases]
    draw = draw_of(cases, ground, stride=4)
    for step in range(4):
        batch = draw(step)
        assert (~batch.valid_BHW).any()
        valid = batch.image_B1HW[:, 0][batch.valid_BHW]
        torch.testing.assert_close(valid, torch.full_like(valid, 0.75))


def test_the_window_is_clipped_and_scaled() -> None:
    hu = torch.tensor([-1000, -200, 50, 300, 3000], dtype=torch.int16)
    assert scaled(hu, Ground()).tolist() == [0, 0, 0.5, 1, 1]


def test_an_epoch_does_not_depend_on_the_grid() -> None:
    """An organ of one pixel vanishes on a coarse grid; its slices stay in the epoch."""
    thin = volume(0, 20, {1: (8, 11)}, (64, 64))
    thin.label[8:12, 20:40, 20:40] = 1
    thin.label[4:16, 0, 0] = 2
    fine, coarse = slices_of(thin), slices_of(thin, size=16)
    assert coarse[0].label_ZHW.max() == 1 and coarse[0].hu_ZHW.shape == (20, 16, 16)
    ground = Ground(batch=4)
    expected = epoch_length([near_and_far(thin.label, ground)], ground) / 4
    assert draw_of(fine, ground).steps_in_one_pass == expected
    assert draw_of(coarse, ground).steps_in_one_pass == expected


def test_resampling_keeps_place_and_area() -> None:
    label = np.zeros((2, 64, 48), dtype=np.uint8)
    label[:, 8:40, 12:36] = 1
    image = np.where(label == 1, 100, -100).astype(np.int16)
    big = replace(volume(0, 2, {}), image=image, label=label)
    (case,) = slices_of(big, size=32)
    assert case.hu_ZHW.shape == (2, 32, 24) and case.hu_ZHW.dtype == torch.int16
    expected = torch.zeros(2, 32, 24, dtype=torch.uint8)
    expected[:, 4:20, 6:18] = 1
    assert torch.equal(case.label_ZHW, expected)
    assert case.hu_ZHW[0, 10, 10] == 100 and case.hu_ZHW[0, 0, 0] == -100
    (native,) = slices_of(big)
    assert np.array_equal(native.hu_ZHW.numpy(), image) and native.label_ZHW.max() == 1


def test_a_case_without_any_organ_is_taken_whole() -> None:
    ground = still(batch=2)
    draw = draw_of(slices_of(volume(0, 5, {})), ground)
    assert draw.steps_in_one_pass == 2.5
    assert sorted(epochs_of(draw, ground, 5, 1)[0]) == [0, 1, 2, 3, 4]


def test_a_folds_draw_never_holds_a_test_case(tiny_dataset: DataSet, tmp_path: Path) -> None:
    folds = folds_of(tiny_dataset).folds
    ground = Ground(batch=4, augmentation=STILL)
    cache = GridCache(dataset=tiny_dataset, ground=ground)
    for fold in folds:
        for part in (fold, fold.inner()):
            data = FoldData(fold=part, dataset=tiny_dataset, ground=ground, cache=cache)
            draw = draw_of(data.training(), ground)
            assert set(draw.case_names) == set(part.train)
            assert not set(draw.case_names) & {*fold.test, *part.test}
            tested = [scaled(cache.case(name).hu_ZHW, ground) for name in part.test]
            seen = torch.cat([draw(step).image_B1HW[:, 0] for step in range(10)])
            for slice_HW in torch.cat(tested):
                assert not (seen - slice_HW).abs().flatten(1).amax(1).lt(1e-3).any()
