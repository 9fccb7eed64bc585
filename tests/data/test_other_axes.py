"""Image and label in one place with their axes in another order: one grid all the same."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
from native import add, refused, same, small
from nnunet_files import AFFINE, arrays, make, save

from benchmark.data.readers.multi_organ import MultiOrgan
from benchmark.data.readers.nifti import read_nifti
from benchmark.data.readers.nnunet import NnUNetRaw
from benchmark.data.readers.pairs import Pairs
from benchmark.data.readers.placed import laid_like
from benchmark.phantom import downloads
from benchmark.phantom.layout import on_disk

IDS = {"liver": 1, "left_kidney": 2}


def turned(array, affine, axes, flips):
    """The same voxels in the same place, stored with other axes."""
    moved, affine = np.transpose(array, axes), affine[:, [*axes, 3]].copy()
    for axis, flip in enumerate(flips):
        if flip:
            affine[:3, 3] += affine[:3, axis] * (moved.shape[axis] - 1)
            affine[:3, axis] *= -1
            moved = np.flip(moved, axis)
    return np.ascontiguousarray(moved), affine


EVERY = [
    (axes, flips) for axes in permutations(range(3)) for flips in product((False, True), repeat=3)
]


@pytest.mark.parametrize("degrees", [0, 30, 45, 80])
def test_a_label_is_laid_on_its_images_axes(tmp_path: Path, degrees: int) -> None:
    image, label = arrays(0)
    angle = np.deg2rad(degrees)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    ct = read_nifti(save(tmp_path / "ct.nii", image, turn @ AFFINE))
    for axes, flips in EVERY:
        found = read_nifti(save(tmp_path / "l.nii", *turned(label, turn @ AFFINE, axes, flips)))
        laid = laid_like(found, ct)
        np.testing.assert_array_equal(laid.array, label)
        np.testing.assert_allclose(laid.affine, ct.affine, atol=1e-4)


@pytest.mark.parametrize(("axes", "flips"), [EVERY[n] for n in (1, 6, 13, 30, 47)])
def test_pairs_and_nnunet_take_them(tmp_path: Path, axes, flips) -> None:
    label = arrays(0)[1]
    raw = make(tmp_path / "raw", 1)
    whole = next(NnUNetRaw(raw).volumes())
    path = save(raw / "labelsTr" / "c0.nii.gz", *turned(label, AFFINE, axes, flips))
    same(next(NnUNetRaw(raw).volumes()), whole, tuple(IDS))
    same(next(Pairs(raw / "imagesTr" / "c0_0000.nii.gz", path, IDS).volumes()), whole, tuple(IDS))
    assert len(add(tmp_path / "root", NnUNetRaw(raw)).cases) == 1


def test_another_place_is_still_refused(tmp_path: Path) -> None:
    image, label = arrays(0)
    ct = save(tmp_path / "ct.nii", image)
    moved = AFFINE.copy()
    moved[2, 3] += 20
    path = save(tmp_path / "l.nii", *turned(label, moved, (0, 1, 2), (True, True, False)))
    refused(tmp_path / "root", Pairs(ct, path, IDS), "1 voxels apart at the worst corner")
    shorter = turned(label[:, :-1], AFFINE, (2, 0, 1), (False, False, False))
    path = save(tmp_path / "short.nii", *shorter)
    refused(tmp_path / "root", Pairs(ct, path, IDS), "[12, 14, 8], its label [12, 13, 8]")


def test_multi_organ_takes_them(tmp_path: Path) -> None:
    member = downloads.Member(volume=small(0), source="btcv", number=7)
    options = downloads.MultiOrganOptions(label_flips=(True, True, False), archives=False)
    organs = ("liver", "left_kidney", "right_kidney")
    downloads.write_multi_organ(tmp_path, [member], organs, options)
    (found,) = MultiOrgan(tmp_path / "labels", {"btcv": tmp_path / "btcv"}).volumes()
    same(found, small(0))
    assert on_disk(small(0), (True, True, False)).affine[0, 0] != on_disk(small(0)).affine[0, 0]
