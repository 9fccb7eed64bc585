"""Files beside a case's slices: taken, left out with a word, or refused for the true reason."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from dicom_forms import edited
from native import ORGANS, refused, same, small, write_ircadb

from benchmark.data.badfile import BadFile
from benchmark.data.readers.dicom import read_slices
from benchmark.data.readers.files import find_files
from benchmark.data.readers.ircadb import Ircadb
from benchmark.data.readers.multi_organ import MultiOrgan
from benchmark.data.readers.stacks import Stacks
from benchmark.data.scan import read_scan
from benchmark.errors import BadInput
from benchmark.phantom import downloads
from benchmark.phantom.downloads import IrcadbOptions
from benchmark.phantom.layout import Files, Header, dicom_files, on_disk, save

DISK = on_disk(small(0))
COUNT = DISK.image_ijk.shape[2]
SLICES = dicom_files(DISK.image_ijk, DISK.affine, header=Header())
SEG = "1.2.840.10008.5.1.4.1.1.66.4"
CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def of_another_series(**values: object) -> bytes:
    def change(data: pydicom.Dataset) -> None:
        data.SeriesInstanceUID += ".9"
        for name, value in values.items():
            setattr(data, name, value)

    return edited(SLICES["image_5"], change)


def page() -> bytes:
    picture = np.zeros((8, 8, 3), np.uint8).tobytes()
    return of_another_series(
        SOPClassUID=CAPTURE, SamplesPerPixel=3, PhotometricInterpretation="RGB", Rows=8, Columns=8,
        BitsAllocated=8, BitsStored=8, HighBit=7, PlanarConfiguration=0, PixelData=picture,
    )  # fmt: skip


def segmentation() -> bytes:
    bits = bytes(64 * 64 * COUNT // 8)
    return of_another_series(
        SOPClassUID=SEG, BitsAllocated=1, BitsStored=1, HighBit=0, NumberOfFrames=COUNT,
        PixelData=bits, Modality="SEG",
    )  # fmt: skip


def without_preamble(content: bytes) -> bytes:
    """As old systems write it: neither preamble nor mark, nor the group that names the syntax."""
    data = pydicom.dcmread(io.BytesIO(content))
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, data, enforce_file_format=False)
    start = stream.getvalue().index(b"\x08\x00\x08\x00")  # ImageType, the first of the data set
    return stream.getvalue()[start:]


FOREIGN: dict[str, tuple[bytes, str]] = {
    "LICENSE": (b"Copyright (c) nobody\n" * 40, "1 file left out, not DICOM"),
    "preview.jpg": (b"\xff\xd8\xff\xe0" + bytes(range(256)) * 4, "file left out, not DICOM"),
    "dose": (page(), "1 file of colours or several frames left out"),
    "seg": (segmentation(), "1 file of colours or several frames left out"),
    "screenshot": (of_another_series(SOPClassUID=CAPTURE), "1 slice of another kind than CT"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_file_is_left_out_with_a_word(tmp_path: Path, name: str) -> None:
    content, said = FOREIGN[name]
    save(tmp_path, {**SLICES, name: content})
    found = read_slices(find_files(tmp_path))
    assert len(found.slices) == COUNT and len(found.sha256) == COUNT + 1
    assert [said in line for line in found.warnings] == [True]
    scan = read_scan(tmp_path)
    np.testing.assert_array_equal(scan.image, small(0).image)
    assert any(said in line for line in scan.warnings)


def with_pictures(folder: Path, slices: Files) -> Path:
    save(folder / "case_1" / "DICOM", slices)
    (folder / "case_1" / "Ground").mkdir()
    for k in range(COUNT):
        picture = SimpleITK.GetImageFromArray((DISK.label_ijk[:, :, k].T == 1).astype(np.uint8))
        SimpleITK.WriteImage(picture, str(folder / "case_1" / "Ground" / f"mask_{k:03d}.png"))
    return folder


def test_in_every_layout(tmp_path: Path) -> None:
    foreign = {name: content for name, (content, _) in FOREIGN.items()}
    raw = with_pictures(tmp_path / "stack", {**SLICES, **foreign})
    (found,) = Stacks(raw, "liver").volumes()
    np.testing.assert_array_equal(found.image, small(0).image)
    write_ircadb(tmp_path / "ircadb", [small(0)], ORGANS, IrcadbOptions(packing="folders"))
    (home,) = (tmp_path / "ircadb").rglob("PATIENT_DICOM")
    save(home, foreign)
    save(home.parent / "MASKS_DICOM" / "liver", {"LICENSE": b"as you like"})
    (found,) = Ircadb(tmp_path / "ircadb").volumes()
    same(found, small(0))
    member = downloads.Member(volume=small(0), source="tcia", number=7)
    options = downloads.MultiOrganOptions(archives=False)
    downloads.write_multi_organ(tmp_path / "multi", [member], ORGANS, options)
    home = next((tmp_path / "multi" / "tcia").rglob("1-*.dcm")).parent
    save(home, foreign)
    roots = tmp_path / "multi" / "labels", {"tcia": tmp_path / "multi" / "tcia"}
    (found,) = MultiOrgan(*roots).volumes()
    np.testing.assert_array_equal(found.image, small(0).image)


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("image_5", b"<html>404</html>" * 99, "image_5 is not a DICOM file"),
        ("image_5", b"", "image_5 is not a DICOM file"),
        ("other.dcm", b"<html>404</html>" * 99, "other.dcm is not a DICOM file"),
        ("zeros", bytes(10_000), "zeros is not a DICOM file"),
        ("image_5", SLICES["image_5"][:400], "image_5 "),
        ("image_5", SLICES["image_5"][:-999], "the pixels of .*image_5 cannot be read"),
        ("image_99", edited(SLICES["image_5"], lambda d: d.__delattr__("PixelData")), "cut off"),
    ],
)
def test_what_was_a_slice_is_never_left_out(
    tmp_path: Path, name: str, content: bytes, part: str
) -> None:
    save(tmp_path, {**SLICES, name: content})
    with pytest.raises(BadFile, match=part):
        read_slices(find_files(tmp_path))


def test_colours_in_the_only_series_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "one", {"a": page()})
    with pytest.raises(BadFile, match="a holds colours or several frames"):
        read_slices(find_files(tmp_path / "one"))
    colours = edited(SLICES["image_5"], lambda data: setattr(data, "SamplesPerPixel", 3))
    save(tmp_path / "same", {**SLICES, "image_5": colours})
    with pytest.raises(BadFile, match="image_5 holds colours or several frames"):
        read_slices(find_files(tmp_path / "same"))


def test_slices_without_the_preamble_are_read(tmp_path: Path) -> None:
    for n, chosen in enumerate((["image_5"], list(SLICES))):
        bare = {name: without_preamble(SLICES[name]) for name in chosen}
        assert all(content[128:132] != b"DICM" for content in bare.values())
        save(tmp_path / str(n), {**SLICES, **bare})
        np.testing.assert_array_equal(read_scan(tmp_path / str(n)).image, small(0).image)


def test_every_slice_a_series_of_its_own(tmp_path: Path) -> None:
    """Some anonymisers make a new UID for every file."""
    own = {
        name: edited(content, lambda d, n=n: setattr(d, "SeriesInstanceUID", f"1.2.{n}"))
        for n, (name, content) in enumerate(SLICES.items())
    }
    save(tmp_path / "ct", own)
    scan = read_scan(tmp_path / "ct")
    np.testing.assert_array_equal(scan.image, small(0).image)
    assert "every slice is a series of its own; all are taken as one" in scan.warnings
    with pytest.raises(BadInput, match="holds 2 DICOM series"):
        half = {name: own[name] if int(name[6:]) == 5 else SLICES[name] for name in SLICES}
        save(tmp_path / "two", half)
        read_scan(tmp_path / "two")
    member = downloads.Member(volume=small(0), source="tcia", number=7)
    options = downloads.MultiOrganOptions(archives=False)
    downloads.write_multi_organ(tmp_path / "multi", [member], ORGANS, options)
    for path in (tmp_path / "multi" / "tcia").rglob("2-*.dcm"):
        path.unlink()  # its second series
    for n, path in enumerate(sorted((tmp_path / "multi" / "tcia").rglob("1-*.dcm"))):
        own = edited(path.read_bytes(), lambda d, n=n: setattr(d, "SeriesInstanceUID", f"1.2.{n}"))
        path.write_bytes(own)
    roots = tmp_path / "multi" / "labels", {"tcia": tmp_path / "multi" / "tcia"}
    (found,) = MultiOrgan(*roots).volumes()
    np.testing.assert_array_equal(found.image, small(0).image)


def test_a_gap_in_them_is_still_refused(tmp_path: Path) -> None:
    raw = with_pictures(tmp_path / "raw", {**SLICES, "LICENSE": b"text"})
    (raw / "case_1" / "DICOM" / "image_5").unlink()
    refused(tmp_path / "root", Stacks(raw, "liver"), "1 missing there")
