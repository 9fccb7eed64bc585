"""Pipes, devices and small files that grow: refused for what they are, and nothing waits."""

from __future__ import annotations

import gzip
import os
import signal
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from dicom_forms import edited, stored_as
from native import add, refused, small
from nnunet_files import add as add_raw
from nnunet_files import arrays, make, save
from nnunet_files import refused as refused_raw

from benchmark.data import library
from benchmark.data.badfile import BadFile, read_regular
from benchmark.data.readers import dicom
from benchmark.data.readers import nifti as unpack
from benchmark.data.readers.dicom import read_slices
from benchmark.data.readers.files import find_files
from benchmark.data.readers.nifti import read_nifti
from benchmark.data.readers.nnunet import NnUNetRaw
from benchmark.data.readers.pairs import Pairs
from benchmark.data.readers.stacks import Stacks
from benchmark.data.scan import read_scan
from benchmark.errors import BadInput
from benchmark.phantom.layout import Header, dicom_files, on_disk
from benchmark.phantom.layout import save as save_files

DISK = on_disk(small(0))
SLICES = dicom_files(DISK.image_ijk, DISK.affine, header=Header())
needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    """Whoever waits for a pipe is woken, and the test fails."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def wake(*_: object) -> None:
        raise AssertionError("it waits for a pipe")

    before = signal.signal(signal.SIGALRM, wake)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@needs_pipes
@pytest.mark.parametrize("kind", ["image", "label"])
def test_a_pipe_in_a_set_is_that_cases_refusal(tmp_path: Path, kind: str) -> None:
    raw = make(tmp_path / "raw")
    path = raw / ("imagesTr/c1_0000.nii.gz" if kind == "image" else "labelsTr/c1.nii.gz")
    path.unlink()
    os.mkfifo(path)
    refused_raw(tmp_path, raw, f"case c1: {path.name} is a pipe, not a file")
    added = add_raw(tmp_path, raw, skip_bad=True)
    assert [case.name for case in added.cases] == ["c0", "c2"]
    assert library.add(tmp_path, "set", NnUNetRaw(raw)) == added
    reader = Pairs(raw / "imagesTr", raw / "labelsTr", {"liver": 1})
    refused(tmp_path / "pairs", reader, f"{path.name} is a pipe, not a file")


@needs_pipes
def test_a_pipe_for_a_description_or_a_scan(tmp_path: Path) -> None:
    raw = make(tmp_path / "raw")
    (raw / "dataset.json").unlink()
    os.mkfifo(raw / "dataset.json")
    with pytest.raises(BadInput, match=r"dataset\.json is a pipe, not a file"):
        NnUNetRaw(raw)
    os.mkfifo(tmp_path / "ct.nii")
    with pytest.raises(BadInput, match=r"ct\.nii is a pipe, not a file"):
        read_scan(tmp_path / "ct.nii")
    os.mkfifo(raw / "imagesTr" / "slice")
    assert all(entry.name != "slice" for entry in find_files(raw))


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no endless device here")
def test_a_link_to_an_endless_device(tmp_path: Path) -> None:
    raw = make(tmp_path / "raw")
    path = raw / "imagesTr" / "c1_0000.nii.gz"
    path.unlink()
    path.symlink_to("/dev/zero")
    refused_raw(tmp_path, raw, "case c1: c1_0000.nii.gz is a device, not a file")
    with pytest.raises(BadInput, match="is a device"):
        read_scan(path)


def test_regular_files_and_links_to_them_are_read_within_a_bound(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert read_regular(tmp_path / "b", 100) == b"x" * 100
    with pytest.raises(BadFile, match="a is over"):
        read_regular(tmp_path / "a", 99)
    with pytest.raises(BadFile, match="is a folder, not a file"):
        read_regular(tmp_path)
    with pytest.raises(BadFile, match="cannot be read: No such file"):
        read_regular(tmp_path / "c")


def head(shape: tuple[int, ...], kind: type = np.uint8, slope: float = 1) -> bytes:
    header = nib.Nifti1Header()
    header.set_data_dtype(kind)
    header.set_data_shape(shape)
    header["vox_offset"], header["magic"] = 352, b"n+1"
    header["scl_slope"] = slope
    return header.binaryblock + bytes(4)


def test_size_counts_after_scaling(tmp_path: Path) -> None:
    """1024 x 1024 x 700 bytes are 0.7 GiB, and 5.5 GiB once a slope makes them float."""
    path = tmp_path / "ct.nii.gz"
    path.write_bytes(gzip.compress(head((1024, 1024, 700), slope=0.5)))
    with pytest.raises(BadFile, match=r"asks for 5\.5 GiB \(1024x1024x700, scaled\), at most 4"):
        read_nifti(path)


def test_a_small_file_that_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ct.nii.gz"
    path.write_bytes(gzip.compress(head((1024, 1024, 600), np.int16)))
    with pytest.raises(BadFile, match=r"asks for 1\.2 GiB \(1024x1024x600\), \d+ times the file"):
        read_nifti(path)
    monkeypatch.setattr(unpack, "RATIO_FROM", 2**20)
    path.write_bytes(gzip.compress(head((256, 256, 40)) + bytes(256 * 256 * 40)))
    with pytest.raises(BadFile, match="times the file"):
        read_nifti(path)
    save(path, np.random.default_rng(0).integers(0, 9, (256, 256, 40)).astype(np.uint8))
    assert read_nifti(path).array.shape == (256, 256, 40)


def test_what_goes_on_behind_the_volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image, _ = arrays(0)
    whole = gzip.decompress(save(tmp_path / "ct.nii.gz", image).read_bytes())
    (tmp_path / "more.nii.gz").write_bytes(gzip.compress(whole + bytes(1000)))
    np.testing.assert_array_equal(read_nifti(tmp_path / "more.nii.gz").array, image)
    (tmp_path / "more.nii.gz").write_bytes(gzip.compress(whole + bytes(18 * 2**20)))
    with pytest.raises(BadFile, match="goes on for more than 16 MiB behind its volume"):
        read_nifti(tmp_path / "more.nii.gz")
    content = bytearray(whole)
    struct.pack_into("<f", content, 108, 4.2e9)  # where the data start
    (tmp_path / "far.nii").write_bytes(content)
    with pytest.raises(BadFile, match=r"far\.nii"):
        read_nifti(tmp_path / "far.nii")


def test_a_deflated_slice_that_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = stored_as(SLICES["image_5"], "deflated")
    save_files(tmp_path, {"a": content})
    assert len(read_slices(find_files(tmp_path)).slices) == 1
    monkeypatch.setattr(dicom, "MAX_SLICE_BYTES", 9000)  # its file is smaller, its pixels are 8192
    assert len(content) < 9000
    assert len(read_slices(find_files(tmp_path)).slices) == 1
    start = 144 + int.from_bytes(content[140:144], "little")  # behind the group of the syntax
    plain = zlib.decompress(content[start:], wbits=-15)
    packer = zlib.compressobj(wbits=-15)
    grown = packer.compress(plain + bytes(10_000)) + packer.flush()
    save_files(tmp_path, {"a": content[:start] + grown})
    with pytest.raises(BadFile, match="a is not a single slice"):
        read_slices(find_files(tmp_path))


def test_a_slice_whose_header_asks_for_too_much(tmp_path: Path) -> None:
    def huge(data) -> None:
        data.Rows = data.Columns = 60000

    for form in ("RLE", "JPEG2000", "explicit"):
        save_files(tmp_path, {"a": edited(stored_as(SLICES["image_5"], form), huge)})
        with pytest.raises(BadFile, match="a is not a single slice"):
            read_slices(find_files(tmp_path))


def test_a_mask_is_measured_before_it_is_unpacked(tmp_path: Path) -> None:
    save_files(tmp_path / "raw" / "c" / "DICOM", SLICES)
    (tmp_path / "raw" / "c" / "Ground").mkdir()
    for k in range(DISK.image_ijk.shape[2]):
        path = tmp_path / "raw" / "c" / "Ground" / f"{k:03d}.png"
        mask = (DISK.label_ijk[:, :, k].T == 1).astype(np.uint8)
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(mask), str(path))
    assert len(add(tmp_path / "good", Stacks(tmp_path / "raw", "liver")).cases) == 1
    size = struct.pack(">4s2I5B", b"IHDR", 60000, 50000, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + size + struct.pack(">I", zlib.crc32(size))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk)  # 33 bytes, of 3 GB
    refused(
        tmp_path / "root", Stacks(tmp_path / "raw", "liver"), "measures 50000x60000, the slices"
    )
    path.write_bytes(b"BM" + bytes(100))
    refused(tmp_path / "root", Stacks(tmp_path / "raw", "liver"), "is not a whole PNG")
