from __future__ import annotations

import json
from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from bench_process import bench
from nnunet_files import AFFINE, LABELS, add, arrays, make, refused, save

from benchmark.data import library
from benchmark.data.readers.names import organ_name
from benchmark.data.readers.nnunet import NnUNetRaw, default_name
from benchmark.data.volume import to_canonical
from benchmark.errors import BadInput

REAL = Path(__file__).parents[3] / "shared" / "data" / "Dataset001_RealCT"


def test_reads_a_plain_set(tmp_path: Path) -> None:
    found = add(tmp_path, make(tmp_path / "raw"))
    assert found.organs == ("liver", "left_kidney")
    assert [case.name for case in found.cases] == ["c0", "c1", "c2"]
    volume = found.load("c1")
    image, label = arrays(1)
    assert volume.geometry.orientation == "LPS"
    np.testing.assert_array_equal(volume.image, image.T)  # LPS on disk: only transposed
    np.testing.assert_array_equal(volume.label, label.T)
    assert volume.geometry.spacing_mm == pytest.approx((20, 18, 18))
    assert found.origin["warnings"] == []
    assert found.origin["folder"] == "raw"


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real CT at {REAL}")
def test_real_ct(tmp_path: Path) -> None:
    assert default_name(REAL) == "realct"
    found = library.add(tmp_path, default_name(REAL), NnUNetRaw(REAL))
    assert len(found.cases) == 5
    assert {case.shape for case in found.cases} == {(10, 101, 122), (9, 101, 122)}
    for case in found.cases:
        volume = found.load(case.name)
        liver_ml = np.count_nonzero(volume.label == 1) * np.prod(case.geometry.spacing_mm) / 1000
        assert 1000 < liver_ml < 1300  # the whole volume holds 1123 ml
        x = [np.mean(np.nonzero(volume.label == organ)[2]) for organ in (1, 2, 3)]
        assert x[1] > 61 > x[2]  # X runs to the patient's left: left kidney beyond the middle
        assert x[0] < 61  # the liver lies on the right
        y = np.mean(np.nonzero(volume.label == 2)[1])
        assert y > 50  # Y runs to the back, where the kidneys lie


ALL_ORIENTATIONS = [
    "".join(letters) for axes in permutations(("RL", "AP", "SI")) for letters in product(*axes)
]


def test_every_orientation_on_disk_gives_the_same_volume(tmp_path: Path) -> None:
    folder = make(tmp_path / "raw", cases=1)
    wanted = add(tmp_path / "wanted", folder).load("c0")
    images = [nib.Nifti1Image(array, AFFINE) for array in arrays(0)]
    assert len(ALL_ORIENTATIONS) == 48
    for letters in ALL_ORIENTATIONS:
        change = nib.orientations.ornt_transform(
            nib.io_orientation(AFFINE), nib.orientations.axcodes2ornt(tuple(letters))
        )
        nib.save(images[0].as_reoriented(change), folder / "imagesTr" / "c0_0000.nii.gz")
        nib.save(images[1].as_reoriented(change), folder / "labelsTr" / "c0.nii.gz")
        (volume,) = NnUNetRaw(folder).volumes()
        assert volume.geometry.orientation == letters
        np.testing.assert_array_equal(volume.image, wanted.image)
        np.testing.assert_array_equal(volume.label, wanted.label)
        assert volume.geometry.spacing_mm == pytest.approx(wanted.geometry.spacing_mm)


def test_old_description_ids_with_gaps_and_decathlon_names(tmp_path: Path) -> None:
    labels = {"0": "background", "7": "leftKidney", "3": "liver"}
    folder = make(tmp_path / "raw", 1, labels=labels, modality={"0": "CT"})
    (folder / "imagesTr" / "c0_0000.nii.gz").rename(folder / "imagesTr" / "c0.nii.gz")
    (folder / "imagesTr" / "._c0.nii.gz").write_text("a Mac's leftover")
    label = arrays(0)[1]
    save(folder / "labelsTr" / "c0.nii.gz", np.choose(label, [0, 3, 7]).astype(np.int16))
    found = add(tmp_path, folder)
    assert found.organs == ("left_kidney", "liver")  # the order of the file
    np.testing.assert_array_equal(found.load("c0").label, np.choose(label, [0, 2, 1]).T)


def test_float_labels_are_rounded_only_when_close(tmp_path: Path) -> None:
    folder = make(tmp_path / "raw", 1)
    label = arrays(0)[1]
    path = save(folder / "labelsTr" / "c0.nii.gz", label.astype(np.float64) * (1 - 1e-7))
    np.testing.assert_array_equal(add(tmp_path / "a", folder).load("c0").label, label.T)
    scaled = nib.Nifti1Image(label * 100, AFFINE)  # 3 becomes 2.99999999 by the header's slope
    scaled.header.set_slope_inter(0.01, 0)
    scaled.to_filename(path)
    np.testing.assert_array_equal(add(tmp_path / "b", folder).load("c0").label, label.T)
    save(path, label.astype(np.float32) * 0.9)
    refused(tmp_path / "c", folder, "c0", "whole numbers", "0.2")
    holed = label.astype(np.float32)
    holed[0, 0, 0] = np.nan
    save(path, holed)
    refused(tmp_path / "c", folder, "c0", "1 voxels are not finite")


def test_annotated_organs(tmp_path: Path) -> None:
    folder = make(tmp_path / "raw", annotated={"c1": ["liver"]})
    found = add(tmp_path / "a", folder)
    assert [case.annotated for case in found.cases] == [
        ("liver", "left_kidney"),
        ("liver",),
        ("liver", "left_kidney"),
    ]
    assert found.load("c1").label.max() == 1  # what is known of the kidney may be incomplete
    dropped = "case c1: 16 voxels of left_kidney dropped: not annotated here"
    assert found.origin["warnings"] == [dropped]
    make(folder)
    whole = add(tmp_path / "b", folder)
    assert whole.cases[1].sha256 != found.cases[1].sha256
    assert whole.cases[0].sha256 == found.cases[0].sha256
    (folder / "annotated.json").write_text('{"c1": ["Liver"]}')
    assert add(tmp_path / "c", folder).fingerprint == found.fingerprint
    for text, part in (
        ('{"c1": ["spleen"]}', "spleen"),
        ('{"c9": ["liver"]}', "c9"),
        ('{"c1": "liver"}', "not a list"),
        ("[1]", "no JSON object"),
    ):
        (folder / "annotated.json").write_text(text)
        refused(tmp_path / "d", folder, "annotated.json", part)


def test_the_fingerprint_sees_every_change(tmp_path: Path) -> None:
    folder = make(tmp_path / "raw")
    seen = [NnUNetRaw(folder).fingerprint]
    assert NnUNetRaw(folder).fingerprint == seen[0]
    label = arrays(1)[1]
    label[3, 5, 2] = 0
    save(folder / "labelsTr" / "c1.nii.gz", label)
    seen.append(NnUNetRaw(folder).fingerprint)
    make(folder, labels={"background": 0, "liver": 2, "Left Kidney": 1})
    seen.append(NnUNetRaw(folder).fingerprint)
    make(folder, annotated={"c0": ["liver"]})
    seen.append(NnUNetRaw(folder).fingerprint)
    assert len(set(seen)) == 4
    add(tmp_path, folder)
    make(folder)
    with pytest.raises(BadInput, match="another source"):
        add(tmp_path, folder)


def test_small_shifts_are_silent_or_warned_of(tmp_path: Path) -> None:
    folder = make(tmp_path / "raw", 1)
    for shift_voxels, said in ((0.0005, 0), (0.2, 1)):
        moved = AFFINE.copy()
        moved[0, 3] = 18 * shift_voxels
        save(folder / "labelsTr" / "c0.nii.gz", arrays(0)[1], moved)
        warnings = add(tmp_path / str(said), folder).origin["warnings"]
        assert len(warnings) == said
    assert "0.2 voxels apart" in warnings[0]


def test_sform_goes_before_qform_and_no_orientation_is_said(tmp_path: Path) -> None:
    folder = make(tmp_path / "raw", 1)
    flipped = AFFINE @ np.diag([-1.0, 1, 1, 1])
    for sform_code, qform_code, letters, part in (
        (2, 1, "LPS", "sform is used"),
        (0, 1, "RPS", ""),
        (2, 0, "LPS", ""),
        (0, 0, "LAS", "a guess"),
    ):
        for path, array in zip(
            ("imagesTr/c0_0000.nii.gz", "labelsTr/c0.nii.gz"), arrays(0), strict=True
        ):
            image = nib.Nifti1Image(array, None)
            image.header["pixdim"][1:4] = 18, 18, 20
            image.set_qform(flipped if qform_code else None, qform_code)
            image.set_sform(AFFINE if sform_code else None, sform_code)
            image.to_filename(folder / path)
        (found,) = NnUNetRaw(folder).raw_cases()
        assert found.volume is not None and found.volume.geometry.orientation == letters
        assert (part in found.warnings[0]) if part else found.warnings == ()


def test_ignore_label(tmp_path: Path) -> None:
    folder = make(tmp_path / "raw", 2, labels=LABELS | {"ignore": 3})
    plain = add(tmp_path / "unused", folder)
    assert plain.organs == ("liver", "left_kidney") and plain.unknown("c1") is None
    label = arrays(1)[1]
    label[0, 0, 0] = label[4, 6, 3] = 3  # in the background, in the liver
    save(folder / "labelsTr" / "c1.nii.gz", label)
    said: list[str] = []
    found = add(tmp_path / "used", folder, say=said.append)
    volume = found.load("c1")
    assert volume.unknown is not None and said == ["case c1: 2 voxels are 'ignore': unknown"]
    wanted, _ = to_canonical(label == 3, AFFINE)
    np.testing.assert_array_equal(volume.unknown, wanted)
    assert not volume.label[wanted].any() and found.unknown("c0") is None
    assert found.fingerprint != plain.fingerprint
    stored = [json.loads((s.folder / "dataset.json").read_text())["format"] for s in (plain, found)]
    assert stored == [1, 2]  # an older version must not take such voxels for background


def test_regions_that_share_voxels_are_sets_of_their_own(tmp_path: Path) -> None:
    regions = {"background": 0, "liver": [1, 2], "tumour": 2}
    folder = make(tmp_path / "raw", 2, labels=regions)
    told = "liver and tumour share voxels", "--organ liver --name A", "--organ tumour --name B"
    refused(tmp_path, folder, *told)
    label = arrays(0)[1]
    for organ, numbers in (("liver", (1, 2)), ("tumour", (2,))):
        found = library.add(tmp_path, organ, NnUNetRaw(folder, organs=[organ]), force=["c0", "c1"])
        wanted, _ = to_canonical(np.isin(label, numbers), AFFINE)
        assert found.organs == (organ,)
        np.testing.assert_array_equal(found.load("c0").label, wanted.astype(np.uint8))
    argv = ["data", "add", "folder", str(folder), "--root", str(tmp_path / "cli"), "--force", "all"]
    out = bench(*argv, "--organ", "liver", "--name", "a").out
    assert out.splitlines()[0] == "data set a: 2 cases, liver"
    assert "--organ liver --name A" in bench(*argv, "--name", "b").err
    with pytest.raises(BadInput, match="no spleen; it describes liver, tumour"):
        NnUNetRaw(folder, organs=["spleen"])


def test_wrong_count_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    add(tmp_path, make(tmp_path / "raw", 2, numTraining=5), say=said.append)
    assert said == ["dataset.json says numTraining = 5, the folder has 2 cases"]


def test_uncompressed_and_second_version(tmp_path: Path) -> None:
    folder = make(tmp_path / "raw", 0, file_ending=".nii")
    image, label = arrays(0)
    (folder / "imagesTr").mkdir()
    (folder / "labelsTr").mkdir()
    nib.Nifti2Image(image.astype(np.float32) + 0.4, AFFINE).to_filename(
        folder / "imagesTr" / "c0_0000.nii"
    )
    save(folder / "labelsTr" / "c0.nii", label)
    np.testing.assert_array_equal(add(tmp_path, folder).load("c0").image, image.T)


def test_nothing_of_the_header_is_kept(tmp_path: Path) -> None:
    folder = make(tmp_path / "raw", 1)
    image = nib.Nifti1Image(arrays(0)[0], AFFINE)
    image.header["descrip"] = b"Jane Doe 1970"
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Jane Doe"))
    image.to_filename(folder / "imagesTr" / "c0_0000.nii.gz")
    found = add(tmp_path, folder)
    files = [path for path in found.folder.rglob("*") if path.is_file()]
    assert len(files) == 4
    assert not any(b"Jane" in path.read_bytes() for path in files)


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("Dataset001_RealCT", "realct"),
        ("Dataset123_A-b_c", "a-b_c"),
        ("dataset001_", "dataset001_"),
        ("LiTS", "lits"),
        ("Dataset1_x", "dataset1_x"),
    ],
)
def test_default_names(folder: str, name: str) -> None:
    assert default_name(Path("anywhere") / folder) == name


def test_organ_names() -> None:
    for text in ("Left Kidney", "left-kidney", "leftKidney", "LEFT_KIDNEY", " left  kidney "):
        assert organ_name(text) == "left_kidney"
