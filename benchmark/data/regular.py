"""Bytes of a file that a user named, within bounds: never a pipe or a device, never without end."""

from __future__ import annotations

import stat
from hashlib import sha256
from pathlib import Path

from benchmark.data.badfile import BadFile, unreadable

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
