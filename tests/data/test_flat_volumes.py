"""A volume of one or two slices is all border: it is refused in every layout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from faults import LAYOUTS, laid
from native import refused, small
from nnunet_files import add, arrays, make, save
from nnunet_files import refused as refused_nnunet

from benchmark.data.judging.checks import check_volume


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_slices_are_refused(tmp_path: Path, layout: str, count: int) -> None:
    case = laid(small(0))
    few = tuple(range(count))
    reader = LAYOUTS[layout](tmp_path / "raw", [replace(case, image_slices=few, label_slices=few)])
    parts = [f"it has {count}x", "at least 3 each way"] if count == 2 else []
    refused(tmp_path, reader, *parts)  # one DICOM slice is no series


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_three_voxels_each_way_are_enough_and_nobody_may_force_fewer(
    tmp_path: Path, axis: int
) -> None:
    volume = small(0)
    for count in (1, 2, 3):
        window = [slice(None)] * 3
        window[axis] = slice(8, 8 + count)
        cut = replace(volume, image=volume.image[tuple(window)], label=volume.label[tuple(window)])
        (check,) = [c for c in check_volume(cut, ("liver", "a", "b")) if c.name == "slices"]
        assert (check.ok, check.value, check.forcible) == (count == 3, count, False)


def test_force_does_not_help(tmp_path: Path) -> None:
    raw = make(tmp_path / "raw", 2)
    image, label = arrays(1)
    save(raw / "imagesTr" / "c1_0000.nii.gz", image[:, :, 3:5])
    save(raw / "labelsTr" / "c1.nii.gz", label[:, :, 3:5])
    refused_nnunet(tmp_path, raw, "case c1: it has 2x14x12 voxels", force=["c1"])
    assert [case.name for case in add(tmp_path, raw, skip_bad=True).cases] == ["c0"]
