"""Checks go by the organ, however a set spells it; messages and stored names stay as they were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from native import ORGANS, add, full, refused, small

from benchmark.data.judging.anatomy import unchecked, verify
from benchmark.data.judging.checks import check_volume
from benchmark.data.readers.pairs import Pairs
from benchmark.data.volume import Volume
from benchmark.phantom.layout import nifti_bytes, on_disk, save

SPELLED = [
    ORGANS,
    ("liver", "kidney_left", "kidney_right"),
    ("hepar", "lkid", "rkid"),
    ("liver", "kidney_l", "kidney_r"),
]


def failed(volume: Volume, organs: tuple[str, ...]) -> list[str]:
    named = replace(volume, annotated=organs)
    checks = (*check_volume(named, organs), *verify(named, organs)[0])
    return [check.name for check in checks if not check.ok]


def faulty(kind: str) -> Volume:
    volume = small(0)
    z, y, x = (mm * 2 for mm in volume.geometry.spacing_mm)
    return {
        "exchanged": replace(volume, label=np.choose(volume.label, [0, 1, 3, 2]).astype(np.uint8)),
        "mirrored": replace(volume, label=np.ascontiguousarray(volume.label[..., ::-1])),
        "upside down": replace(volume, label=np.ascontiguousarray(volume.label[::-1])),
        "too bright": replace(volume, image=volume.image + np.int16(400)),
        "too large": replace(volume, geometry=replace(volume.geometry, spacing_mm=(z, y, x))),
    }[kind]


@pytest.mark.parametrize("organs", SPELLED[1:])
@pytest.mark.parametrize(
    "kind", ["exchanged", "mirrored", "upside down", "too bright", "too large"]
)
def test_every_spelling_meets_the_same_checks(organs: tuple[str, ...], kind: str) -> None:
    volume = faulty(kind)
    found = failed(volume, organs)
    for ours, theirs in zip(ORGANS, organs, strict=True):
        found = [name.replace(f"_{theirs}", f"_{ours}") for name in found]
    assert found == failed(volume, ORGANS) != []
    assert failed(small(0), organs) == []


@pytest.mark.parametrize("organ", ["liver", "left_kidney", "right_kidney"])
@pytest.mark.parametrize("hu", [-200, 500])
def test_the_median_of_each_organ_is_checked(organ: str, hu: int) -> None:
    volume = small(0)
    mask = volume.label == ORGANS.index(organ) + 1
    image = np.where(mask, hu, volume.image).astype(np.int16)
    checks = check_volume(replace(volume, image=image), ORGANS)
    assert [c.name for c in checks if not c.ok] == [f"hu_{organ}"]
    assert f"{organ} has a median of {hu} HU" in next(c.message for c in checks if not c.ok)


def pair(folder: Path, label_numbers: list[int], names: tuple[str, ...]) -> Pairs:
    disk = on_disk(small(0), (False, False, False))
    label = np.choose(disk.label_ijk, label_numbers).astype(np.uint8)
    save(folder, {"ct.nii.gz": nifti_bytes(disk.image_ijk, disk.affine)})
    save(folder, {"label.nii.gz": nifti_bytes(label, disk.affine)})
    ids = {name: number for number, name in enumerate(names, start=1)}
    return Pairs(folder / "ct.nii.gz", folder / "label.nii.gz", ids)


def test_exchanged_kidneys_of_another_spelling_are_refused(tmp_path: Path) -> None:
    names = ("liver", "kidney_left", "kidney_right")
    refused(tmp_path, pair(tmp_path / "bad", [0, 1, 3, 2], names), "the left kidney lies")
    found = add(tmp_path, pair(tmp_path / "good", [0, 1, 2, 3], names))
    assert found.organs == names  # as the set calls them
    names_of_checks = {check["name"] for check in found.record("ct")["checks"]}
    assert {"side_kidney_left", "fat_kidney_right", "volume_kidney_left"} <= names_of_checks


def test_an_organ_without_a_check_is_named(tmp_path: Path) -> None:
    said: list[str] = []
    names = ("liver", "prostate", "left_adrenal_gland")
    add(tmp_path, pair(tmp_path / "raw", [0, 1, 2, 3], names), say=said.append)
    (line,) = [line for line in said if "no check" in line]
    assert "prostate, left_adrenal_gland" in line and "liver" not in line
    assert unchecked(("liver", "lkid", "gall_bladder", "arota", "kidney_cyst_left")) == ()
    assert unchecked(("kidney_left", "left_kidney"))[0].startswith("kidney_left and left_kidney")


def test_a_hollow_organ_may_hold_air_in_any_spelling() -> None:
    volume = full(0)
    gassed = replace(volume, image=np.where(volume.label == 3, -900, volume.image).astype(np.int16))
    for name in ("sto", "oesophagus", "small_intestine"):
        assert not [n for n in failed(gassed, ("liver", "left_kidney", name)) if "air" in n]
