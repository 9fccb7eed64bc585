"""Augmentation: image and label move together, within the bounds, and are never mirrored."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from benchmark.data.feeding.draw import augment
from benchmark.plan.ground import Augmentation

NONE = Augmentation(rotation_degrees=0, scale=0, shift=0, hu_shift=0, hu_noise=0)
HEIGHT, WIDTH = 96, 64
CENTRES = ((30.0, 20.0), (30.0, 44.0), (66.0, 28.0))  # y, x of three discs
LANDMARKS = 3


def discs(samples: int) -> tuple[Tensor, Tensor, Tensor]:
    """Three discs, organ k at 100 k HU; everything valid."""
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    label = torch.zeros(HEIGHT, WIDTH, dtype=torch.uint8)
    for organ, (cy, cx) in enumerate(CENTRES, start=1):
        label[(y - cy) ** 2 + (x - cx) ** 2 <= 49] = organ
    batch = label.expand(samples, -1, -1).clone()
    return 100.0 * batch, batch, torch.ones_like(batch).bool()


def centres(label_HW: Tensor) -> Tensor:
    """Centres of the three organs, (3, 2) in y, x."""
    found = [(label_HW == k + 1).nonzero().double().mean(0) for k in range(LANDMARKS)]
    return torch.stack(found)


def fitted(label_HW: Tensor) -> tuple[Tensor, Tensor]:
    """The affine map (matrix, centre's shift) that took the discs to where they are now."""
    middle = torch.tensor([(HEIGHT - 1) / 2, (WIDTH - 1) / 2]).double()
    before = torch.cat([torch.tensor(CENTRES).double() - middle, torch.ones(3, 1).double()], 1)
    solved = torch.linalg.solve(before, centres(label_HW) - middle)
    return solved[:2].T, solved[2]


@pytest.mark.parametrize("seed", range(5))
def test_image_and_label_move_together(seed: int) -> None:
    hu, label, valid = discs(8)
    how = replace(Augmentation(), hu_shift=0, hu_noise=0)
    moved_hu, moved_label, moved_valid = augment(hu, label, valid, how, seed)
    assert moved_label.dtype == torch.uint8 and moved_valid.dtype == torch.bool
    differs = (moved_hu - 100.0 * moved_label).abs()
    inside = torch.nn.functional.max_pool2d(moved_label.float(), 5, 1, 2) == (
        -torch.nn.functional.max_pool2d(-moved_label.float(), 5, 1, 2)
    )
    assert differs[inside & moved_valid].max() < 1e-3  # all but the discs' rims
    assert not torch.equal(moved_label, label)


def test_the_map_is_a_rotation_a_scale_and_a_shift_within_bounds() -> None:
    hu, label, valid = discs(64)
    how = replace(Augmentation(), hu_shift=0, hu_noise=0)
    angles, scales, shifts = [], [], []
    for seed in range(3):
        for moved in augment(hu, label, valid, how, seed)[1]:
            matrix, shift = fitted(moved)
            scale = torch.linalg.det(matrix).sqrt()
            assert torch.linalg.det(matrix) > 0  # never mirrored
            rotation = matrix / scale
            torch.testing.assert_close(
                rotation @ rotation.T, torch.eye(2).double(), atol=0.06, rtol=0
            )  # no shear on a grid that is not square
            angles.append(math.degrees(math.atan2(rotation[1, 0], rotation[0, 0])))
            scales.append(scale.item())
            shifts.append((shift / torch.tensor([HEIGHT, WIDTH])).tolist())
    assert -11 < min(angles) < -7 and 7 < max(angles) < 11
    assert 0.88 < min(scales) < 0.94 and 1.06 < max(scales) < 1.12
    flat = [value for pair in shifts for value in pair]
    assert -0.06 < min(flat) < -0.04 and 0.04 < max(flat) < 0.06


def test_left_stays_left_at_every_setting() -> None:
    hu, label, valid = discs(32)
    wild = Augmentation(rotation_degrees=30, scale=0.3, shift=0.02)
    for moved in augment(hu, label, valid, wild, 7)[1]:
        one, two, three = centres(moved)
        turn = (two - one)[0] * (three - one)[1] - (two - one)[1] * (three - one)[0]
        assert turn < 0 and one[1] < two[1]


def test_pixels_from_outside_are_not_valid() -> None:
    hu, label, valid = discs(16)
    how = replace(NONE, rotation_degrees=10, shift=0.05)
    _, moved_label, moved_valid = augment(hu, torch.ones_like(label), valid, how, 3)
    assert (~moved_valid).flatten(1).any(1).all()
    assert torch.equal(moved_label > 0, moved_valid)
    assert moved_valid[:, HEIGHT // 3 : -HEIGHT // 3, WIDTH // 3 : -WIDTH // 3].all()
    padded = valid.clone()
    padded[:, :, WIDTH // 2 :] = False
    assert not augment(hu, label, padded, NONE, 3)[2][:, :, WIDTH // 2 :].any()


def test_seeds_reproduce_and_samples_differ() -> None:
    hu, label, valid = discs(4)
    state = torch.get_rng_state()
    one, same, other = (augment(hu, label, valid, Augmentation(), seed) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not torch.equal(one[0], other[0]) and not torch.equal(one[1], other[1])
    assert not torch.equal(one[1][0], one[1][1])  # each sample has its own map
    assert torch.equal(state, torch.get_rng_state())


def test_nothing_asked_is_nothing_done() -> None:
    hu, label, valid = discs(2)
    same_hu, same_label, same_valid = augment(hu, label, valid, NONE, 5)
    torch.testing.assert_close(same_hu, hu, atol=0.02, rtol=0)
    assert torch.equal(same_label, label) and torch.equal(same_valid, valid)


def test_hu_shift_and_noise_stay_within_bounds() -> None:
    hu, label, valid = torch.zeros(200, 16, 16), *discs(200)[1:]
    small, known = label[:, :16, :16], valid[:, :16, :16]
    shifted = augment(hu, small, known, replace(NONE, hu_shift=10), 0)[0]
    per_sample = shifted.flatten(1)
    assert (per_sample.std(1) < 1e-4).all()
    assert -10 <= per_sample.mean(1).min() < -8 and 8 < per_sample.mean(1).max() <= 10
    noisy = augment(hu, small, known, replace(NONE, hu_noise=10), 0)[0].flatten(1)
    spread = noisy.std(1)
    assert spread.min() < 1 and 8 < spread.max() < 12 and noisy.mean().abs() < 0.3
