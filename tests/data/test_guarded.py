"""Whatever a library makes of a file ends in that case's refusal, and in nothing else."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nnunet_files import AFFINE, LABELS, add, arrays, make, refused, save

from benchmark.data import library
from benchmark.data.readers.nifti import read_nifti
from benchmark.data.readers.pairs import Pairs
from benchmark.data.scan import label_bytes, read_scan
from benchmark.data.volume import from_canonical
from benchmark.errors import BadInput
from benchmark.testing import tiny_volume

QUATERNION, QFORM_CODE, SFORM_CODE = 256, 252, 254  # where the header of NIfTI-1 has them


def turned(path: Path, array: np.ndarray, affine: np.ndarray, longer: float, sform: int) -> Path:
    """A file whose qform is turned by 180 degrees, its quaternion's square longer than 1."""
    image = nib.Nifti1Image(array, affine)
    image.set_qform(affine, 1)
    content = bytearray(image.to_bytes())
    quaternion = np.array(struct.unpack_from("<3f", content, QUATERNION))
    assert abs(np.linalg.norm(quaternion) - 1) < 1e-6
    struct.pack_into("<3f", content, QUATERNION, *(quaternion * np.sqrt(1 + longer)).tolist())
    struct.pack_into("<2h", content, QFORM_CODE, 1, sform)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("longer", [1e-6, 3e-6])
@pytest.mark.parametrize("sform", [0, 1])
def test_a_quaternion_longer_than_one_by_rounding_is_read(
    tmp_path: Path, longer: float, sform: int
) -> None:
    image, _ = arrays(0)
    found = read_nifti(turned(tmp_path / "ct.nii", image, AFFINE, longer, sform))
    np.testing.assert_allclose(found.affine, AFFINE, atol=1e-4)
    np.testing.assert_array_equal(found.array, image)
    assert found.warnings == ()


def test_a_broken_qform_beside_a_sform_is_a_warning(tmp_path: Path) -> None:
    image, label = arrays(0)
    for longer in (0.2, 3.0, np.nan):
        path = turned(tmp_path / "ct.nii", image, AFFINE, longer, 1)
        (said,) = read_nifti(path).warnings
        assert "its qform is broken" in said and "sform is used" in said
        labels = save(tmp_path / "label.nii", label)
        (volume,) = Pairs(path, labels, {"liver": 1}).volumes()
        assert volume.geometry.spacing_mm == (20, 18, 18)


def test_a_broken_qform_alone_is_that_cases_refusal(tmp_path: Path) -> None:
    raw = make(tmp_path / "raw", file_ending=".nii.gz")
    turned(raw / "imagesTr" / "c1_0000.nii.gz", arrays(1)[0], AFFINE, 0.2, 0)
    refused(tmp_path, raw, "case c1: c1_0000.nii.gz cannot be read: w2 should be positive")
    assert [case.name for case in add(tmp_path, raw, skip_bad=True).cases] == ["c0", "c2"]


@pytest.mark.parametrize(("longer", "sform"), [(3e-6, 0), (3e-6, 1), (0.2, 1)])
def test_predict_takes_them_and_writes_what_everybody_reads(
    tmp_path: Path, longer: float, sform: int
) -> None:
    volume = tiny_volume(0)
    array = from_canonical(volume.image, volume.geometry)
    affine = np.array(volume.geometry.affine)
    scan = read_scan(turned(tmp_path / "ct.nii", array, affine, longer, sform))
    np.testing.assert_array_equal(scan.image, volume.image)
    (tmp_path / "out.nii").write_bytes(label_bytes(volume.label, scan, packed=False))
    written = nib.load(tmp_path / "out.nii")
    np.testing.assert_allclose(written.affine, affine, atol=1e-4)
    if written.header["qform_code"]:
        np.testing.assert_allclose(written.get_qform(), affine, atol=0.02)  # mm, in 32 bits


def test_predict_refuses_a_broken_qform_in_one_line(tmp_path: Path) -> None:
    volume = tiny_volume(0)
    array = from_canonical(volume.image, volume.geometry)
    path = turned(tmp_path / "ct.nii", array, np.array(volume.geometry.affine), 0.2, 0)
    with pytest.raises(BadInput, match=r"ct\.nii cannot be read: w2 should be") as caught:
        read_scan(path)
    assert len(str(caught.value).splitlines()) == 1


class Odd(Pairs):
    """Two pairs, of which one makes a library raise what nobody thought of."""

    cases = ("good", "odd")

    def read(self, case):
        if case == "odd":
            raise LookupError("a library's\nown words")
        (name,) = self.by_case
        volume, checks = super().read(name)
        return replace(volume, case=case), checks

    def digest(self, case):
        if case == "odd":
            raise LookupError("again")
        return super().digest(*self.by_case)


def test_anything_that_is_raised_is_one_cases_refusal(tmp_path: Path) -> None:
    image, label = arrays(0)
    files = save(tmp_path / "ct.nii", image), save(tmp_path / "label.nii", label)
    with pytest.raises(BadInput, match="case odd: one of its files cannot be read: a library's ow"):
        library.add(tmp_path, "odd", Odd(*files, {"liver": LABELS["liver"]}))
    added = library.add(tmp_path, "odd", Odd(*files, {"liver": 1}), skip_bad=True)
    assert [case.name for case in added.cases] == ["good"]


def test_a_quaternion_shorter_than_one_keeps_its_small_turn(tmp_path: Path) -> None:
    """Its missing part is a turn of its own: 0.3 degrees here, which no tolerance may swallow."""
    image, _ = arrays(0)
    path = turned(tmp_path / "ct.nii", image, AFFINE, -7e-6, 0)
    np.testing.assert_array_equal(read_nifti(path).affine, nib.load(path).affine)
    assert np.abs(read_nifti(path).affine - AFFINE).max() > 0.05
