"""Zip and tar archives, read in memory and trusted in nothing. See `files.py`."""

from __future__ import annotations

import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

from benchmark.errors import BadInput

SUFFIXES = (".zip", ".tar.gz", ".tgz", ".tar")
MAX_MEMBERS = 200_000
MAX_MEMBER = 2 * 1024**3
MAX_TOTAL = 64 * 1024**3
# Slices of a small organ's mask are nearly empty and shrink a thousandfold by honest means, so a
# ratio says nothing of small members and little of an archive: what is large must not shrink so.
MAX_RATIO, RATIO_FROM = 200, 16 * 1024**2
MAX_TOTAL_RATIO, TOTAL_RATIO_FROM = 500, 1024**3
MAX_TAR = 1024**3  # a tar is held in memory whole


@dataclass(frozen=True)
class Member:
    """A file in an archive: its name with forward slashes, and its size when unpacked."""

    name: str
    size: int


def stem(name: str) -> str:
    """Return an archive's name without its suffix."""
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def members(path: Path, inner: tuple[str, ...]) -> list[Member]:
    """Return the files in an archive, in its order; raises BadInput when it is refused."""
    shown = inner[-1] if inner else path.name
    try:
        if shown.lower().endswith(".zip"):
            return _zip_members(_open_zip(path, inner), shown)
        return [Member(name, len(content)) for name, content in _open_tar(path, inner).items()]
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        kind = "zip" if shown.lower().endswith(".zip") else "tar archive"
        raise BadInput(f"{shown} is not a whole {kind} ({reason}): get it anew") from None


def read_member(path: Path, inner: tuple[str, ...]) -> bytes:
    """Return the bytes of the last of `inner`, opening the archives before it."""
    *above, name = inner
    shown = above[-1] if above else path.name
    if not shown.lower().endswith(".zip"):
        return _open_tar(path, tuple(above))[name]
    try:
        # no more is unpacked than the entry announces, and its checksum must be right
        return _open_zip(path, tuple(above)).read(name)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise BadInput(f"{shown}: its member {name} is damaged ({type(error).__name__})") from None


def close_all() -> None:
    """Forget all open archives."""
    _open_zip.cache_clear()
    _open_tar.cache_clear()


@lru_cache(maxsize=4)
def _open_zip(path: Path, inner: tuple[str, ...]) -> zipfile.ZipFile:
    return zipfile.ZipFile(BytesIO(read_member(path, inner)) if inner else path)


def _zip_members(archive: zipfile.ZipFile, shown: str) -> list[Member]:
    infos = [info for info in archive.infolist() if not info.is_dir()]
    for info in infos:
        if info.flag_bits & 1:
            _refuse(shown, info.filename, "is encrypted; unpack it with its password")
        if stat.S_ISLNK(info.external_attr >> 16):
            _refuse(shown, info.filename, "is a link")
        if info.file_size > RATIO_FROM and info.file_size > MAX_RATIO * info.compress_size:
            factor = info.file_size / max(info.compress_size, 1)
            _refuse(shown, info.filename, f"grows {factor:.0f}-fold when unpacked")
    total, packed = (sum(sizes) for sizes in zip((0, 0), *map(_sizes, infos), strict=True))
    if total > TOTAL_RATIO_FROM and total > MAX_TOTAL_RATIO * packed:
        raise BadInput(f"{shown} would grow {total / max(packed, 1):.0f}-fold: it is no data set")
    return _checked([Member(info.filename, info.file_size) for info in infos], shown)


def _sizes(info: zipfile.ZipInfo) -> tuple[int, int]:
    return info.file_size, info.compress_size


@lru_cache(maxsize=2)
def _open_tar(path: Path, inner: tuple[str, ...]) -> dict[str, bytes]:
    """All members of a tar: it can only be read from its start, and labels are small."""
    shown = inner[-1] if inner else path.name
    stream: BinaryIO = BytesIO(read_member(path, inner)) if inner else path.open("rb")
    contents: dict[str, bytes] = {}
    left = min(MAX_TAR, MAX_RATIO * max(path.stat().st_size, 1024**2))
    with stream, tarfile.open(fileobj=stream, mode="r|*") as archive:
        for info in archive:
            if info.isdir():
                continue
            if not info.isreg():
                _refuse(shown, info.name, "is a link or a device")
            left -= info.size
            if left < 0:
                raise BadInput(f"{shown} unpacks to too much: it is no archive of labels")
            if info.name in contents:
                raise BadInput(f"{shown} holds two files of one name")
            _checked([Member(info.name, info.size)], shown)
            file = archive.extractfile(info)
            contents[info.name] = file.read() if file else b""
    return contents


def _checked(found: list[Member], shown: str) -> list[Member]:
    """Return the members; raises BadInput for names and sizes that no data set needs."""
    if len(found) > MAX_MEMBERS or sum(member.size for member in found) > MAX_TOTAL:
        raise BadInput(f"{shown} holds too many or too large files: it is no data set")
    if len({member.name for member in found}) < len(found):
        raise BadInput(f"{shown} holds two files of one name")
    for member in found:
        for wrong, what in _RULES:
            if wrong(member):
                _refuse(shown, member.name, what)
    return found


_RULES: tuple[tuple[Callable[[Member], bool], str], ...] = (
    (lambda m: PurePosixPath(m.name).is_absolute(), "has an absolute path"),
    (lambda m: bool(PureWindowsPath(m.name).anchor), "has an absolute path"),
    (lambda m: ".." in PurePosixPath(m.name).parts, "leads out of its folder"),
    (lambda m: "\\" in m.name or not m.name.isprintable(), "has an odd name"),
    (lambda m: m.size > MAX_MEMBER, "is too large"),
)


def _refuse(shown: str, name: str, what: str) -> None:
    name = "".join(c if c.isprintable() else "?" for c in name)[-80:]
    raise BadInput(f"{shown} is refused: its member {name!r} {what}; nothing was unpacked")
