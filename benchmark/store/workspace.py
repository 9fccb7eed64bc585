"""The workspace: one folder that holds everything and can be moved as a whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import BadInput
from benchmark.files.atomic import commit_file, disk_full
from benchmark.store.codes import Codes
from benchmark.store.ledger import Ledger
from benchmark.store.objects import Objects
from benchmark.store.plans import Plans
from benchmark.store.results import Results

FORMAT = "1"
MARKER = "format"  # the file that holds it


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """All that is stored under `root`; data sets lie in `root / "data"`. `warn` is told, in one
    line, of what is damaged or set aside."""

    root: Path
    objects: Objects
    results: Results
    ledger: Ledger
    codes: Codes
    plans: Plans
    warn: Callable[[str], None]


def open_workspace(
    root: Path, *, reading: bool = False, warn: Callable[[str], None] = lambda text: None
) -> Workspace:
    """Return the workspace at `root`, made where there is none; `reading` makes and writes nothing.

    Raises `BadInput` where it cannot be written (or, for `reading`, read), or was made in another
    format.
    """
    _check(root, reading=reading)
    return Workspace(
        root=root,
        objects=Objects(root / "objects", warn),
        results=Results(root / "results", warn),
        ledger=Ledger(root / "ledger", warn),
        codes=Codes(root / "code"),
        plans=Plans(root / "ledger"),
        warn=warn,
    )


def _check(root: Path, *, reading: bool) -> None:
    try:
        if not reading:
            _make(root)
        found = (root / MARKER).read_text(encoding="utf-8", errors="replace").strip()
    except OSError as error:
        if disk_full(error):
            raise
        what = "read" if reading else "written"
        raise BadInput(
            f"the workspace {root} cannot be {what} ({error.strerror}): choose another with --root"
        ) from error
    if found != FORMAT:
        raise BadInput(f"the workspace {root} has format {found[:20]}, this bench reads {FORMAT}")
    if not reading and is_read_only(root):
        raise BadInput(f"the workspace {root} cannot be written: choose another with --root")


def is_read_only(root: Path) -> bool:
    """Return whether a workspace is there that this process cannot write to."""
    return (root / MARKER).is_file() and not os.access(root, os.W_OK | os.X_OK)


def _make(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    if not (root / MARKER).exists():
        with commit_file(root / MARKER) as temporary:
            temporary.write_text(FORMAT + "\n", encoding="utf-8")
