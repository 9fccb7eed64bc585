"""Archives are hostile: refused with a reason, and nothing is written anywhere."""

from __future__ import annotations

import io
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
from native import ORGANS, refused, small

from benchmark.data.readers import files as archives
from benchmark.data.readers.files import find_files
from benchmark.data.readers.ircadb import Ircadb
from benchmark.data.readers.multi_organ import MultiOrgan
from benchmark.phantom import downloads
from benchmark.phantom.layout import save, zipped

GOOD = "3Dircadb1.1/PATIENT_DICOM/image_0"


def zip_of(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def link() -> bytes:
    info = zipfile.ZipInfo("3Dircadb1.1/PATIENT_DICOM/image_1")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return zip_of((GOOD, b"x"), (info, b"/etc/passwd"))


def encrypted() -> bytes:
    content = bytearray(zip_of((GOOD, b"secret")))
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + place] |= 1
    return bytes(content)


def lying() -> bytes:
    """The directory says 3 bytes, the member unpacks to a million."""
    content = bytearray(zip_of((GOOD, b"\0" * 10**6)))
    struct.pack_into("<L", content, content.index(b"PK\x01\x02") + 24, 3)
    return bytes(content)


def deep() -> bytes:
    content = zip_of((GOOD, b"x"))
    for depth in range(8):
        content = zip_of((f"d{depth}.zip", content))
    return content


def twice() -> bytes:
    content = zip_of((GOOD, b"one"), (GOOD.replace("image_0", "image_X"), b"two"))
    return content.replace(b"image_X", b"image_0")


def bomb() -> bytes:
    """A member of 64 MiB of zeros in 64 KiB."""
    return zip_of((GOOD, b"\0" * 64 * 1024**2))


HOSTILE = {
    "absolute": (zip_of(("/tmp/evil", b"x")), "has an absolute path"),
    "drive": (zip_of(("C:/evil", b"x")), "has an absolute path"),
    "parent": (zip_of(("../../evil", b"x")), "leads out of its folder"),
    "inner parent": (zip_of(("3Dircadb1.1/../../evil", b"x")), "leads out of its folder"),
    "backslash": (zip_of((GOOD, b"x"), ("..\\evil", b"x")), "evil"),
    "control": (zip_of(("3Dircadb1.1/a\x1b[2Jb", b"x")), "has an odd name"),
    "link": (link(), "is a link"),
    "encrypted": (encrypted(), "is encrypted"),
    "bomb": (bomb(), "-fold when unpacked"),
    "deep": (deep(), "more than 4 deep"),
    "twice": (twice(), "two files of one name"),
    "suffix": (b"Rar!\x1a\x07 no zip at all", "is not a whole zip"),
    "cut": (zip_of((GOOD, b"x" * 999))[:-30], "is not a whole zip"),
}


def everything(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_zip_is_refused(tmp_path: Path, kind: str, nested: bool) -> None:
    content, reason = HOSTILE[kind]
    raw = tmp_path / "raw"
    save(raw, {"3Dircadb1.1.zip": zip_of(("in.zip", content)) if nested else content})
    before = everything(tmp_path)
    message = refused(tmp_path / "root", Ircadb(raw), reason)
    assert message.isprintable()
    new = everything(tmp_path) - before
    assert new <= {"root", "root/data"}  # the lock and the temporary folder are gone again


def test_a_member_that_is_larger_than_it_says(tmp_path: Path) -> None:
    save(tmp_path, {"3Dircadb1.1.zip": lying()})
    (entry,) = find_files(tmp_path)
    assert entry.size == 3
    with pytest.raises(Exception, match="is damaged") as caught:
        entry.read()
    assert "Bad" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "limit", "part"),
    [("MAX_MEMBERS", 1, "too many"), ("MAX_TOTAL", 100, "too large"), ("MAX_MEMBER", 90, "large")],
)
def test_bounds(tmp_path: Path, monkeypatch, name: str, limit: int, part: str) -> None:
    save(tmp_path / "raw", {"a.zip": zip_of((GOOD, b"x" * 99), (GOOD + "1", b"x" * 99))})
    assert len(find_files(tmp_path / "raw")) == 2
    archives._open_zip.cache_clear()
    archives._open_tar.cache_clear()
    monkeypatch.setattr(archives, name, limit)
    refused(tmp_path, Ircadb(tmp_path / "raw"), part)


def test_a_whole_archive_that_grows_too_much(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(archives, "TOTAL_RATIO_FROM", 10**6)
    members = [(f"{GOOD}{n}", b"\0" * 10**6) for n in range(3)]
    save(tmp_path / "raw", {"a.zip": zip_of(*members)})
    refused(tmp_path, Ircadb(tmp_path / "raw"), "it is not a data set")


def test_masks_that_shrink_a_thousandfold_are_honest(tmp_path: Path) -> None:
    """A nearly empty mask of 512 x 512 packs as well as a bomb."""
    masks = {f"MASKS_DICOM/tumor/image_{n}": b"\0" * 2**18 for n in range(100)}
    save(tmp_path, {"3Dircadb1.1/MASKS_DICOM.zip": zipped(masks)})
    assert len(find_files(tmp_path)) == 100


def test_other_archives_are_named(tmp_path: Path) -> None:
    save(tmp_path / "raw", {"3Dircadb1.1.rar": b"Rar!"})
    refused(tmp_path, Ircadb(tmp_path / "raw"), "3Dircadb1.1.rar", "unpack it")


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def tar_link(kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo("label0001.nii.gz")
    info.type, info.linkname = kind, "/etc/passwd"
    return info


TARS = {
    "parent": (tar_of((tarfile.TarInfo("../label0001.nii.gz"), b"x")), "leads out"),
    "absolute": (tar_of((tarfile.TarInfo("/tmp/label0001.nii.gz"), b"x")), "absolute"),
    "link": (tar_of((tar_link(tarfile.SYMTYPE), b"")), "is a link"),
    "hard link": (tar_of((tar_link(tarfile.LNKTYPE), b"")), "is a link"),
    "device": (tar_of((tar_link(tarfile.CHRTYPE), b"")), "is a link or a device"),
    "bomb": (tar_of((tarfile.TarInfo("label0001.nii.gz"), b"\0" * 300 * 1024**2)), "too much"),
    "twice": (tar_of(*[(tarfile.TarInfo("label0001.nii.gz"), b"x")] * 2), "one name"),
    "no tar": (b"\x1f\x8b no tar", "is not a whole tar"),
}


@pytest.mark.parametrize("kind", TARS)
def test_a_hostile_tar_is_refused(tmp_path: Path, kind: str) -> None:
    content, reason = TARS[kind]
    member = downloads.Member(volume=small(0), source="btcv", number=1)
    downloads.write_multi_organ(tmp_path / "raw", [member], ORGANS)
    labels = tmp_path / "raw" / "labels"
    (labels / "label_btcv_multiorgan.tar.gz").write_bytes(content)
    reader = MultiOrgan(labels, {"btcv": tmp_path / "raw" / "btcv"})
    refused(tmp_path / "root", reader, reason)


def test_links_on_disk_lead_to_the_files_and_loops_end(tmp_path: Path) -> None:
    """A user's disk is trusted: data often lies behind a link."""
    files = downloads.patient_files(small(0), ORGANS, downloads.IrcadbOptions())
    save(tmp_path / "elsewhere", files)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "3Dircadb1.1").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "elsewhere")
    assert Ircadb(tmp_path / "raw").cases == ("ircadb_01",)
    assert len(find_files(tmp_path / "raw")) == len(files)
