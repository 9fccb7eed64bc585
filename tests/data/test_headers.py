"""Headers that say a thing twice, scale a label, or belong to a pair of files."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nnunet_files import AFFINE, add, arrays, make, refused

from benchmark.cli.main import main
from benchmark.data.badfile import BadFile
from benchmark.data.readers.multi_organ import MultiOrgan
from benchmark.data.readers.nifti import nifti_of, read_nifti
from benchmark.data.readers.pairs import Pairs

PAIR_KINDS = [nib.Nifti1Pair, nib.Nifti2Pair, nib.AnalyzeImage, nib.Spm99AnalyzeImage]


def with_pixdim(path: Path, factor: float, qform: int = 0) -> Path:
    """An image whose pixdim is `factor` times the lengths of its sform."""
    image = nib.Nifti1Image(arrays(0)[0], AFFINE)
    image.set_sform(AFFINE, 1)
    image.set_qform(AFFINE, qform)
    image.header["pixdim"][1:4] = np.array([18.0, 18.0, 20.0]) * factor
    path.write_bytes(image.to_bytes())
    return path


def test_another_pixdim_beside_a_lone_sform_is_said_with_both(tmp_path: Path) -> None:
    (line,) = read_nifti(with_pixdim(tmp_path / "a.nii", 1.2)).warnings
    assert line == (
        "a.nii: voxels of 21.6 x 21.6 x 24 mm in its pixdim and of 18 x 18 x 20 mm in its sform; "
        "sform is used, ITK and MONAI may read the other"
    )
    for factor in (1.0, 1 + 1e-4):
        assert read_nifti(with_pixdim(tmp_path / "a.nii", factor)).warnings == ()
    (line,) = read_nifti(with_pixdim(tmp_path / "a.nii", 1.2, qform=1)).warnings
    assert "sform and qform lie" in line


def test_the_warning_reaches_whoever_adds(tmp_path: Path) -> None:
    raw = make(tmp_path / "raw", 1)
    with_pixdim(raw / "imagesTr" / "c0_0000.nii.gz", 1.2)
    found = add(tmp_path, raw)
    assert "24 mm in its pixdim" in found.origin["warnings"][0]
    assert found.cases[0].geometry.spacing_mm == (20.0, 18.0, 18.0)


def scaled(path: Path, slope: float, inter: float = 0.0) -> None:
    """A label whose stored numbers are whole, and no longer are once the header scaled them."""
    image = nib.Nifti1Image(arrays(1)[1], AFFINE)
    content = bytearray(image.to_bytes())
    header = image.header.copy()
    header["scl_slope"], header["scl_inter"] = slope, inter
    header["vox_offset"], header["magic"] = 352, b"n+1"
    content[:348] = header.binaryblock
    path.write_bytes(content)


def test_a_scaled_label_names_the_scaling(tmp_path: Path) -> None:
    raw = make(tmp_path / "raw", 2)
    scaled(raw / "labelsTr" / "c1.nii.gz", 0.998)
    text = "some are off by 0.004; its header scales what is stored (scl_slope = 0.998, scl_inter"
    refused(tmp_path, raw, "case c1", text, "write it with 1 and 0")
    ids = {"liver": 1, "left_kidney": 2}
    pair = Pairs(raw / "imagesTr" / "c1_0000.nii.gz", raw / "labelsTr" / "c1.nii.gz", ids)
    assert text in pair.read_case("c1_0000").checks[0].message
    folder = tmp_path / "label_btcv_multiorgan"
    folder.mkdir()
    (folder / "label0001.nii.gz").write_bytes((raw / "labelsTr" / "c1.nii.gz").read_bytes())
    (folder / "img0001.nii.gz").write_bytes((raw / "imagesTr" / "c1_0000.nii.gz").read_bytes())
    multi = MultiOrgan(folder, {"btcv": folder}, ["liver"])
    assert text in multi.read_case("btcv_0001").checks[0].message


def test_a_scaling_that_changes_nothing_or_a_label_of_floats_is_not_blamed(tmp_path: Path) -> None:
    raw = make(tmp_path / "raw", 2)
    scaled(raw / "labelsTr" / "c0.nii.gz", 1.0)
    broken = nib.Nifti1Image(arrays(1)[1] + np.float32(0.25), AFFINE)
    broken.to_filename(raw / "labelsTr" / "c1.nii.gz")
    refused(tmp_path, raw, "case c1: the label does not hold whole numbers: some are off by 0.25\n")
    assert [case.name for case in add(tmp_path, raw, skip_bad=True).cases] == ["c0"]


@pytest.mark.parametrize("kind", PAIR_KINDS)
@pytest.mark.parametrize("half", ["hdr", "img"])
def test_a_pair_of_files_is_said_not_to_be_read(tmp_path: Path, kind: type, half: str) -> None:
    nib.save(kind(arrays(0)[0], AFFINE), tmp_path / "one.img")
    with pytest.raises(BadFile, match=rf"one\.{half} belongs to a \.hdr/\.img pair.*\.nii\.gz"):
        read_nifti(tmp_path / f"one.{half}")


def test_a_header_of_a_pair_under_another_name(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Pair(arrays(0)[0], AFFINE), tmp_path / "one.img")
    with pytest.raises(BadFile, match=r"belongs to a \.hdr/\.img pair"):
        nifti_of("one.nii", (tmp_path / "one.hdr").read_bytes())


def test_the_commands_say_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nib.save(nib.Nifti1Pair(arrays(0)[0], AFFINE), tmp_path / "one.img")
    hdr = str(tmp_path / "one.hdr")
    root = ["--root", str(tmp_path / "root")]
    assert main(["data", "add", "pair", hdr, hdr, "--map", "liver=1", *root, "--name", "x"]) == 2
    assert "pair, which is not read: convert it to .nii.gz" in capsys.readouterr().err
    folder = tmp_path / "folder"
    folder.mkdir()
    nib.save(nib.Nifti1Pair(arrays(0)[0], AFFINE), folder / "one.img")
    words = [str(folder), str(folder), "--map", "liver=1", *root]
    assert main(["data", "add", "pair", *words]) == 2
    assert ".hdr/.img pairs are not read" in capsys.readouterr().err
