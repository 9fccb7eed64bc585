"""DICOM series: what is refused with its figure, and what is read right all the same."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from native import small

from benchmark.data.badfile import BadFile
from benchmark.data.readers.dicom import read_slices
from benchmark.data.readers.files import find_files
from benchmark.data.readers.series import Series, assemble
from benchmark.phantom.layout import Files, Header, dicom_files, on_disk, save

DISK = on_disk(small(0))
COUNT = DISK.image_ijk.shape[2]


def files(**changes: object) -> Files:
    return dicom_files(DISK.image_ijk, DISK.affine, header=Header(**changes))


def read(folder: Path, contents: Files, **options: bool) -> Series:
    save(folder, contents)
    return assemble(read_slices(find_files(folder)).slices, **options)


def edited(content: bytes, change: Callable[[pydicom.Dataset], None]) -> bytes:
    data = pydicom.dcmread(io.BytesIO(content))
    change(data)
    stream = io.BytesIO()
    data.save_as(stream)
    return stream.getvalue()


def test_hu_and_affine_come_back(tmp_path: Path) -> None:
    series = read(tmp_path, files())
    np.testing.assert_array_equal(series.values_kji, DISK.image_ijk.T)
    np.testing.assert_allclose(series.affine, DISK.affine, atol=1e-6)
    assert series.order == tuple(range(COUNT)) and series.warnings == ()


def test_spacing_is_the_distance_of_positions_and_not_the_thickness(tmp_path: Path) -> None:
    series = read(tmp_path, files(thickness_mm=99.0))
    assert np.linalg.norm(series.affine[:3, 2]) == pytest.approx(small(0).geometry.spacing_mm[0])


def test_order_is_of_positions_and_not_of_names_or_numbers(tmp_path: Path) -> None:
    order = [7, 3, *[k for k in range(COUNT) if k not in (3, 7)]]
    contents = dicom_files(DISK.image_ijk, DISK.affine, header=Header(), order=order)
    series = read(tmp_path, contents)
    np.testing.assert_array_equal(series.values_kji, DISK.image_ijk.T)
    assert series.order[3] == 1 and series.order[7] == 0


@pytest.mark.parametrize("k", [1, COUNT // 2, COUNT - 2])
def test_a_missing_slice_leaves_a_gap(tmp_path: Path, k: int) -> None:
    contents = files()
    del contents[f"image_{k}"]
    with pytest.raises(BadFile, match=r"slices are 14\.\d+ mm apart, but 28\.\d+ mm .*1 missing"):
        read(tmp_path, contents)


def test_a_duplicate_is_refused_or_dropped_when_it_is_the_same(tmp_path: Path) -> None:
    contents = files()
    contents["image_99"] = contents["image_4"]
    with pytest.raises(BadFile, match="lie in the same place"):
        read(tmp_path, contents)
    series = read(tmp_path, contents, drop_equal=True)
    np.testing.assert_array_equal(series.values_kji, DISK.image_ijk.T)
    assert series.warnings == ("1 slice came twice; each is used once",)

    def darker(data: pydicom.Dataset) -> None:
        data.RescaleIntercept = -1025

    contents["image_99"] = edited(contents["image_4"], darker)
    with pytest.raises(BadFile, match="lie in the same place"):
        read(tmp_path, contents, drop_equal=True)


@pytest.mark.parametrize(("degrees", "refused"), [(0.0, False), (0.3, False), (5.0, True)])
def test_a_tilted_gantry(tmp_path: Path, degrees: float, refused: bool) -> None:
    affine = DISK.affine.copy()
    step = np.linalg.norm(affine[:3, 2])
    affine[1, 2] += step * math.tan(math.radians(degrees))
    contents = dicom_files(DISK.image_ijk, affine, header=Header())
    if refused:
        with pytest.raises(BadFile, match="the gantry is tilted by 5 degrees"):
            read(tmp_path, contents)
    else:
        assert any("sheared" in line for line in read(tmp_path, contents).warnings) == (degrees > 0)


def change_first(name: str, value: object) -> Files:
    contents = files()
    contents["image_5"] = edited(contents["image_5"], lambda data: setattr(data, name, value))
    return contents


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("PixelSpacing", [9, 9], "differ in pixel spacing by"),
        ("ImageOrientationPatient", [0, 1, 0, 1, 0, 0], "differ in direction by 1"),
        ("ImagePositionPatient", None, "1 of 18 slices do not say where they lie"),
        ("ImagePositionPatient", ["nan", 0, 0], "1 of 18 slices do not say where they lie"),
        ("SamplesPerPixel", 3, "colours or several frames"),
        ("NumberOfFrames", 4, "colours or several frames"),
    ],
)
def test_slices_that_do_not_fit(tmp_path: Path, name: str, value: object, part: str) -> None:
    with pytest.raises(BadFile, match=part):
        read(tmp_path, change_first(name, value))


def test_a_slice_off_the_line(tmp_path: Path) -> None:
    contents = files()

    def aside(data: pydicom.Dataset) -> None:
        x, y, z = data.ImagePositionPatient
        data.ImagePositionPatient = [float(x) + 3, y, z]

    contents["image_5"] = edited(contents["image_5"], aside)
    with pytest.raises(BadFile, match="do not lie on a line: one is 3 mm off"):
        read(tmp_path, contents)


def test_each_slice_has_its_own_rescale(tmp_path: Path) -> None:
    contents = files()
    other = files(slope=0.5, intercept=-2000.0)
    contents |= {f"image_{k}": other[f"image_{k}"] for k in range(0, COUNT, 2)}
    series = read(tmp_path, contents)
    np.testing.assert_array_equal(series.values_kji, DISK.image_ijk.T)
    assert series.warnings == ("slices have different rescale values; each is applied to its own",)


@pytest.mark.parametrize("kind", ["SS", "US", "implicit"])
def test_padding_becomes_air(tmp_path: Path, kind: str) -> None:
    def pad(data: pydicom.Dataset) -> None:
        stored = data.pixel_array.astype(np.int16)
        stored[:5] = -2000
        data.PixelRepresentation = 1
        value = -2000 % 65536 if kind == "US" else -2000
        data.add_new("PixelPaddingValue", "US" if kind == "US" else "SS", value)
        data.PixelData = stored.tobytes()
        if kind == "implicit":
            data.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian

    contents = {name: edited(content, pad) for name, content in files().items()}
    found = read(tmp_path, contents).values_kji
    assert (found[:, :5] == -1024).all()
    np.testing.assert_array_equal(found[:, 5:], DISK.image_ijk.T[:, 5:])


def test_scouts_and_reports_are_left_out(tmp_path: Path) -> None:
    contents = files()

    def scout(data: pydicom.Dataset) -> None:
        data.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]

    contents["scout"] = edited(contents["image_5"], scout)
    contents["report"] = edited(contents["image_5"], lambda data: data.__delattr__("PixelData"))
    save(tmp_path, contents)
    found = read_slices(find_files(tmp_path))
    assert len(found.slices) == COUNT and len(found.sha256) == COUNT + 2
    assert found.warnings == ["2 files without a slice left out (scout views, reports)"]


def test_values_that_are_no_hu(tmp_path: Path) -> None:
    contents = files()
    contents["image_0"] = edited(
        contents["image_0"], lambda data: setattr(data, "RescaleIntercept", 60000)
    )
    with pytest.raises(BadFile, match="after rescaling: no HU"):
        read(tmp_path, contents)


def test_one_slice_is_no_volume(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="1 slices: at least two"):
        read(tmp_path, {"image_0": files()["image_0"]})


def test_compressed_slices_are_read_by_simpleitk(tmp_path: Path) -> None:
    """JPEG 2000 without loss, as SimpleITK writes it."""
    plain = SimpleITK.GetImageFromArray(DISK.image_ijk.T[5:6])
    plain.SetMetaData("0028|1052", "-1024")
    plain.SetMetaData("0028|1053", "1")
    path = tmp_path / "slice.dcm"
    writer = SimpleITK.ImageFileWriter()
    writer.SetFileName(str(path))
    writer.SetUseCompression(True)
    writer.SetCompressor("JPEG2000")
    writer.Execute(plain)
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID.is_compressed
    (found,) = read_slices(find_files(tmp_path)).slices
    np.testing.assert_array_equal(found.values, DISK.image_ijk.T[5])
