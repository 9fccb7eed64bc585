"""One scan is one array, in whatever transfer syntax its slices are stored."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK
from dicom_forms import FORMS, edited, stored_as
from native import add, refused, small

from benchmark.data.badfile import BadFile
from benchmark.data.readers.dicom import Slices, read_slices
from benchmark.data.readers.files import find_files
from benchmark.data.readers.stacks import Stacks
from benchmark.data.scan import read_scan
from benchmark.phantom.layout import Files, Header, dicom_files, on_disk, save, zipped
from benchmark.plan.keys import content_hash

DISK = on_disk(small(0))
TRUTH = DISK.image_ijk.T
NAMES = ("image_0", "image_1")


def files(form: str, change: Callable[[pydicom.Dataset], None], **header: Any) -> Files:
    plain = dicom_files(DISK.image_ijk, DISK.affine, header=Header(**header))
    return {name: stored_as(edited(plain[name], change), form) for name in NAMES}


def read(folder: Path, contents: Files) -> Slices:
    save(folder, contents)
    return read_slices(find_files(folder))


def padded(
    value: int, stored_value: int | None = None, limit: int | None = None, signed: bool = False
) -> Callable[[pydicom.Dataset], None]:
    """Rows 0 to 4 are outside the field of view."""

    def change(data: pydicom.Dataset) -> None:
        stored = data.pixel_array.astype(np.int16 if signed else np.uint16)
        stored[:5] = value if stored_value is None else stored_value
        if limit is not None:
            stored[2:5] = limit
        data.PixelRepresentation = int(signed)
        data.add_new("PixelPaddingValue", "SS" if signed else "US", value)
        if limit is not None:
            data.add_new("PixelPaddingRangeLimit", "SS" if signed else "US", limit)
        data.PixelData = stored.tobytes()

    return change


def nothing(data: pydicom.Dataset) -> None:
    pass


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("slope", [1.0, 0.5])
def test_what_has_no_padding_is_read_as_ever(tmp_path: Path, form: str, slope: float) -> None:
    found = read(tmp_path, files(form, nothing, slope=slope, intercept=-2000.0))
    for k, one in enumerate(found.slices):
        np.testing.assert_array_equal(one.values, TRUTH[k])
        assert one.values.dtype == np.int16 and not one.mended
        assert one.rescale == (slope, -2000)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "change",
    [
        padded(1), padded(1, limit=300), padded(300, limit=1), padded(60000), padded(65535),
        padded(3, signed=True), padded(3, 3, limit=200, signed=True),
    ],
)  # fmt: skip
def test_padding_becomes_air_in_every_form(
    tmp_path: Path, form: str, change: Callable[[pydicom.Dataset], None]
) -> None:
    """Intercept -1500: 1 and 300 are -1499 and -1200 HU, 60000 and 65535 more than any metal."""
    found = read(tmp_path, files(form, change, intercept=-1500.0))
    for k, one in enumerate(found.slices):
        assert (one.values[:5] == -1024).all()
        np.testing.assert_array_equal(one.values[5:], TRUTH[k, 5:])


def test_padding_that_is_no_hu_at_all(tmp_path: Path) -> None:
    for n, form in enumerate(("explicit", "JPEG2000")):
        change = padded(-32768, signed=True)
        found = read(tmp_path / str(n), files(form, change))
        assert (found.slices[0].values[:5] == -1024).all()
        np.testing.assert_array_equal(found.slices[0].values[5:], TRUTH[0, 5:])


def test_water_is_no_padding_whatever_the_header_says(tmp_path: Path) -> None:
    found = read(tmp_path, files("explicit", padded(1500, limit=1400), intercept=-1500.0))
    assert (found.slices[0].values[:2] == 0).all()
    assert (found.slices[0].values[2:5] == -100).all()


def test_a_slice_of_nothing_but_padding(tmp_path: Path) -> None:
    def all_outside(data: pydicom.Dataset) -> None:
        data.add_new("PixelPaddingValue", "US", 65535)
        data.PixelData = np.full((data.Rows, data.Columns), 65535, np.uint16).tobytes()

    for one in read(tmp_path, files("RLE", all_outside)).slices:
        assert (one.values == -1024).all()


MENDED = [
    ("explicit", padded(1), False),
    ("implicit", padded(3, signed=True), False),
    ("JPEG2000", padded(1), True),
    ("deflated", padded(1), True),
    ("big endian", padded(1), True),
    ("explicit", padded(1, limit=300), True),
    ("explicit", padded(60000), True),
    ("explicit", padded(1, stored_value=2), False),  # none there
]


def stack(folder: Path, form: str, change: Callable[[pydicom.Dataset], None]) -> Path:
    plain = dicom_files(DISK.image_ijk, DISK.affine, header=Header(intercept=-1500.0))
    slices = {name: stored_as(edited(plain[name], change), form) for name in plain}
    save(folder / "case_1" / "DICOM", slices)
    (folder / "case_1" / "Ground").mkdir()
    for k in range(DISK.image_ijk.shape[2]):
        picture = SimpleITK.GetImageFromArray((DISK.label_ijk[:, :, k].T == 1).astype(np.uint8))
        SimpleITK.WriteImage(picture, str(folder / "case_1" / "Ground" / f"mask_{k:03d}.png"))
    return folder


@pytest.mark.parametrize(("form", "change", "mended"), MENDED)
def test_identity_tells_where_voxels_are_no_more_what_they_were(
    tmp_path: Path, form: str, change: Callable[[pydicom.Dataset], None], mended: bool
) -> None:
    reader = Stacks(stack(tmp_path / "raw", form, change), "liver")
    found = add(tmp_path / "root", reader)
    volume = found.load("case_1")
    assert volume.read_by == ("dicom-2" if mended else "")
    identity = [volume.source_sha256, ["liver"], *(["dicom-2"] if mended else [])]
    assert found.cases[0].sha256 == content_hash(identity)
    scan = read_scan(tmp_path / "raw" / "case_1" / "DICOM")  # predict takes the same path
    np.testing.assert_array_equal(scan.image, volume.image)


def test_in_an_archive_padding_was_filled_before(tmp_path: Path) -> None:
    contents = files("RLE", padded(1), intercept=-1500.0)
    (tmp_path / "scan.zip").write_bytes(zipped(contents))
    found = read_slices(find_files(tmp_path))
    assert (found.slices[0].values[:5] == -1024).all() and not found.slices[0].mended


def test_what_cannot_be_decoded_is_refused_by_name(tmp_path: Path) -> None:
    def other(data: pydicom.Dataset) -> None:
        data.file_meta.TransferSyntaxUID = pydicom.uid.MPEG2MPML

    save(tmp_path, {n: edited(c, other) for n, c in files("JPEG2000", nothing).items()})
    with pytest.raises(BadFile, match=r"pixels of .*image_0 cannot be read \(.*, MPEG2 Main Prof"):
        read_slices(find_files(tmp_path))


def test_a_slope_of_zero_is_refused(tmp_path: Path) -> None:
    for form in ("explicit", "JPEG2000"):
        folder = tmp_path / form
        save(folder, files(form, lambda data: setattr(data, "RescaleSlope", 0)))
        with pytest.raises(BadFile, match="image_0 has the rescale slope 0: its HU are lost"):
            read_slices(find_files(folder))
        shutil.rmtree(folder)


@pytest.mark.long
def test_a_case_with_one_slice_that_cannot_be_decoded_is_refused(tmp_path: Path) -> None:
    raw = stack(tmp_path / "raw", "JPEG", nothing)
    path = raw / "case_1" / "DICOM" / "image_3"
    path.write_bytes(
        edited(path.read_bytes(), lambda d: setattr(d, "PixelData", b"\xfe\xff\0\xe0"))
    )
    refused(tmp_path / "root", Stacks(raw, "liver"), "image_3 cannot be read", "JPEG Lossless")
