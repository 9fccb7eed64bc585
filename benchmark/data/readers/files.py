"""The files below a path a user gave, archives included: one list, whatever lies packed in what.

Nothing is ever unpacked to disk: a member of an archive is read into memory when asked for, so a
hostile archive cannot write anywhere. It is refused all the same, since a person should know:
absolute paths, `..`, links, encrypted members, members that come twice, sizes and ratios of a
bomb, archives nested too deep, and files that are not what their suffix says.
"""

from __future__ import annotations

import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from io import BytesIO
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

from benchmark.data.badfile import BadFile, read_regular
from benchmark.errors import BadInput
from benchmark.plan.keys import content_hash

SUFFIXES = (".zip", ".tar.gz", ".tgz", ".tar")
MAX_MEMBERS = 200_000
MAX_MEMBER = 2 * 1024**3
MAX_TOTAL = 64 * 1024**3
# Slices of a small organ's mask are nearly empty and shrink a thousandfold by honest means, so a
# ratio says nothing of small members and little of an archive: what is large must not shrink so.
MAX_RATIO, RATIO_FROM = 200, 16 * 1024**2
MAX_TOTAL_RATIO, TOTAL_RATIO_FROM = 500, 1024**3
MAX_TAR = 1024**3  # a tar is held in memory whole
MAX_DEPTH = 4
FOREIGN = (".rar", ".7z", ".tar.bz2", ".tar.xz")  # archives that nobody here can open
IGNORED = {"__macosx", "thumbs.db", "desktop.ini", "dicomdir"}


@dataclass(frozen=True)
class FoundFile:
    """A file on disk, or a member of the archive at `path` (`inner`: through which archives).

    `parts` is its path from the given folder on, that folder's name first; an archive counts as
    a folder that is called like it without the suffix.
    """

    path: Path
    inner: tuple[str, ...]
    parts: tuple[str, ...]
    size: int

    @property
    def name(self) -> str:
        """The file's name."""
        return self.parts[-1]

    @property
    def shown(self) -> str:
        """For messages: the path below what the user gave."""
        return "/".join(self.parts[-3:])

    def read(self) -> bytes:
        """Return the bytes. Raises BadInput naming the file that cannot be read."""
        try:
            return read_member(self.path, self.inner) if self.inner else read_regular(self.path)
        except BadFile as error:
            raise BadInput(str(error)) from None
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise BadInput(f"{self.shown} cannot be read: {reason}") from None

    def sha256(self) -> str:
        """Return the hash of the bytes."""
        return sha256(self.read()).hexdigest()


def find_files(root: Path) -> list[FoundFile]:
    """Return all files below `root` (a folder or an archive) in natural order of their paths.

    Hidden files and what systems leave behind are left out; so is an archive beside the folder
    of its own name, into which somebody unpacked it. Raises BadInput for a path that does not
    exist, an archive that is refused, and archives of other kinds.
    """
    if not root.exists():
        raise BadInput(f"there is no {root}: give the folder or archive that holds the data")
    start = root.resolve()
    name, size = (start.name,), start.stat().st_size
    return natural_order(_file(start, name, size) if start.is_file() else _folder(start, name))


def natural_order(entries: Iterable[FoundFile]) -> list[FoundFile]:
    """Return files in the natural order of their paths: image_2 comes before image_10."""
    return sorted(entries, key=lambda entry: [_natural(part) for part in entry.parts])


@lru_cache(maxsize=2**16)
def _natural(part: str) -> list[tuple[int, int, str]]:
    return [
        (0, int(token), "") if token.isdecimal() else (1, 0, token.lower())
        for token in re.split(r"(\d+)", part)
        if token
    ]


def stamp(roots: Iterable[Path]) -> str:
    """Return a hash of names, sizes and times of all files below: equal means untouched.

    The time of the last change of a file's inode is in it, which a program cannot set, so that
    a file written anew with its old size and time is still seen. No content is read.
    """
    seen = []
    for number, root in enumerate(roots):
        found = [((root.name,), root.stat())] if root.is_file() else list(_walk(root.resolve()))
        for parts, status in found:
            times = [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
            seen.append([number, "/".join(parts), *times])
    return content_hash(sorted(seen))


def _walk(folder: Path) -> Iterator[tuple[tuple[str, ...], os.stat_result]]:
    """Every wanted file on disk: its path below `folder`, and what the system knows of it.

    Links are followed, loops are not.
    """
    visited = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        above = Path(place).relative_to(folder).parts
        folders[:] = sorted(name for name in folders if _wanted(name))
        for name in sorted(filter(_wanted, names)):
            try:
                status = Path(place, name).stat()
            except OSError:  # a link that leads nowhere
                continue
            if stat.S_ISREG(status.st_mode):
                yield (*above, name), status


def _folder(folder: Path, above: tuple[str, ...]) -> Iterator[FoundFile]:
    seen = list(_walk(folder))
    folders = {parts[:depth] for parts, _ in seen for depth in range(1, len(parts))}
    for parts, status in seen:
        if _suffix(parts[-1]) and (*parts[:-1], without_suffix(parts[-1])) in folders:
            continue  # it was unpacked beside itself: every file would come twice
        yield from _file(folder.joinpath(*parts), (*above, *parts), status.st_size)


def _file(path: Path, parts: tuple[str, ...], size: int) -> Iterator[FoundFile]:
    if path.name.lower().endswith(FOREIGN):
        raise BadInput(f"{path.name}: archives of this kind cannot be read; unpack it")
    if _suffix(path.name):
        yield from _archive(path, (), (*parts[:-1], without_suffix(parts[-1])))
    else:
        yield FoundFile(path, (), parts, size)


def _archive(path: Path, inner: tuple[str, ...], above: tuple[str, ...]) -> Iterator[FoundFile]:
    """All members of an archive, those of archives inside it included."""
    if len(inner) > MAX_DEPTH:
        raise BadInput(f"{path.name}: archives lie more than {MAX_DEPTH} deep in each other")
    found = [m for m in members(path, inner) if all(map(_wanted, PurePosixPath(m.name).parts))]
    folders = {place.as_posix() for m in found for place in PurePosixPath(m.name).parents}
    for member in found:
        parts = PurePosixPath(member.name).parts
        if not _suffix(member.name):
            yield FoundFile(path, (*inner, member.name), (*above, *parts), member.size)
        elif without_suffix(member.name) not in folders:
            yield from _archive(
                path, (*inner, member.name), (*above, *parts[:-1], without_suffix(parts[-1]))
            )


def _suffix(name: str) -> str:
    return next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), "")


def _wanted(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in IGNORED


@dataclass(frozen=True)
class ArchivedFile:
    """A file in an archive: its name with forward slashes, and its size when unpacked."""

    name: str
    size: int


def without_suffix(name: str) -> str:
    """Return an archive's name without its suffix."""
    return name[: -len(suffix)] if (suffix := _suffix(name)) else name


def members(path: Path, inner: tuple[str, ...]) -> list[ArchivedFile]:
    """Return the files in an archive, in its order; raises BadInput when it is refused."""
    shown = inner[-1] if inner else path.name
    try:
        if shown.lower().endswith(".zip"):
            return _zip_members(_open_zip(path, inner), shown)
        return [
            ArchivedFile(name, len(content)) for name, content in _open_tar(path, inner).items()
        ]
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


@lru_cache(maxsize=4)
def _open_zip(path: Path, inner: tuple[str, ...]) -> zipfile.ZipFile:
    return zipfile.ZipFile(BytesIO(read_member(path, inner)) if inner else path)


def _zip_members(archive: zipfile.ZipFile, shown: str) -> list[ArchivedFile]:
    infos = [info for info in archive.infolist() if not info.is_dir()]
    for info in infos:
        if info.flag_bits & 1:
            _refuse(shown, info.filename, "is encrypted; unpack it with its password")
        if stat.S_ISLNK(info.external_attr >> 16):
            _refuse(shown, info.filename, "is a link")
        if info.file_size > RATIO_FROM and info.file_size > MAX_RATIO * info.compress_size:
            factor = info.file_size / max(info.compress_size, 1)
            _refuse(shown, info.filename, f"grows {factor:.0f}-fold when unpacked")
    total, packed = sum(i.file_size for i in infos), sum(i.compress_size for i in infos)
    if total > TOTAL_RATIO_FROM and total > MAX_TOTAL_RATIO * packed:
        raise BadInput(
            f"{shown} would grow {total / max(packed, 1):.0f}-fold: it is not a data set"
        )
    return _checked([ArchivedFile(info.filename, info.file_size) for info in infos], shown)


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
                raise BadInput(f"{shown} unpacks to too much: it is not an archive of labels")
            if info.name in contents:
                raise BadInput(f"{shown} holds two files of one name")
            _checked([ArchivedFile(info.name, info.size)], shown)
            file = archive.extractfile(info)
            contents[info.name] = file.read() if file else b""
    return contents


def _checked(found: list[ArchivedFile], shown: str) -> list[ArchivedFile]:
    """Return the members; raises BadInput for names and sizes that no data set needs."""
    if len(found) > MAX_MEMBERS or sum(member.size for member in found) > MAX_TOTAL:
        raise BadInput(f"{shown} holds too many or too large files: it is not a data set")
    if len({member.name for member in found}) < len(found):
        raise BadInput(f"{shown} holds two files of one name")
    for member in found:
        for wrong, what in _RULES:
            if wrong(member):
                _refuse(shown, member.name, what)
    return found


_RULES: tuple[tuple[Callable[[ArchivedFile], bool], str], ...] = (
    (lambda m: bool(PureWindowsPath(m.name).anchor), "has an absolute path"),  # a POSIX one too
    (lambda m: ".." in PurePosixPath(m.name).parts, "leads out of its folder"),
    (lambda m: "\\" in m.name or not m.name.isprintable(), "has an odd name"),
    (lambda m: m.size > MAX_MEMBER, "is too large"),
)


def _refuse(shown: str, name: str, what: str) -> None:
    name = "".join(c if c.isprintable() else "?" for c in name)[-80:]
    raise BadInput(f"{shown} is refused: its member {name!r} {what}; nothing was unpacked")
