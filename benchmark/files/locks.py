"""Locks between processes, which the operating system frees when their owner dies; and the cores
that a process may use."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

Item = TypeVar("Item")
Made = TypeVar("Made")
TELL_SECONDS = 1.0  # how long one waits for a lock in silence


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


def lock(path: Path, *, seconds: float = -1) -> FileLock:
    """Return a lock to enter with `with`; it waits `seconds` (-1: for ever), then `Timeout`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path, timeout=seconds)


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
    except OSError:  # it may only be read: where nobody can write, nobody trains
        return False
