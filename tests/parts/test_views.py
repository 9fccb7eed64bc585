"""Noise on a teacher's input, and organs that are hidden from it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from benchmark.parts.batch import Batch, mask_input
from benchmark.parts.views import BLOCK, DropOrgans, MaskNoise

MakeBatch = Callable[..., Batch]


def seeded(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def batch(make_batch: MakeBatch) -> Batch:
    label = np.zeros((6, 64, 64))
    label[:, 8:40, 8:56], label[:, 44:60, 20:44] = 1, 2
    return make_batch(label, [[1, 1, 1]] * 5 + [[1, 0, 1]])


def lost(batch: Batch, noise: MaskNoise, seed: int = 0) -> Tensor:
    """Which foreground pixels the teacher no longer sees (B, H, W)."""
    clean = mask_input(batch.label_BHW, batch.annotated_BK)
    noisy = noise(batch, seeded(seed)).masks_B2KHW
    assert noisy.shape == clean.shape and torch.equal(noisy[:, 3:], clean[:, 3:])
    assert (noisy <= clean).all()  # foreground becomes background and nothing else
    return (clean - noisy)[:, :3].sum(1) > 0


@pytest.mark.parametrize("p", [0.0, 0.2, 1.0])
def test_pixel_noise_takes_a_share_of_the_foreground(batch: Batch, p: float) -> None:
    foreground = mask_input(batch.label_BHW, batch.annotated_BK)[:, :3].sum(1) > 0
    share = lost(batch, MaskNoise(p=p))[foreground].float().mean().item()
    assert share == pytest.approx(p, abs=0.0 if p in (0, 1) else 0.015)


@pytest.mark.parametrize("corruption", ["pixel", "block", "erode"])
def test_the_target_stays_clean_and_draws_are_seeded(batch: Batch, corruption: str) -> None:
    noise = MaskNoise(p=0.5, corruption=corruption)
    label = batch.label_BHW.clone()
    seen = noise(batch, seeded(1))
    assert torch.equal(seen.label_BHW, label) and torch.equal(batch.label_BHW, label)
    assert seen.image_B1HW is batch.image_B1HW
    assert "masks" not in batch.entries and seen.read("masks") is seen.masks_B2KHW
    state = torch.get_rng_state()
    assert torch.equal(lost(batch, noise, 1), lost(batch, noise, 1))
    assert not torch.equal(lost(batch, noise, 1), lost(batch, noise, 2))
    assert torch.equal(state, torch.get_rng_state())


def test_block_noise_takes_whole_blocks(batch: Batch) -> None:
    hit = lost(batch, MaskNoise(p=0.3, corruption="block"))
    inside = hit[:5, 8:40, 8:56]  # 8x12 blocks of organ 1 in each sample
    blocks = inside.unfold(1, BLOCK, BLOCK).unfold(2, BLOCK, BLOCK).flatten(3).float().mean(3)
    assert set(blocks.unique().tolist()) == {0.0, 1.0}
    assert blocks.mean().item() == pytest.approx(0.3, abs=0.07)


def test_block_noise_on_a_grid_that_no_block_divides(make_batch: MakeBatch) -> None:
    odd = make_batch(np.ones((2, 13, 7)), [[1, 1, 1]] * 2)
    assert lost(odd, MaskNoise(p=1.0, corruption="block")).all()


def test_erosion_takes_the_border_of_some_samples(batch: Batch) -> None:
    hit = lost(batch, MaskNoise(p=0.5, corruption="erode"), 1)
    touched = hit.flatten(1).any(1)
    assert 0 < touched[:5].sum() < 5
    expected = torch.zeros(64, 64, dtype=torch.bool)
    for top, bottom, left, right in ((8, 40, 8, 56), (44, 60, 20, 44)):
        expected[top:bottom, left:right] = True
        expected[top + 1 : bottom - 1, left + 1 : right - 1] = False
    for sample in hit[:5][touched[:5]]:
        assert torch.equal(sample, expected)
    full = batch.with_entry("x", batch.label_BHW)
    assert lost(full, MaskNoise(p=1.0, corruption="erode"))[:5].any((1, 2)).all()


def test_the_edge_of_the_image_is_no_border(make_batch: MakeBatch) -> None:
    full = make_batch(np.ones((2, 8, 8)), [[1, 1, 1]] * 2)
    assert not lost(full, MaskNoise(p=1.0, corruption="erode")).any()


def test_a_teachers_input_tells_absent_from_unknown(make_batch: MakeBatch) -> None:
    batch = make_batch([[[0, 1], [2, 3]]], [[1, 0, 1]])
    masks = batch.masks_B2KHW
    assert masks[0].tolist() == [
        [[0, 1], [0, 0]],
        [[0, 0], [0, 0]],  # not annotated: its pixels are unknown
        [[0, 0], [0, 1]],
        [[1, 1], [1, 1]],
        [[0, 0], [0, 0]],
        [[1, 1], [1, 1]],
    ]


def test_dropping_hides_mask_and_plane_and_term_together(batch: Batch) -> None:
    seen = DropOrgans(p=0.5)(batch, seeded(0))
    assert torch.equal(seen.label_BHW, batch.label_BHW)
    assert not (seen.annotated_BK & ~batch.annotated_BK).any()
    gone = batch.annotated_BK & ~seen.annotated_BK
    assert gone.any()
    masks = MaskNoise(p=0.2)(seen, seeded(1)).masks_B2KHW
    for b, organ in gone.nonzero():
        assert not masks[b, organ].any() and not masks[b, 3 + organ].any()
    assert torch.equal(masks[:, 3:, 0, 0].bool(), seen.annotated_BK)


def test_dropping_keeps_an_organ_and_has_its_rate(make_batch: MakeBatch) -> None:
    many = make_batch(np.zeros((4000, 1, 1)), [[1, 1, 1]] * 3999 + [[0, 0, 0]])
    for p in (0.1, 0.6, 1.0):
        kept = DropOrgans(p=p)(many, seeded(0)).annotated_BK
        assert kept[:-1].any(1).all() and not kept[-1].any()
        if p < 1:
            expected = p - p**3  # all three gone: all three kept
            assert 1 - kept[:-1].float().mean().item() == pytest.approx(expected, abs=0.015)
    assert torch.equal(DropOrgans(p=0.0)(many, seeded(0)).annotated_BK, many.annotated_BK)
    assert torch.equal(
        DropOrgans(p=0.5)(many, seeded(4)).annotated_BK,
        DropOrgans(p=0.5)(many, seeded(4)).annotated_BK,
    )
