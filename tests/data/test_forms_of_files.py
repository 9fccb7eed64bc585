"""Images and labels in every form that a case may have: one patient is read the same from all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from bench_process import bench
from native import ORGANS, add, refused, same, small
from nnunet_files import AFFINE, SHAPE, make

from benchmark.data.readers.nnunet import NnUNetRaw
from benchmark.data.readers.pairs import Beside, Pairs, parse_map
from benchmark.data.scan import read_scan
from benchmark.errors import BadInput
from benchmark.phantom.layout import Header, dicom_files, nifti_bytes, on_disk, save

IDS = {"liver": 1, "left_kidney": 2, "right_kidney": 3}
NAMES = {"liver": "liver", "left_kidney": "left_kidney", "right_kidney": "right_kidney"}
FILES = {"liver": "liver", "left_kidney": "kidney_left", "right_kidney": "kidney_right"}
DISK = on_disk(small(0))
ITK = ("ct.mha", "ct.mhd", "ct.nrrd", "ct.nhdr")


def itk(array_ijk: np.ndarray, affine: np.ndarray) -> SimpleITK.Image:
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array_ijk.T))
    lps = np.diag([-1, -1, 1, 1]) @ affine
    steps = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(steps.tolist())
    image.SetDirection((lps[:3, :3] / steps).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


def write_itk(path: Path, array: np.ndarray, affine: np.ndarray = DISK.affine, **how: bool) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(itk(array, affine), str(path), **how)
    return path


def series(folder: Path, **header: str) -> Path:
    save(folder, dicom_files(DISK.image_ijk, DISK.affine, header=Header(**header)))
    return folder


def masks(folder: Path) -> Path:
    """One binary mask an organ, called and turned as TotalSegmentator leaves them, among others."""
    turned = on_disk(small(0), (True, False, True))
    for number, organ in enumerate(ORGANS, start=1):
        mask = (turned.label_ijk == number).astype(np.uint8)
        save(folder, {f"{FILES[organ]}.nii.gz": nifti_bytes(mask, turned.affine)})
    save(folder, {"spleen.nii.gz": nifti_bytes(np.zeros_like(DISK.label_ijk), DISK.affine)})
    (folder / "statistics.json").write_text("{}")
    return folder


def test_a_dicom_series_with_nifti_masks_beside_it(tmp_path: Path) -> None:
    for case in ("p1", "p2"):
        series(tmp_path / "raw" / case / "dicom", patient=case)
        masks(tmp_path / "raw" / case / "segmentations")
    argv = ["data", "add", "folder", str(tmp_path / "raw"), "--root", str(tmp_path / "root")]
    ran = bench(*argv, "--name", "set")
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[0] == "data set set: 2 cases, liver, left_kidney, right_kidney"
    again = bench(*argv, "--name", "set")
    assert again.code == 0 and again.out == ran.out, again.err
    (tmp_path / "raw" / "p2" / "segmentations" / "kidney_left.nii.gz").unlink()
    found = add(tmp_path / "other", Beside(tmp_path / "raw", NAMES))
    same(found.load("p1"), small(0))
    assert found.load("p2").annotated == ("liver", "right_kidney")
    one = add(tmp_path / "one", Pairs(tmp_path / "raw/p1/dicom", tmp_path / "raw/p1", NAMES))
    same(one.load("dicom"), small(0))


def test_a_label_map_beside_a_series_is_told_apart_from_masks(tmp_path: Path) -> None:
    series(tmp_path / "p" / "ct")
    save(tmp_path / "p", {"labels.nii.gz": nifti_bytes(DISK.label_ijk, DISK.affine)})
    same(add(tmp_path, Beside(tmp_path / "p", IDS)).load("p"), small(0))
    told = "say which is which organ, --map liver=5"
    refused(tmp_path / "a", Beside(tmp_path / "p", NAMES), told)
    masks(tmp_path / "q")
    series(tmp_path / "q" / "ct")
    refused(tmp_path / "b", Beside(tmp_path / "q", IDS), "are 4 mask files", "--organ liver")
    text = "liver=kidney_left,spleen=milz"
    refused(tmp_path / "c", Beside(tmp_path / "q", parse_map("spleen=milz")), "called spleen",
            "it has left_kidney, liver, right_kidney, spleen", "--map")  # fmt: skip
    assert parse_map(text) == {"liver": "kidney_left", "spleen": "milz"}


@pytest.mark.parametrize("name", ITK)
@pytest.mark.parametrize("packed", [False, True])
def test_metaimage_and_nrrd_are_read_as_nifti_is(tmp_path: Path, name: str, packed: bool) -> None:
    turned = on_disk(small(0), (False, True, False))
    image = write_itk(tmp_path / name, DISK.image_ijk, useCompression=packed)
    label = write_itk(tmp_path / f"l{name}", turned.label_ijk, turned.affine, useCompression=packed)
    found = add(tmp_path, Pairs(image, label, IDS))
    same(found.load("ct"), small(0))
    assert Pairs(image, label, IDS).fingerprint == found.origin["fingerprint"]
    scan = read_scan(image)
    np.testing.assert_array_equal(scan.image, small(0).image)
    voxels = tmp_path / f"l{name.removesuffix('.mhd').removesuffix('.nhdr')}"
    parts = [p for p in tmp_path.glob("lct.*") if p.suffix not in (".mhd", ".nhdr")] or [voxels]
    parts[0].write_bytes(parts[0].read_bytes()[:-40])
    assert Pairs(image, label, IDS).fingerprint != found.origin["fingerprint"]
    refused(tmp_path / "cut", Pairs(image, label, IDS), f"l{name}")


def test_folders_of_mha_are_paired_and_nnunet_names_its_ending(tmp_path: Path) -> None:
    for case in ("a", "b"):
        write_itk(tmp_path / "images" / f"{case}.mha", DISK.image_ijk)
        write_itk(tmp_path / "labels" / f"{case}.nrrd", DISK.label_ijk)
    found = add(tmp_path, Pairs(tmp_path / "images", tmp_path / "labels", IDS))
    same(found.load("b"), small(0))
    folder = make(tmp_path / "raw", 1, file_ending=".nrrd")
    for path in sorted(folder.rglob("*.nii.gz")):
        read = nib.load(path)
        array = np.asarray(read.dataobj)
        write_itk(path.with_name(path.name.replace(".nii.gz", ".nrrd")), array, read.affine)
        path.unlink()
    assert add(tmp_path / "two", NnUNetRaw(folder)).cases[0].shape == SHAPE[::-1]


NRRD = "NRRD0004\ntype: short\ndimension: 3\nsizes: 6 5 4\nencoding: raw\nendian: little\n"
META = (
    "ObjectType = Image\nNDims = 3\nDimSize = 6 5 4\nElementType = MET_SHORT\n{}"
    "ElementSpacing = 1 1 2\nElementDataFile = {}\n"
)
PLACE = "TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\n"
LPS = "space: left-posterior-superior\nspace origin: (0,0,0)\n"
BAD = {
    "mr.mha": (META.format(PLACE + "Modality = MET_MOD_MR\n", "LOCAL"), "says it is MR, not CT"),
    "place.mha": (META.format("", "LOCAL"), "does not say how it lies"),
    "list.mhd": (META.format(PLACE, "LIST"), "save it as one file"),
    "away.mhd": (META.format(PLACE, "../secret.raw"), "save it as one file"),
    "shear.mha": (
        META.format("TransformMatrix = 1 0 0 0.2 1 0 0 0 1\n", "LOCAL"),
        "not at right angles",
    ),
    "shear.nrrd": (
        f"{NRRD}{LPS}space directions: (1,0,0) (.2,1,0) (0,0,2)\n\n",
        "not at right angles",
    ),
    "place.nrrd": (f"{NRRD}spacings: 1 1 2\n\n", "does not say how it lies"),
    "four.nrrd": (NRRD.replace("6 5 4", "2 6 5 4").replace("n: 3", "n: 4") + "\n", "has 3 axes"),
    "huge.mha": (META.format(PLACE, "LOCAL").replace("6 5 4", "6000 5000 4000"), "GiB"),
    "text.mha": ("hello", "is neither a MetaImage"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_a_header_says_of_itself_is_heard(tmp_path: Path, name: str) -> None:
    head, told = BAD[name]
    path = tmp_path / name
    path.write_bytes(head.encode() + np.arange(120, dtype=np.int16).tobytes())
    with pytest.raises(BadInput, match=told):
        read_scan(path)


def test_no_message_quotes_a_name_from_a_header(tmp_path: Path) -> None:
    for line in ("PLANTEDNAME\n", "space units: PLANTEDNAME\n", "type: PLANTEDNAME\n"):
        (tmp_path / "ct.nrrd").write_bytes((NRRD + LPS + line + "\n").encode() + b"0" * 240)
        with pytest.raises(BadInput) as caught:
            read_scan(tmp_path / "ct.nrrd")
        assert "PLANTED" not in str(caught.value)
    assert "damaged, or of another kind" in str(caught.value)


def test_metres_are_the_right_value_or_a_named_cause(tmp_path: Path) -> None:
    """nibabel takes the numbers as they stand, ITK converts: the same place must come out."""
    metres = np.diag([1e-3, 1e-3, 1e-3, 1]) @ DISK.affine
    cases: dict[str, tuple[Callable[[nib.Nifti1Image], None], np.ndarray, str]] = {
        "m": (lambda i: i.header.set_xyzt_units("meter"), metres, "its header says metres: voxels"),
        "mm": (lambda i: i.header.set_xyzt_units("meter"), DISK.affine, "would make voxels of"),
    }
    for name, (change, affine, told) in cases.items():
        image = nib.Nifti1Image(DISK.image_ijk, affine)
        change(image)
        nib.save(image, tmp_path / f"{name}.nii.gz")
        scan = read_scan(tmp_path / f"{name}.nii.gz")
        assert scan.geometry.spacing_mm == pytest.approx(small(0).geometry.spacing_mm, rel=1e-5)
        assert any(told in line for line in scan.warnings), scan.warnings
    by_itk = SimpleITK.ReadImage(str(tmp_path / "m.nii.gz")).GetSpacing()
    assert by_itk == pytest.approx(small(0).geometry.spacing_mm[::-1], rel=1e-5)
    head = NRRD + LPS + 'space units: "m" "m" "m"\n'
    path = tmp_path / "m.nrrd"
    body = np.arange(-120, 120, 2, dtype=np.int16).tobytes()
    path.write_bytes(
        f"{head}space directions: (.001,0,0) (0,.001,0) (0,0,.002)\n\n".encode() + body
    )
    assert read_scan(path).geometry.spacing_mm == pytest.approx((2, 1, 1))


def test_another_modality_is_refused_with_its_word(tmp_path: Path) -> None:
    files = dicom_files(DISK.image_ijk, DISK.affine, header=Header())
    import io

    import pydicom

    for name, content in files.items():
        data = pydicom.dcmread(io.BytesIO(content))
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = pydicom.uid.MRImageStorage
        data.Modality = "MR"
        stream = io.BytesIO()
        data.save_as(stream)
        save(tmp_path / "mr", {name: stream.getvalue()})
    with pytest.raises(BadInput, match="says it is MR, not CT"):
        read_scan(tmp_path / "mr")
    for channels in ({"channel_names": {"0": "T2"}}, {"modality": {"0": "MRI"}}):
        with pytest.raises(BadInput, match="says it is MR, not CT"):
            NnUNetRaw(make(tmp_path / "raw", 1, **{"channel_names": {"0": "CT"}, **channels}))


def test_the_layout_of_totalsegmentators_own_data_set(tmp_path: Path) -> None:
    for case in ("s0001", "s0002"):
        save(tmp_path / case, {"ct.nii.gz": nifti_bytes(DISK.image_ijk, DISK.affine)})
        masks(tmp_path / case / "segmentations")
    found = add(tmp_path.with_name("root"), Beside(tmp_path, NAMES))
    assert [case.name for case in found.cases] == ["s0001", "s0002"]
    same(found.load("s0002"), small(0))
    assert Beside(tmp_path, NAMES).fingerprint == found.origin["fingerprint"]


def test_one_line_names_what_lacks(tmp_path: Path) -> None:
    series(tmp_path / "raw" / "p1")
    masks(tmp_path / "raw" / "p1" / "masks")
    series(tmp_path / "raw" / "p2")  # has no label
    root = ("--root", str(tmp_path / "root"), "--name", "x")
    ran = bench("data", "add", "folder", str(tmp_path / "raw"), *root)
    assert ran.code == 2 and "case p2: it has no label: no mask, SEG or RTSTRUCT" in ran.err
    ran = bench("data", "add", "folder", str(tmp_path / "raw"), "--skip-bad", *root)
    assert ran.code == 0 and "1 case" in ran.out
    both = ("--organ", "liver", "--map", "liver=1")
    ran = bench("data", "add", "folder", str(tmp_path / "raw"), *both, *root)
    assert ran.code == 2 and "give --map alone" in ran.err
    assert AFFINE.shape == (4, 4)


def test_exchanged_folders_are_one_line(tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path / "ct", {f"c{number}.nii.gz": nifti_bytes(DISK.image_ijk, DISK.affine)})
        save(tmp_path / "m", {f"c{number}.nii.gz": nifti_bytes(DISK.label_ijk, DISK.affine)})
    said = refused(tmp_path, Pairs(tmp_path / "m", tmp_path / "ct", IDS), "are the two exchanged?")
    assert said.startswith("all 3 cases: the image looks like a label map") and len(said) < 250
    assert Pairs(tmp_path / "m", tmp_path / "m", IDS).read("c0")[0] is not None, "two masks"
