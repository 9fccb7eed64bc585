"""Odd names and lone files: each case has a name of its own, or the true reason against it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from native import add, same, small
from nnunet_files import add as add_raw
from nnunet_files import arrays, make, refused, save

from benchmark.data import library
from benchmark.data.readers.names import renamed, safe_names, without_partner
from benchmark.data.readers.nnunet import NnUNetRaw
from benchmark.data.readers.pairs import Pairs
from benchmark.data.readers.stacks import Stacks
from benchmark.data.scan import read_scan
from benchmark.errors import BadInput
from benchmark.phantom.layout import Header, dicom_files, on_disk
from benchmark.phantom.layout import save as save_files

IDS = {"liver": 1, "left_kidney": 2}


def test_no_two_texts_have_one_name() -> None:
    texts = ["a b", "a_b", "a-b", "ä", "ö", "a  b", "A_b", "a b ", "x" * 200, "x" * 201]
    names = safe_names(texts)
    assert len(set(names.values())) == len(texts)
    assert names["a_b"] == "a_b" and names["a b"] == "a_b_3" and names["a  b"] == "a_b_2"
    assert safe_names(reversed(texts)) == names
    (line,) = renamed({"Fall ü": "Fall", "b": "b"})
    assert line == "case 'Fall ü' is called Fall" and renamed({"b": "b"}) == []


def odd_set(folder: Path) -> Path:
    raw = make(folder, 3, annotated={"Fall ü 1": ["liver"]})
    for kind, ending in (("imagesTr", "_0000.nii.gz"), ("labelsTr", ".nii.gz")):
        (raw / kind / f"c1{ending}").rename(raw / kind / f"Fall ü 1{ending}")
    return raw


def test_nnunet_takes_a_name_with_space_and_umlaut(tmp_path: Path) -> None:
    said: list[str] = []
    raw = odd_set(tmp_path / "raw")
    added = library.add(tmp_path, "set", NnUNetRaw(raw), say=said.append)
    assert [case.name for case in added.cases] == ["Fall_1", "c0", "c2"]
    assert added.case("Fall_1").annotated == ("liver",)
    assert "case 'Fall ü 1' is called Fall_1" in said
    assert add_raw(tmp_path, raw) == added


def test_pairs_lose_no_file_whose_name_is_like_anothers(tmp_path: Path) -> None:
    raw = make(tmp_path / "raw", 2)
    for kind, ending in (("imagesTr", "_0000.nii.gz"), ("labelsTr", ".nii.gz")):
        (raw / kind / f"c0{ending}").rename(raw / kind / f"c 1{ending}")
        (raw / kind / f"c1{ending}").rename(raw / kind / f"c_1{ending}")
    reader = Pairs(raw / "imagesTr", raw / "labelsTr", IDS)
    assert reader.cases == ("c_1", "c_1_2")
    one, two = (volume.image for volume in reader.volumes())
    assert sorted([one.sum(), two.sum()]) == sorted(arrays(n)[0].sum() for n in (0, 1))
    assert reader.warnings == ("case 'c 1' is called c_1_2",)


def test_a_lone_file_is_one_cases_refusal(tmp_path: Path) -> None:
    raw = make(tmp_path / "raw", 4)
    (raw / "labelsTr" / "c1.nii.gz").unlink()
    (raw / "imagesTr" / "c2_0000.nii.gz").unlink()
    shutil.copy(raw / "imagesTr" / "c3_0000.nii.gz", raw / "imagesTr" / "c3.nii.gz")
    reader = Pairs(raw / "imagesTr", raw / "labelsTr", IDS)
    with pytest.raises(BadInput) as caught:
        add(tmp_path / "root", reader)
    for part in (
        "case c1: it has no label", "case c2: it has no image",
        "case c3: c3.nii.gz and c3_0000.nii.gz are both its image",
    ):  # fmt: skip
        assert part in str(caught.value)
    added = add(tmp_path / "root", reader, skip_bad=True)
    assert [case.name for case in added.cases] == ["c0"]
    with pytest.raises(BadInput, match="paired by file name"):
        add(tmp_path / "two", Pairs(raw / "imagesTr", tmp_path / "root", IDS))


def test_an_image_without_a_label_is_no_channel_of_another(tmp_path: Path) -> None:
    """AMOS numbers its cases in four digits, and some have no label."""
    raw = make(tmp_path / "raw", 0)
    for number in (1, 2, 600):
        image, label = arrays(number)
        save(raw / "imagesTr" / f"amos_{number:04d}.nii.gz", image)
        if number != 600:
            save(raw / "labelsTr" / f"amos_{number:04d}.nii.gz", label)
    refused(tmp_path, raw, "case amos_0600: it has no file in labelsTr")
    added = add_raw(tmp_path, raw, skip_bad=True)
    assert [case.name for case in added.cases] == ["amos_0001", "amos_0002"]
    save(raw / "imagesTr" / "amos_0000.nii.gz", arrays(0)[0])
    refused(tmp_path / "more", raw, "cases amos_0000, amos_0600: it has no file in labelsTr")


def test_a_second_channel_or_image_is_that_cases_refusal(tmp_path: Path) -> None:
    raw = make(tmp_path / "raw")
    save(raw / "imagesTr" / "c0_0001.nii.gz", arrays(0)[0])
    save(raw / "imagesTr" / "c2.nii.gz", arrays(0)[0])
    refused(tmp_path, raw, "case c0: c0_0001.nii.gz is another channel of c0")
    refused(tmp_path, raw, "case c2: c2.nii.gz and c2_0000.nii.gz are both its image")
    assert [case.name for case in add_raw(tmp_path, raw, skip_bad=True).cases] == ["c1"]


def test_a_fourth_axis_of_one_is_taken(tmp_path: Path) -> None:
    image, label = arrays(0)
    raw = make(tmp_path / "raw", 1)
    whole = next(NnUNetRaw(raw).volumes())
    save(raw / "imagesTr" / "c0_0000.nii.gz", image[..., None])
    save(raw / "labelsTr" / "c0.nii.gz", label[..., None, None])
    same(next(NnUNetRaw(raw).volumes()), whole, tuple(IDS))
    np.testing.assert_array_equal(read_scan(raw / "imagesTr" / "c0_0000.nii.gz").image, whole.image)


def stacked(folder: Path) -> None:
    disk = on_disk(small(0))
    save_files(folder / "DICOM", dicom_files(disk.image_ijk, disk.affine, header=Header()))
    (folder / "Ground").mkdir()
    for k in range(disk.image_ijk.shape[2]):
        picture = SimpleITK.GetImageFromArray((disk.label_ijk[:, :, k].T == 1).astype(np.uint8))
        SimpleITK.WriteImage(picture, str(folder / "Ground" / f"mask_{k:03d}.png"))


def test_folders_of_slices_with_other_things_beside_them(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    for name in ("Müller, H", "M_ller, H", "part/2", "other/2"):
        stacked(raw / name)
    foreign = ("LICENSE", "2024/LICENSE", "part/LICENSE", "part/2/Ground/LICENSE", "part/2/doc/a.b")
    save_files(raw, dict.fromkeys(foreign, b"text"))
    shutil.copytree(raw / "part" / "2" / "Ground", raw / "lone" / "Ground")
    shutil.copytree(raw / "part" / "2" / "DICOM", raw / "bare" / "DICOM")
    reader = Stacks(raw, "liver")
    with pytest.raises(BadInput) as caught:
        add(tmp_path / "root", reader)
    for case in ("lone", "bare"):
        assert f"case {case}: raw/{case} must hold one folder of DICOM" in str(caught.value)
    assert "2 of 6 cases are bad" in str(caught.value)
    added = add(tmp_path / "root", reader, skip_bad=True)
    names = [case.name for case in added.cases]
    assert names == ["M_ller_H", "M_ller_H_2", "raw_other_2", "raw_part_2"]


def test_names_without_a_partner_are_counted_and_what_is_behind_them_is_named() -> None:
    images = [f"case_{number}" for number in range(1, 12)]  # case_1 begins case_10, too
    said = without_partner(images, [f"{image}_seg" for image in images])
    assert "11 images (case_1, case_2, case_3 and 8 more), 11 labels (case_1_seg, " in said
    assert said.endswith("rename each label: take '_seg' off its name")
    said = without_partner([f"{image}_ct" for image in images], images)
    assert said.endswith("rename each image: take '_ct' off its name")
    assert "rename" not in without_partner(images, ["a", "case_1_seg"])
    assert without_partner([], []).startswith("no .nii.gz file")
