"""The Multi-Organ labels: pairing, the right series, geometry, and the crop box."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from native import ORGANS, add, refused, same, small

from benchmark.data import library
from benchmark.data.readers.multi_organ import MultiOrgan, parse_images
from benchmark.errors import BadInput
from benchmark.phantom import downloads
from benchmark.phantom.downloads import Member, MultiOrganOptions, crop_box
from benchmark.phantom.layout import Header, dicom_files, nifti_bytes, on_disk, save, zipped
from benchmark.phantom.recipe import not_looked_for

MEMBERS = (
    Member(volume=small(0), source="tcia", number=1),
    Member(volume=small(1), source="btcv", number=1),
)
UNPACKED = MultiOrganOptions(archives=False)


def written(
    folder: Path, members: tuple[Member, ...] = MEMBERS, options: MultiOrganOptions = UNPACKED
):
    downloads.write_multi_organ(folder, members, ORGANS, options)
    return folder


def reader(folder: Path, *sources: str, **more: object) -> MultiOrgan:
    chosen = sources or ("tcia", "btcv")
    return MultiOrgan(folder / "labels", {source: folder / source for source in chosen}, **more)


def test_both_sources(tmp_path: Path) -> None:
    found = add(tmp_path, reader(written(tmp_path / "raw", options=MultiOrganOptions())))
    assert [case.name for case in found.cases] == ["btcv_0001", "tcia_0001"]
    assert [case.source for case in found.cases] == ["btcv", "tcia"]
    same(found.load("btcv_0001"), small(1))
    same(found.load("tcia_0001"), not_looked_for(small(0), ORGANS, ["right_kidney"]))
    assert [case.box for case in found.cases] == [crop_box(small(n), 1) for n in (1, 0)]
    for case in found.cases:
        assert found.load(case.name).box == case.box
    assert any(
        "1 of 2 series has the label's geometry" in line for line in found.origin["warnings"]
    )


def test_one_source_takes_its_own_labels(tmp_path: Path) -> None:
    raw = written(tmp_path / "raw")
    assert reader(raw, "btcv").cases == ("btcv_0001",)
    assert reader(raw, "tcia").cases == ("tcia_0001",)
    with pytest.raises(BadInput, match="no organ heart"):
        reader(raw, organs=["heart"])
    for texts in (["tcia"], ["ct=x"], ["tcia=a", "tcia=b"], ["btcv="]):
        with pytest.raises(BadInput, match="write tcia=PATH or btcv=PATH"):
            parse_images(texts)


def test_a_kidney_that_btcv_does_not_show_was_not_looked_for(tmp_path: Path) -> None:
    member = replace(MEMBERS[1], volume=not_looked_for(small(1), ORGANS, ["right_kidney"]))
    found = add(tmp_path, reader(written(tmp_path / "raw", (member,)), "btcv"))
    assert found.cases[0].annotated == ("liver", "left_kidney")


def test_labels_and_images_of_unnamed_folders(tmp_path: Path) -> None:
    raw = written(tmp_path / "raw", MEMBERS[1:])
    (raw / "labels" / "label_btcv_multiorgan").rename(raw / "labels" / "all")
    assert reader(raw, "btcv").cases == ("btcv_0001",)
    shutil.copytree(raw / "btcv", raw / "tcia")
    refused(tmp_path, reader(raw), "which source is it of?")


def test_images_in_zips_as_a_downloader_leaves_them(tmp_path: Path) -> None:
    raw = written(tmp_path / "raw", MEMBERS[:1])
    folder = raw / "tcia" / "PANCREAS_0001" / "11-24-2015-PANCREAS-0"
    slices = sorted((folder / "Pancreas-63").iterdir())
    (folder / "1.2.3.zip").write_bytes(zipped({path.name: path.read_bytes() for path in slices}))
    shutil.rmtree(folder / "Pancreas-63")
    found = add(tmp_path, reader(raw, "tcia"))
    same(found.load("tcia_0001"), not_looked_for(small(0), ORGANS, ["right_kidney"]))


def test_an_image_twice_byte_for_byte_is_used_once(tmp_path: Path) -> None:
    raw = written(tmp_path / "raw", MEMBERS[:1])
    (path,) = (raw / "tcia").rglob("1-004.dcm")
    shutil.copy(path, path.with_name("1-004 (1).dcm"))
    found = add(tmp_path, reader(raw, "tcia"))
    same(found.load("tcia_0001"), not_looked_for(small(0), ORGANS, ["right_kidney"]))
    assert any("1 slice came twice" in line for line in found.origin["warnings"])


def test_series_that_fit_equally_are_for_a_person(tmp_path: Path) -> None:
    raw = written(tmp_path / "raw", MEMBERS[:1])
    disk = on_disk(small(0))
    other = dicom_files(disk.image_ijk, disk.affine, header=Header(series="sharp"))
    save(raw / "tcia" / "PANCREAS_0001" / "more", other)
    refused(tmp_path, reader(raw, "tcia"), "2 series have the label's geometry")


def test_no_series_fits(tmp_path: Path) -> None:
    raw = written(tmp_path / "raw", MEMBERS[:1])
    for path in (raw / "tcia").rglob("1-*.dcm"):
        path.unlink()
    refused(
        tmp_path, reader(raw, "tcia"), "the image has shape [9, 64, 64], its label [18, 64, 64]"
    )


def label_path(raw: Path, source: str = "btcv") -> Path:
    (path,) = (raw / "labels").rglob(f"label_{source}*/label0001.nii.gz")
    return path


def test_a_label_that_lies_elsewhere_is_refused_by_its_distance(tmp_path: Path) -> None:
    raw = written(tmp_path / "raw", MEMBERS[1:])
    disk = on_disk(small(1), UNPACKED.label_flips)
    for voxels, passes in ((0.0004, True), (0.3, True), (0.6, False), (40.0, False)):
        moved = disk.affine.copy()
        moved[:3, 3] += moved[:3, 0] * voxels
        numbers = np.array([0, 6, 3, 2], np.uint8)[disk.label_ijk]
        label_path(raw).write_bytes(nifti_bytes(numbers, moved))
        if passes:
            found = library.add(tmp_path, f"set{voxels}".replace(".", "_"), reader(raw, "btcv"))
            said = [line for line in found.origin["warnings"] if "voxels apart" in line]
            assert len(said) == (voxels > 1e-3)
        else:
            refused(tmp_path / f"{voxels}", reader(raw, "btcv"), f"lie {voxels:g} voxels apart")


def test_missing_and_withdrawn_images(tmp_path: Path) -> None:
    withdrawn = replace(MEMBERS[0], number=25)
    raw = written(tmp_path / "raw", (*MEMBERS, withdrawn))
    shutil.rmtree(raw / "tcia" / "PANCREAS_0025")
    found = library.add(tmp_path, "two", reader(raw))
    assert len(found.cases) == 2
    assert any("tcia_0025: its image was withdrawn" in line for line in found.origin["warnings"])
    (raw / "btcv" / "Training" / "img" / "img0001.nii.gz").unlink()
    refused(tmp_path / "empty", reader(raw), "btcv", "nothing like img0001.nii.gz")
    shutil.copy(label_path(raw), label_path(raw).with_name("label0002.nii.gz"))
    (raw / "btcv" / "img0002.nii.gz").write_bytes(b"")
    refused(tmp_path / "one", reader(raw), "btcv_0001: it has a label and no image", "btcv_0002")


def test_an_unknown_number_in_a_label(tmp_path: Path) -> None:
    raw = written(tmp_path / "raw", MEMBERS[1:])
    disk = on_disk(small(1))
    label_path(raw).write_bytes(nifti_bytes(disk.label_ijk * np.uint8(40), disk.affine))
    refused(tmp_path, reader(raw, "btcv"), "the label holds 40, 80, 120")


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda text: text.replace("extent_sup", "top"), "has no column extent_sup"),
        (lambda text: text.replace(",1,", ",one,") + "x,y\n", "line"),
        (lambda text: "\n".join(text.splitlines()[:1]) + "\n", "has no row for it"),
        (lambda text: text.rsplit(",", 2)[0] + ",90,99\n", "outside of the volume"),
    ],
)
def test_bad_crop_files(tmp_path: Path, change, part: str) -> None:
    raw = written(tmp_path / "raw", MEMBERS[1:])
    path = raw / "labels" / "cropping.csv"
    path.write_text(change(path.read_text()))
    refused(tmp_path, reader(raw, "btcv"), part)


def test_a_crop_box_read_the_wrong_way_is_refused(tmp_path: Path) -> None:
    """From the head instead of from the feet: the box would cut organs off."""
    raw = written(tmp_path / "raw", MEMBERS[1:])
    path = raw / "labels" / "cropping.csv"
    head, row = path.read_text().splitlines()
    values = row.split(",")
    slices = len(small(1).image)
    inferior, superior = int(values[-2]), int(values[-1])
    for first, last, passes in ((superior, inferior, True), (0, slices - inferior - 8, False)):
        path.write_text("\n".join([head, ",".join([*values[:-2], str(first), str(last)])]))
        if passes:  # the two of a pair in either order are one box
            found = library.add(tmp_path, "set2", reader(raw, "btcv"))
            assert found.cases[0].box == crop_box(small(1), 1)
        else:
            refused(
                tmp_path / "bad", reader(raw, "btcv"), "of the labelled voxels lie in the crop box"
            )


def test_without_crop_file_it_is_said(tmp_path: Path) -> None:
    raw = written(tmp_path / "raw", MEMBERS[1:])
    (raw / "labels" / "cropping.csv").unlink()
    found = add(tmp_path, reader(raw, "btcv"))
    assert found.cases[0].box is None
    assert any("no cropping.csv" in line for line in found.origin["warnings"])
