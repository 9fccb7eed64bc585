"""The workspace: one folder that holds everything and can be moved as a whole; and the code behind
its results: what each fingerprint in a record, a checkpoint or a row stands for.

code/FINGERPRINT.json      the definitions, by name and hash; written once
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import BadInput
from benchmark.files.atomic import commit_file, disk_full, read_json, write_json
from benchmark.files.code import Code, Difference, code_from, kept_list
from benchmark.files.layout import FORMAT, MARKER, check_format
from benchmark.files.mirror import Mirror, mirror_of
from benchmark.files.roots import shown
from benchmark.store.ledger import Ledger
from benchmark.store.objects import Objects
from benchmark.store.plans import Plans
from benchmark.store.results import Results


class Codes:
    """The codes under `folder`."""

    def __init__(self, folder: Path, mirror: Mirror | None = None) -> None:
        self.folder = folder
        self._mirror = mirror
        self._known: dict[str, Code | None] = {}

    def note(self, code: Code) -> str:
        """Write the definitions down where they are not yet; return the fingerprint (12 digits).
        Raises `OSError` where the disk does not take it."""
        fingerprint = code.fingerprint
        path = self.folder / f"{fingerprint}.json"
        if self._known.get(fingerprint) is None and self._stored(fingerprint) is None:
            with commit_file(path, keeper=self._mirror) as temporary:
                write_json(temporary, code.plain())
        self._known[fingerprint] = code
        return fingerprint

    def difference(self, fingerprint: str, now: Code) -> Difference:
        """Return in which definitions the code of a stored result differs from that of now."""
        return kept_list().difference(fingerprint, self._of(fingerprint), now)

    def versions(self, fingerprints: Iterable[str]) -> tuple[str, ...]:
        """Return the definitions of which several versions made the results."""
        return kept_list().versions({name: self._of(name) for name in fingerprints})

    def outdated(self, fingerprint: str, now: Code) -> tuple[str, ...]:
        """Return the definitions behind a result that are others in the code of now, `now` being
        that of all rows of a table."""
        return kept_list().outdated(fingerprint, self._of(fingerprint), now)

    def _of(self, fingerprint: str) -> Code | None:
        if fingerprint not in self._known:
            self._known[fingerprint] = self._stored(fingerprint)
        return self._known[fingerprint]

    def _stored(self, fingerprint: str) -> Code | None:
        """What is noted, None for what is not there or cannot be read: then nothing is known."""
        path = self.folder / f"{fingerprint}.json"
        try:
            if self._mirror and not path.exists():  # another machine may have noted it just now
                self._mirror.refresh(f"code/{path.name}")
            return _read(path)
        except (OSError, ValueError):
            return None

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield (FILE, "" or what is wrong) for every code; changes nothing."""
        for path in sorted(self.folder.glob("*.json")):
            try:
                _read(path)
                yield path.name, ""
            except (OSError, ValueError) as error:
                yield path.name, f"{error} (remove it; the next run of that code writes it again)"


def _read(path: Path) -> Code:
    """Return the code in a file. Raises `OSError`, and `ValueError` where it is damaged: a file's
    name is the fingerprint of what is in it."""
    try:
        code = code_from(read_json(path))
        fingerprint = code.fingerprint
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it holds no definitions ({error})") from None
    if fingerprint != path.stem:
        raise ValueError("its name is not the fingerprint of what is in it")
    return code


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
    format; and for a copy of a bucket's where that does not answer, or would let two writers
    overwrite each other.
    """
    mirror = mirror_of(root)
    if mirror and not reading:
        mirror.bucket.check(writing=True)
    _check(root, reading=reading, mirror=mirror)
    return Workspace(
        root=root,
        objects=Objects(root / "objects", warn, mirror),
        results=Results(root / "results", warn, mirror),
        ledger=Ledger(root / "ledger", warn, mirror),
        codes=Codes(root / "code", mirror),
        plans=Plans(root / "ledger", mirror),
        warn=warn,
    )


def _check(root: Path, *, reading: bool, mirror: Mirror | None) -> None:
    try:
        if not reading:
            _make(root, mirror)
        check_format(root)
    except OSError as error:
        if disk_full(error):
            raise
        what = "read" if reading else "written"
        raise BadInput(
            f"the workspace {shown(root)} cannot be {what} ({error.strerror}): choose another with "
            "--root"
        ) from error
    if not reading and is_read_only(root):
        raise BadInput(f"the workspace {root} cannot be written: choose another with --root")


def is_read_only(root: Path) -> bool:
    """Return whether a workspace is there that this process cannot write to."""
    return (root / MARKER).is_file() and not os.access(root, os.W_OK | os.X_OK)


def _make(root: Path, mirror: Mirror | None) -> None:
    root.mkdir(parents=True, exist_ok=True)
    if not (root / MARKER).exists():
        with commit_file(root / MARKER, keeper=mirror) as temporary:
            temporary.write_text(FORMAT + "\n", encoding="utf-8")
