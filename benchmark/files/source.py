"""Which code made a result. Recorded with it and shown when other code reuses it; never keyed."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

NUMBERS_COME_FROM = ("data", "parts", "plan", "scoring", "training")


@cache
def source_fingerprint() -> str:
    """Return a 12-digit hash of the source files that results depend on."""
    package = Path(__file__).resolve().parent.parent
    total = hashlib.sha256()
    for folder in NUMBERS_COME_FROM:
        for path in sorted((package / folder).rglob("*.py")):
            total.update(path.relative_to(package).as_posix().encode())
            total.update(path.read_bytes())
    return total.hexdigest()[:12]
