"""The checks of anatomy pass clean patients of many kinds, and fail what no patient is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from native import ORGANS, add, refused, small
from nnunet_files import make, save
from variants import VARIANTS, changed, fatty, moved_kidney, refusals

from benchmark.data.judging.anatomy import verify
from benchmark.data.judging.checks import Check, check_volume
from benchmark.data.readers.nnunet import NnUNetRaw
from benchmark.data.source import RawCase, judged
from benchmark.data.volume import Volume


def failed(volume: Volume) -> set[str]:
    return {check.name for check in verify(volume, ORGANS)[0] if not check.ok}


@pytest.mark.parametrize("kind", VARIANTS)
def test_clean_variants_pass(kind: str) -> None:
    """60 patients of each: `python tests/helpers/variants.py 60`; docs/data.md has the outcome."""
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


@pytest.mark.parametrize("kind", ["as drawn", "one kidney, the left", "fatty liver", "a child"])
def test_a_patient_mirrored_front_to_back_is_refused(kind: str) -> None:
    volume = VARIANTS[kind](small(0), np.random.default_rng(0))
    mirrored = changed(volume, volume.image[:, ::-1], volume.label[:, ::-1])
    wrong = [check for check in verify(mirrored, ORGANS)[0] if not check.ok]
    assert wrong and all(check.name.startswith("behind_") and check.forcible for check in wrong)
    assert "in front of the liver's middle; mirrored front to back?" in wrong[0].message


def test_one_kidney_in_front_is_a_patients_own_way() -> None:
    volume = small(0)
    left = volume.label == 2
    label = np.where(left, 0, volume.label)
    label[np.roll(left, -20, axis=1)] = 2
    checks = verify(changed(volume, volume.image, label), ORGANS)[0]
    (behind,) = [check for check in checks if check.name == "behind_left_kidney"]
    assert float(behind.value) < -10 and behind.ok


def liver_check(volume: Volume) -> tuple[bool, str]:
    (check,) = [check for check in check_volume(volume, ORGANS) if check.name == "hu_liver"]
    return check.ok, check.message


@pytest.mark.parametrize("hu", [-20, 0, 29])
def test_a_dark_liver_is_fatty_where_all_else_is_right(hu: int) -> None:
    volume = fatty(small(0), np.random.default_rng(0), hu)
    assert refusals(volume) == []
    kidneys = np.isin(volume.label, (2, 3))
    dark = changed(volume, np.where(kidneys, volume.image - 200, volume.image))
    assert liver_check(dark) == (
        False,
        f"liver has a median of {round(liver_median(volume))} HU; it should be 40..180; as a fatty "
        f"liver it alone would be dark, but left_kidney has a median of -56 HU",
    )
    uneven = np.where((volume.label == 1) & (np.indices(volume.label.shape)[2] % 3 == 0), 200, 0)
    assert "varies by" in liver_check(changed(volume, volume.image + uneven))[1]
    assert not liver_check(changed(volume, volume.image + uneven))[0]


def liver_median(volume: Volume) -> float:
    return float(np.median(volume.image[volume.label == 1]))


@pytest.mark.parametrize("off", [-60, -40, 40, 60])
def test_a_dark_liver_in_a_scan_with_air_and_fat_elsewhere_is_refused(off: int) -> None:
    volume = fatty(small(0), np.random.default_rng(0), 5)
    lungless = VARIANTS["narrow field of view"](volume, np.random.default_rng(0))
    for one in (volume, lungless):
        ok, message = liver_check(
            changed(one, np.where(one.label == 1, one.image, one.image + off))
        )
        assert not ok and "neither air nor fat shows a right scale" in message


@pytest.mark.parametrize("hu", [-45, 190])
def test_no_liver_is_darker_or_brighter(hu: int) -> None:
    assert not liver_check(fatty(small(0), np.random.default_rng(0), hu))[0]


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
    mirrored = NnUNetRaw(raw).read_case("c1").volume
    assert mirrored is not None
    save(raw / "labelsTr" / "c1.nii.gz", np.ascontiguousarray(mirrored.label.T[::-1]))
    refused(tmp_path, NnUNetRaw(raw), "case c1: the liver lies", "mirrored?", "--force CASE")
    refused(tmp_path, NnUNetRaw(raw), "--force all --name look, then bench data audit look")
    found = add(tmp_path, NnUNetRaw(raw), force=["c1"])
    assert "side_liver" in found.record("c1")["forced"]
    assert found.record("c0")["forced"] == []


def test_the_place_of_an_organ_is_said_first() -> None:
    """Of a mirrored label fat and HU are wrong, too: the cause stands before what follows of it."""
    names = ("fat_liver", "side_liver", "hu_liver")
    checks = (Check(name=n, ok=False, value=0, limit="", message=f"{n}!") for n in names)
    raw = RawCase(case="c", volume=None, checks=tuple(checks))
    found = judged(raw, ("liver",), frozenset(), anatomy=True)
    assert found.bad == "side_liver!; fat_liver!; hu_liver!"
