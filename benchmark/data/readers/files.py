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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path, PurePosixPath

from benchmark.data.badfile import BadFile, read_regular
from benchmark.data.readers.archives import SUFFIXES, Member, members, read_member, stem
from benchmark.errors import BadInput
from benchmark.plan.keys import content_hash

MAX_FILE = 4 * 1024**3
MAX_DEPTH = 4
FOREIGN = (".rar", ".7z", ".tar.bz2", ".tar.xz")  # archives that nobody here can open
IGNORED = {"__macosx", "thumbs.db", "desktop.ini", "dicomdir"}


@dataclass(frozen=True)
class Entry:
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
            if not self.inner:
                return read_regular(self.path, MAX_FILE)
            return read_member(self.path, self.inner)
        except BadFile as error:
            raise BadInput(str(error)) from None
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise BadInput(f"{self.shown} cannot be read: {reason}") from None

    def sha256(self) -> str:
        """Return the hash of the bytes."""
        return sha256(self.read()).hexdigest()


def find_files(root: Path) -> list[Entry]:
    """Return all files below `root` (a folder or an archive) in natural order of their paths.

    Hidden files and what systems leave behind are left out; so is an archive beside the folder
    of its own name, into which somebody unpacked it. Raises BadInput for a path that does not
    exist, an archive that is refused, and archives of other kinds.
    """
    if not root.exists():
        raise BadInput(f"there is no {root}: give the folder or archive that holds the data")
    start = root.resolve()
    name, size = (start.name,), start.stat().st_size
    found = _file(start, name, size) if start.is_file() else _folder(start, name)
    return sorted(found, key=lambda entry: natural(entry.parts))


def natural(parts: Iterable[str]) -> list[list[tuple[int, int, str]]]:
    """Return a sort key by which image_2 comes before image_10."""
    return [_natural(part) for part in parts]


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


def _folder(folder: Path, above: tuple[str, ...]) -> Iterator[Entry]:
    seen = list(_walk(folder))
    folders = {parts[:depth] for parts, _ in seen for depth in range(1, len(parts))}
    for parts, status in seen:
        name = parts[-1]
        if name.lower().endswith(SUFFIXES) and (*parts[:-1], stem(name)) in folders:
            continue  # it was unpacked beside itself: every file would come twice
        yield from _file(folder.joinpath(*parts), (*above, *parts), status.st_size)


def _file(path: Path, parts: tuple[str, ...], size: int) -> Iterator[Entry]:
    if path.name.lower().endswith(FOREIGN):
        raise BadInput(f"{path.name}: archives of this kind cannot be read; unpack it")
    if path.name.lower().endswith(SUFFIXES):
        yield from _archive(path, (), (*parts[:-1], stem(parts[-1])))
    else:
        yield Entry(path, (), parts, size)


def _archive(path: Path, inner: tuple[str, ...], above: tuple[str, ...]) -> Iterator[Entry]:
    """All members of an archive, those of archives inside it included."""
    if len(inner) > MAX_DEPTH:
        raise BadInput(f"{path.name}: archives lie more than {MAX_DEPTH} deep in each other")
    found = [member for member in members(path, inner) if _all_wanted(member)]
    folders = {place.as_posix() for m in found for place in PurePosixPath(m.name).parents}
    for member in found:
        parts = PurePosixPath(member.name).parts
        lower = member.name.lower()
        if not lower.endswith(SUFFIXES):
            yield Entry(path, (*inner, member.name), (*above, *parts), member.size)
        elif stem(member.name) not in folders:
            yield from _archive(path, (*inner, member.name), (*above, *parts[:-1], stem(parts[-1])))


def _wanted(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in IGNORED


def _all_wanted(member: Member) -> bool:
    return all(_wanted(part) for part in PurePosixPath(member.name).parts)
