"""The checks of anatomy pass clean patients of many kinds, and fail what no patient is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from native import ORGANS, add, refused, small
from nnunet_files import make, save
from variants import VARIANTS, changed, moved_kidney, refusals

from benchmark.data.anatomy import verify
from benchmark.data.readers.nnunet import NnUNetRaw
from benchmark.data.volume import Volume


def failed(volume: Volume) -> set[str]:
    return {check.name for check in verify(volume, ORGANS)[0] if not check.ok}


@pytest.mark.parametrize("kind", VARIANTS)
def test_clean_variants_pass(kind: str) -> None:
    """60 patients of each: `python tests/data/variants.py 60`; docs/data.md has the outcome."""
    for index in (0, 1):
        volume = VARIANTS[kind](small(index), np.random.default_rng(index))
        assert refusals(volume) == []


@pytest.mark.parametrize("kind", [kind for kind in VARIANTS if "windowed" not in kind])
@pytest.mark.parametrize("hu", [-1000, -100, 100, 1024])
def test_a_shifted_intercept_is_seen_in_every_variant(kind: str, hu: int) -> None:
    volume = VARIANTS[kind](small(0), np.random.default_rng(0))
    assert refusals(changed(volume, volume.image + hu))


@pytest.mark.parametrize("hu", [-100, 100])
def test_air_tells_a_shift_that_the_liver_alone_would_hide(hu: int) -> None:
    volume = small(0)
    assert not failed(volume)
    assert "hu_air" in failed(changed(volume, volume.image + hu))


@pytest.mark.parametrize("crossed", [True, False])
def test_an_ectopic_kidney_is_a_warning(crossed: bool) -> None:
    volume = moved_kidney(small(0), crossed)
    if not crossed:  # a transplant on the right side, the own kidneys gone
        label = np.where(volume.label == 3, 0, volume.label)
        label, image = (np.roll(part, -8, axis=2) for part in (label, volume.image))
        middle = volume.image.copy()
        middle[label == 2] = image[label == 2]
        volume = changed(volume, middle, np.where(volume.label == 1, 1, label * (label == 2)))
    checks, warnings = verify(volume, ORGANS)
    assert all(check.ok for check in checks)
    assert len(warnings) == 1 and "ectopic or transplanted?" in warnings[0]


def test_exchanged_kidneys_are_an_error() -> None:
    volume = small(0)
    label = np.choose(volume.label, [0, 1, 3, 2])
    assert failed(changed(volume, volume.image, label)) == {"side_left_kidney", "side_right_kidney"}


def test_a_lone_kidney_of_the_wrong_name_is_an_error() -> None:
    volume = small(0)
    label = np.choose(volume.label, [0, 1, 0, 2])  # the right one, called left
    assert failed(changed(volume, volume.image, label)) == {"side_left_kidney"}


@pytest.mark.parametrize(
    ("factor", "wrong"),
    [
        (0.5, {"volume_liver", "volume_left_kidney", "volume_right_kidney"}),
        (2.0, {"volume_liver", "volume_left_kidney", "volume_right_kidney"}),
    ],
)
def test_volumes_that_nobody_has(factor: float, wrong: set[str]) -> None:
    volume = small(0)
    z, y, x = (mm * factor for mm in volume.geometry.spacing_mm)
    other = replace(volume, geometry=replace(volume.geometry, spacing_mm=(z, y, x)))
    assert failed(other) == wrong


def test_an_organ_that_the_scan_cuts_may_be_small() -> None:
    volume = small(0)
    low = int(np.flatnonzero((volume.label == 1).any(axis=(1, 2)))[-3])
    assert not failed(changed(volume, volume.image[low:], np.minimum(volume.label[low:], 1)))
    label = np.where(np.arange(len(volume.label))[:, None, None] == low, volume.label, 0)
    assert "volume_liver" in failed(changed(volume, volume.image, np.minimum(label, 1)))


def test_hollow_organs_may_hold_air() -> None:
    volume = small(0)
    image = np.where(volume.label == 3, -900, volume.image).astype(np.int16)
    gassed = replace(volume, image=image)
    assert failed(gassed) == {"air_right_kidney", "fat_right_kidney"}
    names = ("liver", "left_kidney", "stomach")
    checks = verify(replace(gassed, annotated=names), names)[0]
    assert all(check.ok for check in checks)


def test_a_person_overrides_the_anatomy_and_it_is_recorded(tmp_path: Path) -> None:
    raw = make(tmp_path / "raw", 3)
    mirrored = NnUNetRaw(raw).read("c1").volume
    assert mirrored is not None
    save(raw / "labelsTr" / "c1.nii.gz", np.ascontiguousarray(mirrored.label.T[::-1]))
    refused(tmp_path, NnUNetRaw(raw), "case c1: the liver lies", "mirrored?", "--force CASE")
    found = add(tmp_path, NnUNetRaw(raw), force=["c1"])
    assert "side_liver" in found.record("c1")["forced"]
    assert found.record("c0")["forced"] == []
