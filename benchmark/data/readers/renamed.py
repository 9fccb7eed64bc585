"""A reader whose cases have neutral names: names of files may be those of patients."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cached_property
from typing import Any

from benchmark.data.readers.base import Reader
from benchmark.data.readers.files import find_files
from benchmark.data.readers.pairs import stem
from benchmark.data.source import Reading
from benchmark.errors import BadInput
from benchmark.plan.keys import content_hash

HIDDEN = "(a file)"
LAYOUT = {"imagesTr", "labelsTr", "dataset.json", "annotated.json", "DICOM", "PNG", "CT"}


class Renamed(Reader):
    """A source over another reader's cases, called case_000, case_001, ... in their order.

    Nothing that is stored names a file or a folder; `table` alone says which case is which.
    """

    def __init__(self, reader: Reader) -> None:
        super().__init__(*reader.roots, options=[type(reader).__name__, reader.options, "renamed"])
        self._reader = reader

    @cached_property
    def table(self) -> dict[str, str]:
        """The reader's own name for each case."""
        cases = self._reader.cases
        width = max(3, len(str(len(cases) - 1)))
        return {f"case_{number:0{width}d}": case for number, case in enumerate(cases)}

    @property
    def organs(self) -> tuple[str, ...]:
        """The reader's organs."""
        return self._reader.organs

    @property
    def cases(self) -> tuple[str, ...]:
        """The new names."""
        return tuple(self.table)

    @property
    def origin(self) -> dict[str, Any]:
        """The reader's origin without the folder's name."""
        return {k: v for k, v in self._reader.origin.items() if k != "folder"} | {"renamed": True}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is odd about the whole, where it names no file; see `unsaid`."""
        return tuple(line for line in self._reader.warnings if self._hidden(line) == line)

    @property
    def unsaid(self) -> tuple[str, ...]:
        """The warnings that name a file: for a person, not to be stored."""
        return tuple(line for line in self._reader.warnings if line not in self.warnings)

    @property
    def fingerprint(self) -> str:
        """The hash of the reader's own."""
        return content_hash(["renamed", self._reader.fingerprint])

    def digest(self, case: str) -> str:
        """Return the reader's hash of the case."""
        return self._reader.digest(self.table[case])

    def note(self, case: str, sha256: str) -> None:
        """Learn a case's hash from whoever read it in another process."""
        self._reader.note(self.table[case], sha256)

    def read(self, case: str) -> Reading:
        """Return a case, good or bad, under its new name; no text names a file."""
        found = self._reader.reading(self.table[case])
        hidden = [
            replace(check, message=self._hidden(check.message), value=self._value(check.value))
            for check in found.checks
        ]
        return Reading(
            case=case,
            volume=None if found.volume is None else replace(found.volume, case=case),
            checks=tuple(hidden),
            warnings=tuple(self._hidden(line) for line in found.warnings),
        )

    def _value(self, value: float | str) -> float | str:
        return self._hidden(value) if isinstance(value, str) else value

    def _hidden(self, text: str) -> str:
        return self._names.sub(HIDDEN, text)

    @cached_property
    def _names(self) -> re.Pattern[str]:
        """Finds the name of any file and folder, the longest first; numbers are none."""
        known = {*self._reader.cases, *self._parts()}
        known |= {stem(name).removesuffix("_0000") for name in known}
        plain = {name for name in known if name.isdecimal() or name.lower() in self.organs}
        names = sorted(known - plain - LAYOUT - {""}, key=len, reverse=True)
        found = "|".join(re.escape(name) for name in names) or r"(?!)"
        return re.compile(rf"(?<![A-Za-z0-9])(?:{found})(?:/(?:{found}|DICOM))*(?![A-Za-z0-9])")

    def _parts(self) -> set[str]:
        try:
            return {part for root in self.roots for e in find_files(root) for part in e.parts}
        except BadInput:  # an archive that nobody needs
            return {path.name for root in self.roots for path in [root, *root.rglob("*")]}
