"""`bench predict` on several images, in other forms, and what it says of what it found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK
from bench_process import Ran, bench, run_argv, tiny_workspace
from scipy import ndimage

from benchmark.data.scan import read_scan
from benchmark.data.volume import from_canonical, to_canonical
from benchmark.phantom.layout import Header, dicom_files, on_disk, save
from benchmark.running.predicted import beyond, largest_parts, reach
from benchmark.testing import ORGANS, tiny_volume

VALUES = {"schedule__epochs": 4, "schedule__steps_per_epoch": 10, "schedule__lr": 0.02}
SETS = [part for name, value in {
    "ground.size": "null", "ct.width": 4, "ct.levels": 3, "schedule.epochs": 4,
    "schedule.steps_per_epoch": 10, "schedule.lr": 0.02,
}.items() for part in ("--set", f"{name}={value}")]  # fmt: skip
SECRET = "PLANTEDNAME"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny_workspace(tmp_path_factory.mktemp("many") / "workspace")
    ran = bench(*run_argv(folder, "unet", "--folds", "0", **VALUES))
    assert ran.code == 0, ran.err
    return folder


def predict(root: Path, *argv: str) -> Ran:
    usual = ["--root", str(root), "--dataset", "tiny", "--threads", "1", "--method", "unet"]
    return bench("predict", *argv, *usual, *SETS, "--fold", "0")


def nifti(path: Path, number: int, above: int = 0) -> Path:
    """A tiny patient; `above` more slices of fat beyond the head, with a bright blob far up."""
    volume = tiny_volume(number)
    image = np.pad(volume.image, ((0, above), (0, 0), (0, 0)), constant_values=-100)
    if above:
        image[-6:, 6:14, 3:9] = 110
    geometry = replace(volume.geometry, shape=image.shape[::-1])
    path.parent.mkdir(parents=True, exist_ok=True)
    array = from_canonical(image, geometry)
    nib.save(nib.Nifti1Image(array, np.array(volume.geometry.affine)), path)
    return path


def canonical(path: Path) -> Any:
    image = nib.load(path)
    return to_canonical(np.asarray(image.dataobj), image.affine)[0]


def test_a_folder_of_images_becomes_a_folder_of_label_maps(root: Path, tmp_path: Path) -> None:
    for number in range(3):
        nifti(tmp_path / "in" / f"p{number}.nii.gz", number)
    (tmp_path / "in" / "broken.nii.gz").write_bytes(b"no file")
    ran = predict(root, str(tmp_path / "in"), "-o", str(tmp_path / "out"))
    last = f"bench: 3 of 4 images are predicted, in {tmp_path / 'out'}; left out, as said above: "
    assert ran.code == 2 and ran.err.splitlines()[-1] == f"{last}broken.nii.gz"
    assert "broken.nii.gz is left out" in ran.err
    made = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert made == sorted(f"p{n}.{end}" for n in range(3) for end in ("nii.gz", "png"))
    assert [line for line in ran.out.splitlines() if line.endswith("gz:")] == [
        f"p{number}.nii.gz:" for number in range(3)
    ]
    one = tmp_path / "one.nii.gz"
    assert predict(root, str(tmp_path / "in" / "p1.nii.gz"), "-o", str(one)).code == 0
    np.testing.assert_array_equal(canonical(one), canonical(tmp_path / "out" / "p1.nii.gz"))
    two = [str(tmp_path / "in" / f"p{n}.nii.gz") for n in (0, 2)]
    ran = predict(root, *two, "-o", str(tmp_path / "o"), "--format", "nrrd", "--json")
    assert ran.code == 0 and len(ran.json["images"]) == 2 and ran.json["left_out"] == {}
    ran = predict(root, *two, "-o", str(tmp_path / "x.nii.gz"))
    assert ran.code == 2 and "give a folder for -o" in ran.err and ran.out == ""


def test_channels_of_nnunet_are_no_part_of_a_cases_name(root: Path, tmp_path: Path) -> None:
    nifti(tmp_path / "in" / "p0_0000.nii.gz", 0)
    ran = predict(root, str(tmp_path / "in"), "-o", str(tmp_path / "z.nii.gz"))
    assert ran.code == 2 and "1 image" in ran.err and "give a folder for -o" in ran.err
    assert predict(root, str(tmp_path / "in"), "-o", str(tmp_path / "out")).code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["p0.nii.gz", "p0.png"]


def test_a_label_map_as_nrrd_lies_where_its_nifti_lies(root: Path, tmp_path: Path) -> None:
    image = nifti(tmp_path / "ct.nii.gz", 1)
    for name in ("x.nrrd", "x.nii.gz"):
        assert predict(root, str(image), "-o", str(tmp_path / name)).code == 0
    read = SimpleITK.ReadImage(str(tmp_path / "x.nrrd"))
    by_nifti = SimpleITK.ReadImage(str(tmp_path / "x.nii.gz"))
    assert read.GetPixelIDTypeAsString() == "8-bit unsigned integer"
    for place in ("GetOrigin", "GetSpacing", "GetDirection"):
        assert getattr(read, place)() == pytest.approx(getattr(by_nifti, place)())
    arrays = [SimpleITK.GetArrayFromImage(each) for each in (read, by_nifti)]
    np.testing.assert_array_equal(*arrays)
    assert arrays[0].any()


def series(folder: Path) -> Path:
    disk = on_disk(tiny_volume(1), (False, True, True))
    save(folder, dicom_files(disk.image_ijk, disk.affine, header=Header(patient=SECRET)))
    return folder


def test_a_label_map_as_dicom_seg_belongs_to_its_series(root: Path, tmp_path: Path) -> None:
    hd = pytest.importorskip("highdicom", reason="highdicom is not installed")
    ct = series(tmp_path / "ct")
    for name in ("x.dcm", "x.nii.gz"):
        ran = predict(root, str(ct), "-o", str(tmp_path / name))
        assert ran.code == 0, ran.err
    seg = hd.seg.segread(tmp_path / "x.dcm")
    slices = [pydicom.dcmread(path) for path in ct.iterdir()]
    slices.sort(key=lambda one: -float(one.ImagePositionPatient[2]))  # along their normal
    assert seg.StudyInstanceUID == slices[0].StudyInstanceUID
    assert [one.SegmentLabel for one in seg.SegmentSequence] == list(ORGANS)
    found = seg.get_pixels_by_source_instance(
        [one.SOPInstanceUID for one in slices], combine_segments=True,
        ignore_spatial_locations=True, assert_missing_frames_are_empty=True,
    )  # fmt: skip
    ran = predict(root, str(ct), "-o", str(tmp_path / "x.nii"), "--overlay", "none")
    label = np.asarray(nib.load(tmp_path / "x.nii").dataobj)
    np.testing.assert_array_equal(found, label.T)
    assert label.any() and SECRET.encode() not in (tmp_path / "x.dcm").read_bytes()
    assert predict(root, str(ct), "-o", str(tmp_path / "k.dcm"), "--largest-component").code == 0
    assert "largest-component" in pydicom.dcmread(tmp_path / "k.dcm").SeriesDescription
    ran = predict(root, str(nifti(tmp_path / "a.nii.gz", 1)), "-o", str(tmp_path / "no.dcm"))
    assert ran.code == 2 and "is not a DICOM series" in ran.err


def test_a_seg_of_ours_can_be_added_as_labels(root: Path, tmp_path: Path) -> None:
    """What was predicted, corrected by a person perhaps, comes back as it was written."""
    pytest.importorskip("highdicom", reason="highdicom is not installed")
    series(tmp_path / "case" / "ct")
    out = tmp_path / "case" / "seg.dcm"
    assert (
        predict(root, str(tmp_path / "case" / "ct"), "-o", str(out), "--overlay", "none").code == 0
    )
    assert predict(root, str(tmp_path / "case" / "ct"), "-o", str(tmp_path / "x.nii")).code == 0
    from benchmark.data.readers.pairs import Beside

    organs = {organ: organ for organ in ORGANS}
    volume = Beside(tmp_path / "case", organs).read("case")[0]
    assert volume is not None
    np.testing.assert_array_equal(volume.label, canonical(tmp_path / "x.nii"))


def test_a_scan_far_beyond_the_training_scans_is_said(root: Path, tmp_path: Path) -> None:
    plain = predict(root, str(nifti(tmp_path / "a.nii.gz", 0)), "-o", str(tmp_path / "a.nii"))
    assert plain.code == 0 and "lie outside the range" not in plain.err
    ran = predict(root, str(nifti(tmp_path / "b.nii.gz", 0, 60)), "-o", str(tmp_path / "b.nii"))
    assert ran.code == 0 and "mm of b.nii.gz lie outside the range of the training scans" in ran.err
    assert "120 mm of b.nii.gz" in ran.err  # 60 slices of 2 mm
    liver = np.zeros((50, 4, 4), np.uint8)
    liver[20:30] = 1
    own, other = reach(liver, ("liver",), 3.0), reach(liver[15:40], ("liver",), 3.0)
    assert (own.above_mm, own.below_mm, own.length_mm) == (60, 60, 150)
    assert beyond(own, [other]).startswith("75 mm # (30 above and 45 below its organs)")
    assert beyond(other, [own]) == "" and beyond(own, [own, other]) == ""
    nothing = reach(liver * 0, ("liver",), 3.0)
    assert "75 mm # (it is 75 longer" in beyond(nothing, [other])


def test_the_largest_component_is_kept_and_said(root: Path, tmp_path: Path) -> None:
    image = nifti(tmp_path / "b.nii.gz", 0, 60)
    whole, kept = tmp_path / "w.nii.gz", tmp_path / "k.nii.gz"
    assert predict(root, str(image), "-o", str(whole)).code == 0
    ran = predict(root, str(image), "-o", str(kept), "--largest-component")
    assert ran.code == 0 and "the largest part of each organ alone" in ran.out.splitlines()[0]
    assert "ml apart from it left out" in ran.out
    assert "largest-component" in str(nib.load(kept).header["descrip"])
    ran = predict(root, str(image), "-o", str(tmp_path / "k.nrrd"), "--largest-component")
    made_by = SimpleITK.ReadImage(str(tmp_path / "k.nrrd")).GetMetaData("made_by")
    assert ran.code == 0 and made_by == str(nib.load(kept).header["descrip"].astype(str))
    label, found = canonical(whole), canonical(kept)
    for number in (1, 2, 3):
        parts, count = ndimage.label(label == number)
        sizes = ndimage.sum_labels(label == number, parts, range(1, count + 1))
        assert np.count_nonzero(found == number) == max([*sizes, 0])
    np.testing.assert_array_equal(largest_parts(label, 3)[0], found)
    said = predict(root, str(image), "-o", str(kept), "--largest-component", "--json").json
    assert said["largest_component"] is True
    assert sum(organ["dropped_ml"] for organ in said["organs"].values()) > 0


def test_a_predicted_scan_may_be_an_mha(root: Path, tmp_path: Path) -> None:
    image = nifti(tmp_path / "ct.nii.gz", 2)
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(image)), str(tmp_path / "ct.mha"))
    for name in ("ct.nii.gz", "ct.mha"):
        out = str(tmp_path / f"out-{name.split('.')[1]}.nii.gz")
        assert predict(root, str(tmp_path / name), "-o", out).code == 0
    a, b = (canonical(tmp_path / f"out-{n}.nii.gz") for n in ("nii", "mha"))
    np.testing.assert_array_equal(a, b)
    assert read_scan(tmp_path / "ct.mha").geometry.shape == (20, 24, 5)
