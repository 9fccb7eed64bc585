"""3D-IRCADb-01: what its downloads differ in, and what must be refused."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from native import KIDNEYS, ORGANS, add, refused, same, small

from benchmark.data import library
from benchmark.data.readers.base import merged
from benchmark.data.readers.ircadb import Ircadb
from benchmark.errors import BadInput
from benchmark.phantom import downloads
from benchmark.phantom.layout import Files, Header, save, zipped
from benchmark.phantom.recipe import not_looked_for

IMAGE, MASKS = "PATIENT_DICOM/", "MASKS_DICOM/"


@cache
def _written(index: int, options: downloads.IrcadbOptions) -> Files:
    return downloads.patient_files(small(index), ORGANS, options)


def patient(index: int = 0, **options: object) -> Files:
    return dict(_written(index, downloads.IrcadbOptions(**options)))


def home(folder: Path, files: Files, number: int = 1) -> Path:
    save(folder, {f"3Dircadb1.{number}/{name}": content for name, content in files.items()})
    return folder


def renamed(files: Files, old: str, new: str) -> Files:
    return {name.replace(old, new): content for name, content in files.items()}


def test_organs_of_each_patient_come_from_the_folders(tmp_path: Path) -> None:
    raw = home(tmp_path / "raw", patient(0), 5)
    liver_only = not_looked_for(small(1), ORGANS, KIDNEYS)
    home(raw, downloads.patient_files(liver_only, ORGANS, downloads.IrcadbOptions()), 12)
    found = add(tmp_path, Ircadb(raw))
    assert [case.name for case in found.cases] == ["ircadb_05", "ircadb_12"]
    assert [case.annotated for case in found.cases] == [ORGANS, ("liver",)]
    same(found.load("ircadb_05"), small(0))
    same(found.load("ircadb_12"), liver_only)
    assert found.origin["patients"] == 2
    kidneys = library.add(tmp_path, "kidneys", Ircadb(raw, KIDNEYS), skip_bad=True)
    assert kidneys.organs == KIDNEYS and list(kidneys.origin["skipped"]) == ["ircadb_12"]


@pytest.mark.parametrize("name", ["livertumor1", "LiverTumour_02", "liver cyst", "liverkyst3"])
def test_tumours_and_cysts_are_liver_whatever_they_are_called(tmp_path: Path, name: str) -> None:
    files = renamed(patient(), "livertumor01", name)
    same(add(tmp_path, Ircadb(home(tmp_path / "raw", files))).load("ircadb_01"), small(0))
    assert any("surretumor" in file for file in files)  # an adrenal's: no liver


@pytest.mark.parametrize(
    ("written", "read"),
    [("leftkidney", "Left Kidney"), ("rightkidney", "right_kidney"), ("liver", "LIVER")],
)
def test_names_match_without_signs_and_case(tmp_path: Path, written: str, read: str) -> None:
    files = renamed(patient(), f"{MASKS}{written}/", f"{MASKS}{read}/")
    same(add(tmp_path, Ircadb(home(tmp_path / "raw", files))).load("ircadb_01"), small(0))


def test_both_kidneys_in_one_are_an_organ_of_their_own(tmp_path: Path) -> None:
    both = np.where(small(0).label == 3, 2, small(0).label).astype(np.uint8)
    volume = replace(small(0), label=both, annotated=("liver", "left_kidney"))
    files = downloads.patient_files(volume, ORGANS, downloads.IrcadbOptions())
    raw = home(tmp_path / "raw", renamed(files, "leftkidney", "kidneys"))
    found = add(tmp_path, Ircadb(raw))
    assert found.organs == (*ORGANS, "kidneys")
    case = found.load("ircadb_01")
    assert case.annotated == ("liver", "kidneys")
    np.testing.assert_array_equal(case.label, np.choose(both, [0, 1, 4]))
    parted = library.add(tmp_path, "parted", Ircadb(raw, split_kidneys=True))
    assert parted.organs == ORGANS
    same(parted.load("ircadb_01"), small(0))


def test_what_systems_leave_behind_is_no_slice(tmp_path: Path) -> None:
    files = patient()
    for place in ("", IMAGE, f"{MASKS}liver/"):
        files |= {f"{place}.DS_Store": b"x", f"{place}Thumbs.db": b"x", f"{place}._image_3": b"x"}
    raw = home(tmp_path / "raw", files)
    (raw / "3Dircadb1.1" / "__MACOSX").mkdir()
    (raw / "readme.txt").write_text("3Dircadb1.1")
    same(add(tmp_path, Ircadb(raw)).load("ircadb_01"), small(0))


def test_any_folder_above_or_the_patients_own_will_do(tmp_path: Path) -> None:
    raw = home(tmp_path / "down" / "loads" / "3Dircadb1", patient())
    for number, path in enumerate((tmp_path / "down", raw, raw / "3Dircadb1.1")):
        same(library.add(tmp_path, f"set{number}", Ircadb(path)).load("ircadb_01"), small(0))


def test_all_patients_in_one_zip_of_zips(tmp_path: Path) -> None:
    inner = {f"3Dircadb1.{n}.zip": zipped(patient(n - 1)) for n in (1, 2)}
    whole = tmp_path / "3Dircadb1.zip"
    whole.write_bytes(zipped(inner))
    found = add(tmp_path, Ircadb(whole))
    for n in (1, 2):
        same(found.load(f"ircadb_{n:02d}"), small(n - 1))


def test_an_archive_beside_its_own_folder_counts_once(tmp_path: Path) -> None:
    files = patient()
    raw = home(tmp_path / "raw", files)
    images = {name: content for name, content in files.items() if name.startswith(IMAGE)}
    (raw / "3Dircadb1.1" / "PATIENT_DICOM.zip").write_bytes(zipped(images))
    same(add(tmp_path, Ircadb(raw)).load("ircadb_01"), small(0))


def test_a_patient_that_lies_twice_is_refused(tmp_path: Path) -> None:
    raw = home(tmp_path / "raw" / "a", patient()).parent
    home(raw / "b", patient())
    refused(tmp_path, Ircadb(raw), "patient 1 lies twice", "a/3Dircadb1.1", "b/3Dircadb1.1")


def test_folders_without_a_patient(tmp_path: Path) -> None:
    (tmp_path / "raw" / "images").mkdir(parents=True)
    refused(tmp_path, Ircadb(tmp_path / "raw"), "holds no patient", "3Dircadb1.N")
    refused(tmp_path, Ircadb(tmp_path / "nowhere"), "there is no")


def test_masks_pair_by_number_only_when_counts_agree(tmp_path: Path) -> None:
    files = patient()
    del files[f"{MASKS}rightkidney/image_3"]
    raw = home(tmp_path / "raw", files)
    refused(tmp_path, Ircadb(raw), "rightkidney has 17 slices without a position, the image 18")
    placed = patient(mask_positions=True)
    del placed[f"{MASKS}rightkidney/image_3"]
    shutil.rmtree(raw)
    refused(tmp_path, Ircadb(home(raw, placed)), "ircadb_01", "mm")


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ("no image", ["no slice in PATIENT_DICOM"]),
        ("no mask", ["no mask of liver, left_kidney, right_kidney"]),
        ("broken", ["PATIENT_DICOM/image_4 is not a DICOM file"]),
        ("cut", ["the pixels of", "image_4 cannot be read"]),
        ("size", ["slices of different sizes"]),
        ("grey mask", ["the mask of liver holds other values"]),
    ],
)
def test_a_broken_patient_is_refused(tmp_path: Path, change: str, parts: list[str]) -> None:
    files, image = patient(), f"{IMAGE}image_4"
    if change == "no image":
        files = {name: content for name, content in files.items() if IMAGE not in name}
    elif change == "no mask":
        files = {n: c for n, c in files.items() if IMAGE in n or "bone" in n}
    elif change == "broken":
        files[image] = b"no slice" * 99
    elif change == "cut":
        files[image] = files[image][:-100]
    elif change == "size":
        small_slice = replace(
            small(0), image=small(0).image[:, ::2, ::2], label=small(0).label[:, ::2, ::2]
        )
        shape = small_slice.image.shape[::-1]
        small_slice = replace(small_slice, geometry=replace(small_slice.geometry, shape=shape))
        other = downloads.patient_files(small_slice, ORGANS, downloads.IrcadbOptions())
        files[image] = other[image]
    else:
        mask = f"{MASKS}liver/image_9"
        files[mask] = files[mask][:-64] + bytes(range(64))
    raw = home(tmp_path / "raw", files)
    refused(tmp_path, Ircadb(raw), "case ircadb_01", *parts)
    home(raw, patient(1), 2)
    left = add(tmp_path, Ircadb(raw), skip_bad=True)
    assert [case.name for case in left.cases] == ["ircadb_02"]


def test_masks_that_claim_the_same_voxels(tmp_path: Path) -> None:
    """A slip of the outline goes to the smaller organ; more than that is for a person."""
    files = patient()
    for n in range(len(small(0).image)):
        files[f"{MASKS}rightkidney/image_{n}"] = files[f"{MASKS}leftkidney/image_{n}"]
    raw = home(tmp_path / "raw", files)
    refused(tmp_path, Ircadb(raw), "100 % of an organ's voxels are claimed by another organ")
    found, _ = merged({"liver": np.ones(4, bool), "left_kidney": np.arange(4) == 2}, ORGANS)
    assert found.tolist() == [1, 1, 2, 1]


def test_adding_again_reads_nothing_and_a_changed_file_is_noticed(tmp_path: Path) -> None:
    raw = home(tmp_path / "raw", patient())
    first = add(tmp_path, Ircadb(raw))

    class Blind(Ircadb):
        def read(self, case: str):
            raise AssertionError("read again")

        digest = read

    assert library._same(first.folder, _as(Blind(raw)), frozenset(), 0, print) == first
    path = raw / "3Dircadb1.1" / "PATIENT_DICOM" / "image_4"
    times = path.stat()
    os.utime(path)  # touched, not changed: read, and found to be the same
    assert add(tmp_path, Ircadb(raw)) == first
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # size and time as before
    with pytest.raises(BadInput, match="another source"):
        add(tmp_path, Ircadb(raw))
    with pytest.raises(BadInput, match="another source"):
        add(tmp_path, Ircadb(raw, ["liver"]))


def _as(reader: Ircadb) -> Ircadb:
    type(reader).__name__ = "Ircadb"  # the stamp names the kind of reader
    return reader


def test_many_patients_in_parallel_are_the_same(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    for number in range(1, 5):
        home(raw, patient((number - 1) % 2, header=Header(intercept=-1024.0 - number)), number)
    said: list[str] = []
    one = library.add(tmp_path / "one", "set", Ircadb(raw), say=said.append)
    two = library.add(tmp_path / "two", "set", Ircadb(raw), workers=2)
    assert one.fingerprint == two.fingerprint and one.origin == two.origin
    assert [case.sha256 for case in one.cases] == [case.sha256 for case in two.cases]
    for case in two.cases:
        np.testing.assert_array_equal(one.load(case.name).image, two.load(case.name).image)
    assert any("its image is the same as that of ircadb_01" in line for line in said)
