"""The version of a workspace's layout: one number in the file `format`.

No other layout existed yet. The next one raises `FORMAT` and comes with the step that brings an
older workspace over (CONTRIBUTING.md).
"""

from __future__ import annotations

from pathlib import Path

from benchmark.errors import BadInput
from benchmark.files.roots import shown

FORMAT = "1"
MARKER = "format"  # the file that holds it


def check_format(root: Path) -> None:
    """Raise `BadInput` for a workspace in another format, `OSError` where there is none."""
    found = (root / MARKER).read_text(encoding="utf-8", errors="replace").strip()
    if found != FORMAT:
        raise BadInput(_refusal(root, found[:20]))


def _refusal(root: Path, found: str) -> str:
    place = f"the workspace {shown(root)} has format"
    if not (found.isascii() and found.isdecimal()):
        return f"{place} {found!r}, which is none: {root / MARKER} is damaged"
    newer = f"was made by a newer bench: update this one (it reads {FORMAT}), or choose another"
    older = f"this bench reads {FORMAT} and knows of no older one: choose another"
    return f"{place} {found}; {newer if int(found) > int(FORMAT) else older} --root"
