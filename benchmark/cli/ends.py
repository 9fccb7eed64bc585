"""How a command ends that something other than bad input stopped: one line and an exit code."""

from __future__ import annotations

import errno
from pathlib import Path

from benchmark.files.atomic import disk_full

CAUSED = frozenset(  # what a person can cause, and mend
    {errno.EACCES, errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOENT,
     errno.ENOTDIR, errno.EPERM, errno.EROFS}
)  # fmt: skip
DIGITS = "integer string conversion"  # Python's own words for a number of thousands of digits
FULL = (
    "no space left on the disk of the workspace {root}: what was finished is whole and stays, and "
    "trainings go on from their last checkpoint; free some space and give the same command again"
)


def ended_by(error: BaseException, root: Path, command: str) -> tuple[int, str] | None:
    """Return exit code and line for an error of the system, a full disk, want of memory or a
    package that left; None for any other, whose traceback is wanted.

    The traceback of what stays unclear lies in `logs/failures.log` of the workspace `root`.
    """
    if disk_full(error):
        return 1, FULL.format(root=root)
    if isinstance(error, OSError) and error.errno in CAUSED:
        return 2, _of_the_system(error)
    if isinstance(error, RecursionError) or DIGITS in str(error):
        return 2, "what was given holds brackets nested too deep, or a number of too many digits"
    from benchmark.running.failing import failure, memory_short, one_line

    if isinstance(error, OSError | SystemExit) or memory_short(error):
        there = (root / "format").is_file()
        return 1, failure(error, f"bench {command}", root) if there else one_line(error)
    return None


def _of_the_system(error: OSError) -> str:
    place = error.filename2 or error.filename
    where = f" {str(place)!r}" if place is not None else ""
    return f"cannot use{where}: {error.strerror}; put it right, or choose another --root or path"
