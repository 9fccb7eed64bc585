"""The workspace: one folder that holds everything and can be moved as a whole."""

from __future__ import annotations

import os
from pathlib import Path

from benchmark.errors import BadInput
from benchmark.files.atomic import commit_file
from benchmark.files.full import disk_full

FORMAT = "1"


def open_workspace(root: Path) -> Path:
    """Create or check the workspace at `root` and return it.

    Raises `BadInput` where it cannot be written or was made in another format.
    """
    marker = root / "format"
    try:
        root.mkdir(parents=True, exist_ok=True)
        if not marker.exists():
            with commit_file(marker) as temporary:
                temporary.write_text(FORMAT + "\n", encoding="utf-8")
        found = marker.read_text(encoding="utf-8", errors="replace").strip()
    except OSError as error:
        if disk_full(error):
            raise
        raise BadInput(
            f"the workspace {root} cannot be written ({error.strerror}): choose another with --root"
        ) from error
    if found != FORMAT:
        raise BadInput(f"the workspace {root} has format {found[:20]}, this bench reads {FORMAT}")
    if not os.access(root, os.W_OK | os.X_OK):
        raise BadInput(f"the workspace {root} cannot be written: choose another with --root")
    return root
