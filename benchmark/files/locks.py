"""Locks between processes. The operating system frees them when their owner dies."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout


def lock(path: Path, *, seconds: float = -1) -> FileLock:
    """Return a lock to enter with `with`; it waits `seconds` (-1: for ever), then `Timeout`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path, timeout=seconds)


def is_held(path: Path) -> bool:
    """Return whether a living process holds the lock at `path`."""
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True
