"""Names and numbers of patients in headers reach no file, message, log or tracking run."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from bench_process import Ran, bench, setting_argv
from native import ORGANS, small

from benchmark.phantom import downloads
from benchmark.phantom.layout import Files, Header, save

SECRET = "PLANTEDNAME"
FIELDS = (
    "PatientName", "PatientID", "PatientAddress", "OtherPatientNames", "InstitutionName",
    "ReferringPhysicianName", "AccessionNumber", "StudyDescription", "SeriesDescription",
    "PatientComments", "StationName", "ProtocolName", "ImageComments", "OperatorsName",
)  # fmt: skip


def planted(content: bytes) -> bytes:
    """The slice with the name in every field for text, where a library complains of it, too."""
    data = pydicom.dcmread(io.BytesIO(content))
    with pydicom.config.disable_value_validation():
        for field in FIELDS:
            setattr(data, field, f"{SECRET}^{field}"[:16] if field == "PatientID" else SECRET)
        data.PatientBirthDate = f"{SECRET}-no-date"  # invalid: pydicom would quote it
        data.PatientAge = f"{SECRET} years"
        data.StudyInstanceUID = f"1.2.{SECRET}"
        data.SeriesInstanceUID = f"1.3.{SECRET}"
        data.add_new((0x0009, 0x0010), "LO", SECRET)
        stream = io.BytesIO()
        data.save_as(stream)
    return stream.getvalue()


def all_planted(files: Files) -> Files:
    return {name: planted(content) for name, content in files.items()}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five patients, as a hospital's system writes them."""
    folder = tmp_path_factory.mktemp("written")
    options = downloads.IrcadbOptions(header=Header(patient=f"{SECRET}^MARIA"))
    for number in range(1, 6):
        files = downloads.patient_files(small(0), ORGANS, options)
        wanted = {n: c for n, c in files.items() if "bone" not in n and "surre" not in n}
        some = all_planted(wanted) if number == 1 else wanted
        save(folder, downloads.packed(number, some, "folders"))
    return folder


@pytest.fixture
def raw(tmp_path: Path, written: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "raw"))


def assert_clean(root: Path, *runs: Ran) -> None:
    for ran in runs:
        assert SECRET.lower() not in (ran.out + ran.err).lower()
    forms = [SECRET.encode(), SECRET.lower().encode(), SECRET.encode("utf-16-le")]
    for path in root.rglob("*"):
        assert SECRET.lower() not in path.name.lower()
        if path.is_file():
            content = path.read_bytes()
            assert not any(form in content for form in forms), path


def test_the_check_sees_what_it_looks_for(raw: Path) -> None:
    with pytest.raises(AssertionError):
        assert_clean(raw)


@pytest.mark.long
def test_from_slices_to_tracking(
    raw: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    added = bench("data", "add", "ircadb", str(raw), "--root", str(root))
    assert added.code == 0, added.err
    audited = bench("data", "audit", "ircadb", "--root", str(root), "--json")
    argv = [part if part != "tiny" else "ircadb" for part in setting_argv(root)]
    ran = bench("run", "--method", "unet", "--folds", "0", "--json", *argv)
    assert audited.code == ran.code == 0, ran.err
    assert (root / "mlflow.db").stat().st_size > 0
    assert (root / "reports" / "audit-ircadb.html").exists()
    assert_clean(root, added, audited, ran)
    said = capfd.readouterr()  # of libraries that write past Python
    assert SECRET not in said.out + said.err


def test_from_messages_about_bad_cases(
    raw: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    home = raw / "3Dircadb1.1" / "PATIENT_DICOM"
    shutil.copy(home / "image_3", home / "image_99")
    second = raw / "3Dircadb1.2" / "PATIENT_DICOM" / "image_3"
    second.write_bytes(planted(second.read_bytes())[:-999])
    third = raw / "3Dircadb1.3" / "PATIENT_DICOM" / "image_3"
    third.write_bytes(SECRET.encode() * 99)
    added = bench("data", "add", "ircadb", str(raw), "--root", str(root))
    assert added.code == 2 and "3 of 5 cases are bad" in added.err
    assert_clean(root, added)
    less = bench("data", "add", "ircadb", str(raw), "--root", str(root), "--skip-bad")
    assert less.code == 0
    assert_clean(root, less)
    said = capfd.readouterr()
    assert SECRET not in said.out + said.err


def test_from_nifti_headers_and_pancreas_ct(tmp_path: Path) -> None:
    raw, root = tmp_path / "raw", tmp_path / "root"
    members = [
        downloads.Member(volume=small(0), source="tcia", number=1),
        downloads.Member(volume=small(1), source="btcv", number=1),
    ]
    options = downloads.MultiOrganOptions(header=Header(patient=SECRET), archives=False)
    downloads.write_multi_organ(raw, members, ORGANS, options)
    for path in raw.rglob("*.nii.gz"):
        image = nib.load(path)
        named = nib.Nifti1Image(np.asanyarray(image.dataobj), image.affine)
        named.header["descrip"] = named.header["db_name"] = SECRET.encode()
        named.header["aux_file"], named.header["intent_name"] = SECRET.encode(), SECRET.encode()
        named.header.extensions.append(nib.nifti1.Nifti1Extension("comment", SECRET.encode()))
        nib.save(named, path)
    argv = ["data", "add", "multi-organ", str(raw / "labels"), "--root", str(root)]
    argv += [f"--images={source}={raw / source}" for source in ("tcia", "btcv")]
    added = bench(*argv)
    assert added.code == 0, added.err
    assert_clean(root, added, bench("data", "audit", "multi-organ", "--root", str(root)))
