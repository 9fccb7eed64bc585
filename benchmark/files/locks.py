"""Locks between processes. The operating system frees them when their owner dies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout


def lock(path: Path, *, seconds: float = -1) -> FileLock:
    """Return a lock to enter with `with`; it waits `seconds` (-1: for ever), then `Timeout`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path, timeout=seconds)


@contextmanager
def brief_lock(final: Path) -> Iterator[None]:
    """Let one process (and thread) at a time make `final`; the lock beside it is removed again.

    Whoever waited on the removed file may then run beside a newcomer; the rename of
    `commit_folder` decides between them, so that what is made stays whole.
    """
    path = final.parent / f"{final.name}.lock"
    with lock(path):
        try:
            yield
        finally:
            with suppress(OSError):  # Windows keeps an open file
                path.unlink()


def is_held(path: Path) -> bool:
    """Return whether a living process holds the lock at `path`."""
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True
