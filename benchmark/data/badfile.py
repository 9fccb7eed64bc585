"""Files that a user named: read within bounds, never a pipe or a device; one bad file among many,
and the guard that makes of whatever a library raises such a file.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from benchmark.data.judging.checks import Check
from benchmark.errors import BadInput, lacking


class BadFile(Exception):  # noqa: N818 - like BadInput, for one case among many
    """A file that cannot be used; `check` is the failed check that says why."""

    def __init__(self, name: str, value: float | str, limit: str, message: str) -> None:
        super().__init__(message)
        self.check = Check(name=name, ok=False, value=value, limit=limit, message=message)


@contextmanager
def guarded(name: str) -> Iterator[None]:
    """Make BadFile, with the library's sentence on one line, of all that is raised inside.

    `name` is the file (or case) that was in work. BadFile and BadInput, which say already what
    is wrong, go on as they are.
    """
    try:
        yield
    except (BadFile, BadInput):
        raise
    except Exception as error:  # no library lists what a broken file makes it raise
        raise unreadable(name, error) from None


def unreadable(name: str, error: Exception) -> BadFile:
    """Return the refusal of a file that made a library raise `error`."""
    told = lacking(error) or (error.strerror if isinstance(error, OSError) else None) or str(error)
    reason = " ".join(told.split()) or type(error).__name__
    return BadFile("readable", type(error).__name__, "whole", f"{name} cannot be read: {reason}")


def demand(checks: Iterable[Check], start: str = "") -> None:
    """Raise BadFile for the first check that failed; `start` goes before its sentence."""
    for check in checks:
        if not check.ok:
            raise BadFile(check.name, check.value, check.limit, start + check.message)


def refused_for(error: BadFile | BadInput) -> Check:
    """Return the failed check that says what a case is refused for."""
    if isinstance(error, BadFile):
        return error.check
    message = " ".join(str(error).split())
    return Check(name="readable", ok=False, value="not read", limit="whole", message=message)


MAX_BYTES = 4 * 1024**3
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def read_regular(path: Path, limit: int = MAX_BYTES) -> bytes:
    """Return the bytes of a regular file, or of one that a link leads to.

    Raises BadFile naming the file for what is none (reading it might never end), for more than
    `limit` bytes, and for what the system cannot read.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = next((name for test, name in _KINDS if test(status.st_mode)), "something else")
            raise BadFile("file", kind, "a regular file", f"{path.name} is {kind}, not a file")
        size = status.st_size
        if size > limit:
            shown = f"{path.name} is over {limit / 1024**3:g} GiB"
            raise BadFile("size", size, f"<= {limit / 1024**3:g} GiB", shown)
        with path.open("rb") as file:
            content = file.read(size + 1)
    except OSError as error:
        raise unreadable(path.name, error) from None
    if len(content) != size:
        message = f"{path.name} changed while it was read: try again"
        raise BadFile("size", len(content), str(size), message)
    return content


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a regular file's bytes; raises BadFile as `read_regular` does."""
    return sha256(read_regular(path)).hexdigest()
