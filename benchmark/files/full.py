"""Whether an error means that a disk is full. Libraries say it in many ways, some in text alone."""

from __future__ import annotations

import errno

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
WORDS = ("no space left on device", "disk quota exceeded", "database or disk is full")


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
