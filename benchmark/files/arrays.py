"""Reading NumPy's own files, from any thread.

NumPy parses a file's header with `ast.literal_eval`, and CPython 3.11 counts the depth of that in
one place for all threads (gh-106905): two headers parsed at once can end a run with `SystemError:
AST constructor recursion depth mismatch`. One lock keeps them apart.
"""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

_ONE_HEADER = Lock()


def load_array(path: Path) -> Any:
    """Return the array of a `.npy` file, of the type and shape that it was stored with. Raises
    OSError or ValueError when it is damaged; nothing is unpickled."""
    with _ONE_HEADER:
        return np.load(path, allow_pickle=False)


def load_member(path: Path, name: str) -> Any:
    """Return one array of a `.npz` file. Raises KeyError when it has no such member, OSError or
    ValueError when it is damaged; nothing is unpickled."""
    with _ONE_HEADER, np.load(path, allow_pickle=False) as file:
        return file[name]
