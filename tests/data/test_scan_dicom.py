"""A DICOM series as a CT of one's own: its grid, whatever order its files have."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from benchmark.data.scan import label_bytes, read_scan
from benchmark.data.volume import to_canonical
from benchmark.errors import BadInput
from benchmark.phantom.layout import Header, dicom_files, on_disk, save
from benchmark.testing import tiny_volume

VOLUME = tiny_volume(0)


def write(folder: Path, flips: Any = (False, False, False), **more: Any) -> Path:
    disk = on_disk(VOLUME, flips)
    files = dicom_files(disk.image_ijk, disk.affine, **{"header": Header(), **more})
    save(folder, files)
    return folder


@pytest.mark.parametrize("order", [None, (3, 0, 4, 1, 2)])
def test_a_series_is_the_volume_on_its_own_grid(order: Any, tmp_path: Path) -> None:
    for number, flips in enumerate(product((False, True), repeat=3)):
        scan = read_scan(write(tmp_path / f"ct{number}", flips, order=order))
        np.testing.assert_array_equal(scan.image, VOLUME.image)
        assert scan.voxel_ml == pytest.approx(2 / 1000)
        written = nib.Nifti1Image.from_bytes(label_bytes(VOLUME.label, scan, packed=False))
        label, geometry = to_canonical(np.asarray(written.dataobj), written.affine)
        np.testing.assert_array_equal(label, VOLUME.label)
        assert geometry.spacing_mm == (2, 1, 1)
        centre = written.affine @ [*(np.array(written.shape) - 1) / 2, 1]
        truth = np.array(VOLUME.geometry.affine) @ [
            *(np.array(VOLUME.image.shape)[::-1] - 1) / 2,
            1,
        ]
        np.testing.assert_allclose(centre, truth, atol=1e-4)  # in the same place of the patient
        assert written.header["sform_code"] == written.header["qform_code"] == 1
        assert b"NOBODY" not in written.to_bytes()


def test_what_is_no_single_ct_series_is_refused_in_one_line(tmp_path: Path) -> None:
    write(tmp_path / "two" / "a")
    write(tmp_path / "two" / "b", header=Header(series="2"))
    write(tmp_path / "nowhere", header=Header(positions=False))
    write(tmp_path / "gap")
    (tmp_path / "gap" / "image_2").unlink()
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("hello")
    for name, words in {
        "two": "holds 2 DICOM series",
        "nowhere": "do not say where they lie",
        "gap": "missing there",
        "empty": "no DICOM series",
        "text": "not a DICOM file",
    }.items():
        with pytest.raises(BadInput, match=words) as caught:
            read_scan(tmp_path / name)
        assert len(str(caught.value).splitlines()) == 1
