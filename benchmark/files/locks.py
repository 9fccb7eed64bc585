"""Locks between processes, which the operating system frees when their owner dies; and the cores
that a process may use.

A lock saves work, and nothing rests on it: of two that make the same, the commit takes one
(`atomic.py`). So a file system without locks is used all the same, and one line says so. A lock
file that stands for one (filelock's `SoftFileLock`) would stay for ever when its machine is lost.
"""

from __future__ import annotations

import errno
import inspect
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from filelock import AcquireReturnProxy, FileLock, Timeout

Item = TypeVar("Item")
Made = TypeVar("Made")
TELL_SECONDS = 1.0  # how long one waits for a lock in silence
NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP})
# where a file that is unlinked while another holds it open is gone for all; a network's may come
# back under another name, and two processes would then hold two locks of one name
OWN_DISKS = frozenset(
    ("apfs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs")
)
MOUNTS = Path("/proc/self/mounts")
# releases of filelock before 4 know no such option
_KNOWN = inspect.signature(FileLock.__init__).parameters
HARD: dict[str, Any] = {"fallback_to_soft": False} if "fallback_to_soft" in _KNOWN else {}


class Lock(FileLock):
    """A lock of the operating system, and none where the file system has none: then whoever asks
    goes on, and a line on standard error says so once a process."""

    told = False

    def acquire(self, *args: Any, **named: Any) -> Any:
        """Wait for the lock as `FileLock` does. Raises `Timeout`, and `OSError` for a file that
        cannot be opened."""
        try:
            return super().acquire(*args, **named)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            if not Lock.told:
                Lock.told = True
                sys.stderr.write(
                    f"bench: the file system of {Path(self.lock_file).parent} has no locks "
                    f"({os.strerror(error.errno)}): two processes may train the same at once, "
                    "and one result is kept; mount it with flock to save that time\n"
                )
            return AcquireReturnProxy(lock=self)


def cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def at_once(function: Callable[[Item], Made], items: Sequence[Item]) -> list[Made]:
    """Return what a function makes of each item, in their order, made by a thread a core. Raises
    what the function raises."""
    with ThreadPoolExecutor(max_workers=max(1, min(cores(), len(items)))) as pool:
        return list(pool.map(function, items))


def lock(path: Path, *, seconds: float = -1) -> Lock:
    """Return a lock to enter with `with`; it waits `seconds` (-1: for ever), then `Timeout`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return Lock(path, timeout=seconds, **HARD)


@contextmanager
def shown_lock(path: Path, what: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock at `path`. Whoever waits for it tells, once, who does `what` and since when."""
    held, who = lock(path), path.with_name(f"{path.name}.who")
    try:
        held.acquire(timeout=TELL_SECONDS)
    except Timeout:
        tell(f"{what} is being made by {_holder(who)}: waiting for it")
        held.acquire(timeout=-1)
    try:
        with suppress(OSError):  # a full disk: then nobody is told
            now = time.strftime("%Y-%m-%d %H:%M:%S")
            who.write_text(f"process {os.getpid()} on {platform.node()} since {now}")
        yield
    finally:
        with suppress(OSError):
            who.unlink(missing_ok=True)
        held.release()


def _holder(who: Path) -> str:
    try:
        return who.read_text(encoding="utf-8", errors="replace")[:200] or "another process"
    except OSError:
        return "another process"


@contextmanager
def brief_lock(final: Path) -> Iterator[None]:
    """Let one process (and thread) at a time make `final`; the lock beside it is removed again
    where the disk is this machine's own.

    Whoever waited on the removed file may then run beside a newcomer; the rename of
    `commit_folder` decides between them, so that what is made stays whole.
    """
    path = final.parent / f"{final.name}.lock"
    with lock(path):
        try:
            yield
        finally:
            if is_own_disk(path.parent):
                with suppress(OSError):  # Windows keeps an open file
                    path.unlink()


def is_own_disk(folder: Path, mounts: str | None = None) -> bool:
    """Return whether a folder lies on a disk of this machine, by the table of `mounts` (default:
    the system's); false for a file system of a kind that is not known, true without a table."""
    if mounts is None:
        try:
            mounts = MOUNTS.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return True
    found = ("", "")
    for line in mounts.splitlines():
        _, place, kind, *_ = [*line.split(" "), "", "", ""]
        place = place.replace("\\040", " ")
        if folder.resolve().is_relative_to(place or "?") and len(place) >= len(found[0]):
            found = place, kind  # the last one of a place hides those before
    return found[1] in OWN_DISKS


def is_held(path: Path) -> bool:
    """Return whether a living process holds the lock at `path`."""
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0, **HARD):
            return False
    except Timeout:
        return True
    except OSError:  # it may only be read: where nobody can write, nobody trains
        return False
