"""`ground.labels=area`: each organ's share of a pixel's area, made, kept and drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from benchmark.data.feeding.draw import SliceDraw
from benchmark.data.feeding.folds import GridCache, open_slices, slices_key
from benchmark.data.feeding.slices import WHOLE, CaseSlices, on_training_grid
from benchmark.data.library import DataSet
from benchmark.data.volume import Geometry, Volume
from benchmark.errors import BadInput
from benchmark.parts.batch import Batch
from benchmark.plan.ground import Augmentation, Ground

ORGANS = ("a", "b")
STILL = Augmentation(rotation_degrees=0, scale=0, shift=0, hu_shift=0, hu_noise=0)
CPU = torch.device("cpu")


def case(label_YX: list[list[int]], size: int | None, *, areas: bool = True) -> CaseSlices:
    label = np.array([label_YX], dtype=np.uint8)
    geometry = Geometry(spacing_mm=(1, 1, 1), affine=(), shape=(1, 1, 1), orientation="LPS")
    image = np.zeros(label.shape, np.int16)
    whole = Volume(case="c", image=image, label=label, annotated=ORGANS, geometry=geometry)
    return on_training_grid(whole, ORGANS, size, "sha", areas=areas)


BLOCKS = [[0] * 8, [0] * 8, *[[0, 0, 1, 1, 1, 1, 2, 2]] * 6]  # edges of the coarse pixels


def test_shares_are_the_majoritys_where_pixels_are_whole() -> None:
    found = case(BLOCKS, 8)
    assert found.area_ZKHW is not None and found.area_ZKHW.dtype == torch.uint8
    hard = F.one_hot(found.label_ZHW.long(), 3)[..., 1:].permute(0, 3, 1, 2)
    assert torch.equal(found.area_ZKHW, (WHOLE * hard).to(torch.uint8))


def test_shares_of_a_cut_pixel_sum_to_one_and_the_majority_is_the_largest() -> None:
    rng = np.random.default_rng(0)
    found = case(rng.integers(0, 3, (24, 24)).tolist(), 8)
    assert found.area_ZKHW is not None
    organs = found.area_ZKHW[0].int()
    every = torch.cat([(WHOLE - organs.sum(dim=0))[None], organs])
    assert every.min() >= -1 and 0 < every[1].float().mean() / WHOLE < 0.5  # rounding
    best = every.amax(dim=0)
    chosen = every.gather(0, found.label_ZHW.long())[0]
    assert (best - chosen).max() <= 1 and (every != 0).sum() > (organs[0].numel() * 2)


def test_nobody_pays_for_shares_that_were_not_asked_for() -> None:
    assert case(BLOCKS, 8, areas=False).area_ZKHW is None


def test_they_are_kept_beside_the_slices_under_a_key_of_their_own(tiny_dataset: DataSet) -> None:
    plain = open_slices(tiny_dataset, "p00", 16)
    first = open_slices(tiny_dataset, "p00", 16, areas=True)
    again = open_slices(tiny_dataset, "p00", 16, areas=True)
    assert plain.area_ZKHW is None and first.area_ZKHW is not None and again.area_ZKHW is not None
    assert torch.equal(first.area_ZKHW, again.area_ZKHW)
    assert torch.equal(first.label_ZHW, plain.label_ZHW)
    assert slices_key(tiny_dataset, "p00", 16) != slices_key(tiny_dataset, "p00", 16, areas=True)
    cache = GridCache(dataset=tiny_dataset, ground=Ground(size=16, labels="area"))
    assert cache.case("p00").area_ZKHW is not None
    cache = GridCache(dataset=tiny_dataset, ground=Ground(size=16))
    assert cache.case("p00").area_ZKHW is None


def test_the_draw_moves_them_as_the_labels_and_asks_only_when_told() -> None:
    rng = np.random.default_rng(1)
    cases = [case(np.kron(rng.integers(0, 3, (6, 6)), np.ones((8, 8))).tolist(), None)]
    assert shown(cases, Ground(batch=2, augmentation=STILL)).area_BKHW is None
    still = shown(cases, Ground(batch=2, augmentation=STILL, labels="area"))
    assert torch.allclose(still.area_BKHW, hard(still), atol=1e-5)
    moved = shown(cases, Ground(batch=2, labels="area", augmentation=Augmentation()))
    assert not torch.equal(moved.label_BHW, still.label_BHW)
    inside = moved.valid_BHW[:, None]
    off = ((moved.area_BKHW - hard(moved)).abs() * inside).mean()
    assert off < 0.08  # blended at the edges of organs alone
    assert moved.area_BKHW.min() >= 0 and moved.area_BKHW.sum(dim=1).max() <= 1 + 1e-5


def shown(cases: list[CaseSlices], ground: Ground) -> Any:
    return SliceDraw(cases, ground, seed=0, stream="ct", stride=1, device=CPU)(0)


def hard(batch: Batch) -> torch.Tensor:
    return F.one_hot(batch.label_BHW, 3)[..., 1:].permute(0, 3, 1, 2).float()


def test_another_word_is_refused() -> None:
    with pytest.raises(BadInput, match=r"ground\.labels = 'soft' is not known"):
        Ground(labels="soft")
