"""A CT of one's own: what is read, what is refused, and label maps back on its grid."""

from __future__ import annotations

import gzip
from itertools import permutations, product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from benchmark.data.scan import PLACE, label_bytes, read_scan
from benchmark.data.volume import from_canonical, to_canonical
from benchmark.errors import BadInput
from benchmark.testing import tiny_volume

VOLUME = tiny_volume(0)
DISK = from_canonical(VOLUME.image, VOLUME.geometry)
AFFINE = np.array(VOLUME.geometry.affine)
FIELDS = ("sform_code", "qform_code", "srow_x", "srow_y", "srow_z", "pixdim", "quatern_b")


def save(path: Path, array: Any = DISK, affine: Any = AFFINE, kind: Any = nib.Nifti1Image) -> Path:
    nib.save(kind(array, affine), path)
    return path


def turned(
    array: Any, affine: Any, axes: tuple[int, ...], flips: tuple[bool, ...]
) -> tuple[Any, Any]:
    """The same patient with the array's axes in another order, some running backwards."""
    moved = np.array(affine)[:, [*axes, 3]]
    array = np.transpose(array, axes)
    for axis, flip in enumerate(flips):
        if flip:
            array = np.flip(array, axis)
            moved[:, 3] += moved[:, axis] * (array.shape[axis] - 1)
            moved[:, axis] *= -1
    return np.ascontiguousarray(array), moved


def raw_header(content: bytes) -> Any:
    return nib.Nifti1Header(content[:348], check=False)


@pytest.mark.parametrize("axes", list(permutations(range(3))))
def test_every_flip_and_order_of_axes_comes_back_exactly(
    axes: tuple[int, ...], tmp_path: Path
) -> None:
    label_ijk = from_canonical(VOLUME.label, VOLUME.geometry)
    for flips in product((False, True), repeat=3):
        image, affine = turned(DISK, AFFINE, axes, flips)
        expected, _ = turned(label_ijk, AFFINE, axes, flips)
        scan = read_scan(save(tmp_path / "ct.nii", image, affine))
        np.testing.assert_array_equal(scan.image, VOLUME.image)
        assert scan.voxel_ml == pytest.approx(2 / 1000)
        written = nib.Nifti1Image.from_bytes(label_bytes(VOLUME.label, scan, packed=False))
        np.testing.assert_array_equal(np.asarray(written.dataobj), expected)
        np.testing.assert_array_equal(written.affine, affine)


def test_a_label_map_is_uint8_with_slope_one_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    scan = read_scan(save(tmp_path / "ct.nii.gz"))
    packed = label_bytes(VOLUME.label, scan, packed=True, note="bench é" + "x" * 99)
    assert packed == label_bytes(VOLUME.label, scan, packed=True, note="bench é" + "x" * 99)
    header = raw_header(gzip.decompress(packed))
    assert header["datatype"] == 2 and (header["scl_slope"], header["scl_inter"]) == (1, 0)
    assert bytes(header["descrip"]).startswith(b"bench ?xx")


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_both_forms_and_all_digits_of_the_place_stay(kind: Any, tmp_path: Path) -> None:
    """An oblique scan with an sform unlike its qform, in either format, with a name."""
    angle = np.deg2rad(7)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    image = kind(DISK, turn @ AFFINE @ np.diag([0.73, 0.71, 1.31, 1]))
    image.set_qform(AFFINE, 2)
    image.set_sform(image.affine, 4)
    image.header["descrip"] = b"Doe^Jane"
    nib.save(image, tmp_path / "ct.nii.gz")
    scan = read_scan(tmp_path / "ct.nii.gz")
    written = kind.from_bytes(label_bytes(VOLUME.label, scan, packed=False))
    read = nib.load(tmp_path / "ct.nii.gz").header
    for name in PLACE:
        assert written.header[name].tobytes() == read[name].tobytes(), name
    assert type(written) is kind and b"Doe" not in written.to_bytes()
    assert scan.voxel_ml == pytest.approx(2 * 0.73 * 0.71 * 1.31 / 1000)
    back, _ = to_canonical(np.asarray(written.dataobj), written.affine)
    np.testing.assert_array_equal(back, VOLUME.label)


def test_scaled_and_float_files_give_the_same_hu(tmp_path: Path) -> None:
    scaled = nib.Nifti1Image((DISK + 1024).astype(np.uint16), AFFINE)
    scaled.header.set_slope_inter(1, -1024)
    nib.save(scaled, tmp_path / "scaled.nii")
    content = bytearray((tmp_path / "scaled.nii").read_bytes())
    content[112:120] = np.array([1, -1024], "<f4").tobytes()  # nibabel takes its own slope
    content[352:] = (DISK + 1024).astype("<u2").tobytes(order="F")
    (tmp_path / "scaled.nii").write_bytes(content)
    save(tmp_path / "float.nii", DISK.astype(np.float32) + np.float32(0.2))
    for name in ("scaled", "float"):
        np.testing.assert_array_equal(read_scan(tmp_path / f"{name}.nii").image, VOLUME.image)


def no_place(path: Path) -> None:
    image = nib.Nifti1Image(DISK, None)
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    nib.save(image, path)


BAD: dict[str, tuple[Any, str]] = {
    "missing": (lambda path: None, "there is no"),
    "text": (lambda path: path.write_text("hello"), "cannot be read"),
    "cut": (lambda path: path.write_bytes(save(path).read_bytes()[:900]), "cannot be read"),
    "no place": (no_place, "has no geometry"),
    "flat": (lambda path: save(path, DISK[0]), "a CT has 3 axes"),
    "picture": (lambda path: save(path, (DISK % 256).astype(np.uint8)), "is not a CT"),
    "magnet": (lambda path: save(path, DISK + 1000), "is not a CT"),
    "constant": (lambda path: save(path, np.full_like(DISK, -1000)), "is not a CT"),
    "huge": (lambda path: save(path, DISK.astype(np.float32) * 1e5), "cannot be HU"),
    "nan": (lambda path: save(path, DISK / np.where(DISK > 200, 0.0, 1.0)), "NaN or infinite"),
    "metres": (lambda path: save(path, DISK, np.diag([1e-3, 1e-3, 2e-3, 1])), "millimetres"),
}


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize("what", BAD)
def test_what_is_no_ct_is_refused_in_one_line(what: str, tmp_path: Path) -> None:
    make, words = BAD[what]
    make(tmp_path / "ct.nii")
    with pytest.raises(BadInput, match=words) as caught:
        read_scan(tmp_path / "ct.nii")
    assert len(str(caught.value).splitlines()) == 1
