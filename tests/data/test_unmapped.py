"""Numbers that no organ has are said, and refused where they are a hole in an organ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from native import ORGANS, add, refused, small, write_ircadb
from nnunet_files import AFFINE, SHAPE, arrays, make
from nnunet_files import save as save_nifti

from benchmark.cli.main import main
from benchmark.data.readers.ircadb import Ircadb
from benchmark.data.readers.nnunet import NnUNetRaw
from benchmark.data.readers.numbers import HOW, unmapped
from benchmark.data.readers.pairs import Pairs, parse_map
from benchmark.data.volume import Volume
from benchmark.errors import BadInput
from benchmark.phantom.downloads import IrcadbOptions
from benchmark.phantom.layout import nifti_bytes, on_disk, save

IDS = {"liver": 1, "left_kidney": 2, "right_kidney": 3}


def tumoured() -> Volume:
    """A ball in the liver has the number 6, a block of background beside the body 9."""
    volume = small(0)
    z, y, x = (int(np.median(axis)) for axis in np.nonzero(volume.label == 1))
    mm = volume.geometry.spacing_mm
    grid = np.indices(volume.label.shape)
    far = sum(((axis - n) * step) ** 2 for axis, n, step in zip(grid, (z, y, x), mm, strict=True))
    label = np.where((far < 20**2) & (volume.label == 1), 6, volume.label)
    label[:3, :4, :4] = 9
    return replace(volume, label=label.astype(np.uint8))


def pair(folder: Path, ids: dict[str, int | Sequence[int]]) -> Pairs:
    disk = on_disk(tumoured(), (False, False, False))
    save(folder, {"ct.nii.gz": nifti_bytes(disk.image_ijk, disk.affine)})
    save(folder, {"label.nii.gz": nifti_bytes(disk.label_ijk, disk.affine)})
    return Pairs(folder / "ct.nii.gz", folder / "label.nii.gz", ids)


def test_a_tumour_with_a_number_of_its_own_is_no_background(tmp_path: Path) -> None:
    voxels = int(np.count_nonzero(tumoured().label == 6))
    text = f"{voxels} voxels with 6 are enclosed by liver"
    refused(tmp_path, pair(tmp_path / "raw", IDS), text, "--map liver=...+6", "--force CASE")
    found = add(tmp_path, pair(tmp_path / "raw", IDS), force=["ct"])
    assert found.record("ct")["forced"] == ["enclosed_liver"]


def test_one_organ_has_several_numbers(tmp_path: Path) -> None:
    said: list[str] = []
    ids = parse_map("liver=6+1,left_kidney=2,right_kidney=3")
    found = add(tmp_path, pair(tmp_path / "raw", ids), say=said.append)
    np.testing.assert_array_equal(found.load("ct").label, small(0).label)
    assert said == ["case ct: background by --map: 48 with 9 (voxels)" + HOW]
    assert found.origin["ids"] == {"liver": [1, 6], "left_kidney": 2, "right_kidney": 3}
    again = parse_map("liver=1+6,left_kidney=2,right_kidney=3")
    assert pair(tmp_path / "raw", again).fingerprint == found.origin["fingerprint"]


@pytest.mark.parametrize("text", ["liver=6+", "liver=+6", "liver=6+6", "a=1+2,b=2", "a=0+1", "a=²"])
def test_bad_maps(text: str) -> None:
    with pytest.raises(BadInput, match="--map"):
        parse_map(text)


def test_an_organ_beside_another_is_not_enclosed() -> None:
    """As the gallbladder in the liver's bed: under half of its border is liver."""
    own = np.zeros((12, 12, 12), np.uint8)
    own[2:10, 2:10, 2:8] = 1
    numbers = own.astype(np.int16)
    numbers[4:8, 4:8, 8:12] = 70  # one face of six
    lines, checks = unmapped(numbers, own, ["liver"])
    assert lines == ("background by --map: 64 with 70 (voxels)" + HOW,) and checks == ()
    numbers, own = numbers.copy(), own.copy()
    own[4:8, 4:8, 4:8], numbers[4:8, 4:8, 4:8], numbers[4:8, 4:8, 8:] = 0, 70, 0
    (check,) = unmapped(numbers, own, ["liver"])[1]  # five of six
    assert (check.name, check.value, check.forcible) == ("enclosed_liver", 64, True)
    numbers[numbers == 70] = -3
    assert unmapped(numbers, own, ["liver"])[1][0].message.startswith("64 voxels with -3 are")


def test_each_part_of_a_number_is_judged_and_specks_are_not() -> None:
    own = np.ones((12, 12, 12), np.uint8)
    own[:, :, 8:] = 0
    numbers = own.astype(np.int16)
    for z, y, x, n in ((2, 2, 2, 3), (6, 6, 2, 1), (2, 2, 9, 3)):
        own[z : z + n, y : y + n, x : x + n] = 0
        numbers[z : z + n, y : y + n, x : x + n] = 5
    lines, (check,) = unmapped(numbers, own, ["liver"])
    assert lines == ("background by --map: 55 with 5 (voxels)" + HOW,)
    assert check.value == 28  # the one voxel, too, which alone would be a speck
    own[2:5, 2:5, 2:5], numbers[2:5, 2:5, 2:5] = 1, 1
    assert unmapped(numbers, own, ["liver"])[1] == ()


def test_many_numbers_are_one_line() -> None:
    numbers = np.arange(64).reshape(4, 4, 4)
    (line,), checks = unmapped(numbers, np.zeros((4, 4, 4), np.uint8), ["liver"])
    assert line == "background by --map: 63 with one of 63 other numbers (voxels)" + HOW
    assert checks == () and unmapped(0 * numbers, np.zeros((4, 4, 4), np.uint8), ["a"]) == ((), ())


def test_lists_of_ids_in_dataset_json(tmp_path: Path) -> None:
    labels = {"background": 0, "liver": [3, 1], "Left Kidney": 2}
    raw = make(tmp_path / "raw", 2, labels=labels)
    label = arrays(0)[1]
    parted = np.where((label == 1) & (np.arange(SHAPE[0])[:, None, None] < 5), 3, label)
    save_nifti(raw / "labelsTr" / "c0.nii.gz", parted.astype(np.uint8), AFFINE)
    reader = NnUNetRaw(raw)
    assert reader.organs == ("liver", "left_kidney")
    plain = NnUNetRaw(make(tmp_path / "plain", 2))
    for case in ("c0", "c1"):
        found, wanted = reader.read_case(case).volume, plain.read_case(case).volume
        assert found is not None and wanted is not None
        np.testing.assert_array_equal(found.label, wanted.label)
        assert found.source_sha256 != wanted.source_sha256


def test_the_command_says_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair(tmp_path / "raw", IDS)
    files = [str(tmp_path / "raw" / name) for name in ("ct.nii.gz", "label.nii.gz")]
    words = ["data", "add", "pair", *files, "--root", str(tmp_path / "root"), "--map"]
    assert main([*words, "liver=1,left_kidney=2,right_kidney=3"]) == 2
    assert "are enclosed by liver" in capsys.readouterr().err
    assert main([*words, "liver=1+6,left_kidney=2,right_kidney=3"]) == 0


def test_a_number_that_nobody_knows_is_unknown_in_every_form(tmp_path: Path) -> None:
    """As nnU-Net's `ignore`: in a label map by its number, among mask files by its name."""
    ids = parse_map("liver=1,left_kidney=2,right_kidney=3,ignore=6+9")
    said: list[str] = []
    found = add(tmp_path, pair(tmp_path / "raw", ids), say=said.append)
    disk, wanted = on_disk(tumoured(), (False, False, False)), np.isin(tumoured().label, (6, 9))
    case = found.load("ct")
    assert found.organs == case.annotated == ("liver", "left_kidney", "right_kidney")
    assert said == [f"case ct: {np.count_nonzero(wanted)} voxels are 'ignore': unknown"]
    np.testing.assert_array_equal(case.unknown, wanted)
    np.testing.assert_array_equal(case.label, np.where(wanted, 0, tumoured().label))
    alone = add(tmp_path / "plain", pair(tmp_path / "raw", IDS), force=["ct"]).load("ct")
    assert alone.unknown is None
    for name, number in (*IDS.items(), ("unsure", 6)):
        mask = (disk.label_ijk == number).astype(np.uint8)
        save(tmp_path / "masks", {f"{name}.nii.gz": nifti_bytes(mask, disk.affine)})
    named = {**{organ: organ for organ in IDS}, "ignore": "unsure"}
    case = add(
        tmp_path / "m", Pairs(tmp_path / "raw" / "ct.nii.gz", tmp_path / "masks", named)
    ).load("ct")
    np.testing.assert_array_equal(case.unknown, tumoured().label == 6)


def test_ignore_is_no_organ(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="name an organ, too"):
        parse_map("ignore=4")
    disk = on_disk(tumoured(), (False, False, False))
    save(tmp_path / "raw", {"ct.nii.gz": nifti_bytes(disk.image_ijk, disk.affine)})
    save(tmp_path / "raw" / "m", {"unsure.nii.gz": nifti_bytes(disk.label_ijk, disk.affine)})
    named: dict[str, int | str | Sequence[int | str]] = {"liver": "liver", "ignore": "unsure"}
    masks = Pairs(tmp_path / "raw" / "ct.nii.gz", tmp_path / "raw" / "m", named)
    refused(tmp_path, masks, "no structure is called liver")
    write_ircadb(tmp_path / "ircadb", [small(0)], ORGANS, IrcadbOptions())
    ircadb = Ircadb(tmp_path / "ircadb", ("liver", "ignore"))
    refused(tmp_path, ircadb, "'ignore' cannot name an organ", "another name")
