"""Folders and files that appear whole or not at all, with checksums to prove it later.

A rename alone is not enough: without fsync of the files and of the folder, a crash of the
machine may leave a name that points to nothing (Pillai et al., OSDI 2014).
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from benchmark.files.values import json_of

CHECKSUMS = "checksums.json"
# what a full disk is told by: libraries say it in many ways, some in text alone
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
TAKEN = frozenset({errno.EEXIST, errno.ENOTEMPTY})  # what a rename onto a folder with files says
WORDS = ("no space left on device", "disk quota exceeded", "database or disk is full")


class Keeper(Protocol):
    """Who keeps what is committed elsewhere too (`mirror.py`), before it appears here. Both raise
    `FileExistsError` where the name is taken there."""

    def keep_folder(self, final: Path, folder: Path) -> None:
        """Keep a folder that is to become `final`."""

    def keep_file(self, final: Path, file: Path, *, new: bool) -> None:
        """Keep a file that is to become `final`."""


@contextmanager
def commit_folder(
    final: Path, *, checksums: bool = False, keeper: Keeper | None = None
) -> Iterator[Path]:
    """Yield a temporary folder beside `final` that becomes `final` by one rename.

    On success every file is flushed to disk first, and with `checksums` a `checksums.json` is
    added that `damage` reads. On any exception the temporary folder is removed and `final` is
    untouched. Raises `FileExistsError` where `final` already exists, also where another writer was
    faster: the rename alone decides, no lock is needed for that.
    """
    if final.exists():
        raise FileExistsError(final)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".tmp-{final.name}-", dir=final.parent))
    try:
        yield temporary
        if checksums:
            sums = {name: sha256_file(path) for name, path in _files(temporary).items()}
            write_json(temporary / CHECKSUMS, sums)
        for path in sorted(temporary.rglob("*"), reverse=True):
            _fsync(path)
        _fsync(temporary)
        temporary.chmod(0o755)  # mkdtemp makes it private; results are meant to be shared
        if keeper:
            keeper.keep_folder(final, temporary)
        try:
            temporary.rename(final)
        except OSError as error:
            if error.errno in TAKEN:
                raise FileExistsError(final) from error
            raise
        _fsync(final.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


@contextmanager
def commit_file(final: Path, *, new: bool = False, keeper: Keeper | None = None) -> Iterator[Path]:
    """Yield a temporary path beside `final` that replaces `final` by one rename on success; `new`:
    that becomes it by one hard link, and raises `FileExistsError` where there is one already.

    On any exception the temporary file is removed and `final` is what it was. Raises `OSError`
    where the disk does not take it."""
    final.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".tmp-{final.name}-", dir=final.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        _fsync(temporary)
        if keeper:
            keeper.keep_file(final, temporary, new=new)
        if new:
            _link(temporary, final)
        else:
            temporary.replace(final)
        _fsync(final.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _link(temporary: Path, final: Path) -> None:
    """Give a file its name, which nobody else can have; where a file system has no hard links, a
    look before the rename has to do."""
    try:
        os.link(temporary, final)
    except FileExistsError:
        raise
    except OSError:
        if final.exists():
            raise FileExistsError(final) from None
        temporary.replace(final)
    temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON with sorted keys. Raises `ValueError` for NaN or inf."""
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Return the JSON value in `path`. Raises `OSError` where it cannot be read, `ValueError` where
    it holds none (`files.values.json_of`)."""
    return json_of(path.read_text(encoding="utf-8"))


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def damage(folder: Path) -> str:
    """Return what is wrong with a folder that was committed with checksums, in words, or "". Raises
    `OSError` where a file that is listed cannot be read."""
    try:
        expected = read_json(folder / CHECKSUMS)
    except (OSError, ValueError) as error:
        return f"{CHECKSUMS}: {error}"
    if not isinstance(expected, dict) or not expected:
        return f"{CHECKSUMS} lists no files"
    there = _files(folder)  # by name: what is listed may be no path at all
    for name, sha256 in sorted(expected.items()):
        if name not in there:
            return f"{name[:100]} is missing"
        if sha256_file(there[name]) != sha256:
            return f"{name} does not match its checksum"
    return ""


def move_aside(folder: Path, aside: Path, name: str) -> Path:
    """Move a folder below `aside` as `NAME-0`, `NAME-1`, ...: nothing there is replaced; return
    where it lies now. Raises `OSError` where it is not there, or cannot be moved."""
    aside.mkdir(parents=True, exist_ok=True)
    for number in itertools.count():
        place = aside / f"{name}-{number}"
        if place.exists():
            continue
        try:
            return folder.rename(place)
        except OSError as error:
            if error.errno not in TAKEN:  # else another machine took this number just now
                raise
    raise AssertionError("the numbers do not end")


def disk_full(error: BaseException | None) -> bool:
    """Return whether an error, or one that caused it, is that of a full disk."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        said = str(error).lower()
        if getattr(error, "errno", None) in FULL or any(word in said for word in WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False


def checked(folder: Path, name: str) -> bytes | None:
    """Return the bytes of a file of a folder that was committed with checksums; None where they do
    not match."""
    try:
        expected = read_json(folder / CHECKSUMS)[name]
        content = (folder / name).read_bytes()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return content if hashlib.sha256(content).hexdigest() == expected else None


def sweep_temporaries(folder: Path, older_than_seconds: float) -> int:
    """Remove what killed writers left under `folder`; return how many entries were removed.

    Only entries untouched for `older_than_seconds` go, by the clock of the disk, which may be
    another machine's: a living writer may own the others.
    """
    gone = 0
    with tempfile.TemporaryFile(dir=folder) as made_now:
        now = os.fstat(made_now.fileno()).st_mtime
    for path in list(folder.rglob(".tmp-*")):
        if not path.exists() or now - path.stat().st_mtime < older_than_seconds:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        gone += 1
    return gone


def _files(folder: Path) -> dict[str, Path]:
    """The files below a folder by their names in it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in files}


def _fsync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows has no such call for folders
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
