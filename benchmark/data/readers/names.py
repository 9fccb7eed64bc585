"""Names of files and cases: which is which case's image or label, what a case is called after them,
and a reader whose cases have neutral names, since those of files may be those of patients.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from benchmark.data.judging.checks import CASE
from benchmark.data.readers.base import Read, Reader
from benchmark.data.readers.files import find_files
from benchmark.errors import BadInput
from benchmark.plan.keys import content_hash
from benchmark.plan.wording import counted, named

ENDINGS = (".nii.gz", ".nii")
OTHER_ENDINGS = (".seg.nrrd", ".mha", ".mhd", ".nrrd", ".nhdr")
T = TypeVar("T")


def plain_name(text: str) -> str:
    """Return a text in the letters, digits, `.`, `_` and `-` that a case's name may have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._-")[:120] or "case"


def _is_plain(text: str) -> bool:
    return plain_name(text) == text


def is_case_name(text: str) -> bool:
    """Return whether a case may be called so as it stands."""
    return bool(CASE.fullmatch(text))


def organ_name(text: str) -> str:
    """Returns a name in lower_snake_case: "Left Kidney" and "leftKidney" are left_kidney.

    Raises BadInput when no letter or digit is in it.
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    name = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")
    if not name:
        raise BadInput(f"dataset.json names an organ {text!r}: use letters and digits")
    return name


def safe_names(texts: Iterable[str], keep: Callable[[str], bool] = _is_plain) -> dict[str, str]:
    """Return the case's name for each of these (different) texts; no two have one.

    A text that `keep` accepts is its own name. Where another's plain name is taken, it gets a
    number: the same texts always get the same names.
    """
    ordered = sorted(texts)
    names = {text: text for text in ordered if keep(text)}
    taken = set(names)
    for text in ordered:
        if text in names:
            continue
        plain, number = plain_name(text), 1
        while (name := plain if number == 1 else f"{plain}_{number}") in taken:
            number += 1
        taken.add(name)
        names[text] = name
    return names


def called(names: Mapping[str, str], found: Mapping[str, T]) -> dict[str, T]:
    """Return what was found by text, by name."""
    return {names[text]: value for text, value in found.items()}


def renamed(names: Mapping[str, str]) -> list[str]:
    """Return the line that says which cases are called otherwise than their files; or nothing."""
    changed = [f"{text!r} is called {name}" for text, name in names.items() if text != name]
    return [f"case {named(changed)}"] if changed else []


class ByName(Reader, Generic[T]):
    """A reader of cases that are called after their files, or folders."""

    @property
    @abstractmethod
    def named(self) -> Mapping[str, T]:
        """What makes each case, by what its files are called."""

    @cached_property
    def by_case(self) -> Mapping[str, T]:
        """The same by the case's name."""
        return called(safe_names(self.named), self.named)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Which cases are called otherwise than their files."""
        return tuple(renamed(safe_names(self.named)))

    @property
    def cases(self) -> tuple[str, ...]:
        """The names of the files, or folders, as a case may be called."""
        return tuple(sorted(self.by_case))


_CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")


def label_files(folder: Path, ending: str) -> dict[str, Path]:
    """Returns the files by name without ending; hidden ones (`._x.nii.gz`) are left out."""
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    seen = [path for path in paths if path.name.endswith(ending) and path.name[0] != "."]
    return {path.name.removesuffix(ending): path for path in seen}


def image_files(
    folder: Path, ending: str, labels: Mapping[str, Path]
) -> tuple[dict[str, Path], dict[str, str]]:
    """Returns the images by case, and what is wrong with the cases that have several."""
    found = label_files(folder, ending)
    whole = any(stem in labels and _channel(stem, labels)[1] is None for stem in found)
    images: dict[str, Path] = {}
    twice: dict[str, str] = {}
    for stem, path in found.items():
        case, channel = _channel(stem, labels)
        unknown = case not in labels and (whole or f"{case}_0000" not in found)
        if channel is not None and unknown:
            case, channel = stem, None  # an image without a label, called like all others
        if channel not in (None, "0000"):
            twice[case] = f"{path.name} is another channel of {case}; a CT has one"
        elif case in images:
            twice[case] = f"{images[case].name} and {path.name} are both its image: remove one"
        images.setdefault(case, path)
    return images, twice


def _channel(stem: str, labels: Mapping[str, Path]) -> tuple[str, str | None]:
    """Returns the case and the channel that a file's name says; None for no channel.

    In Medical Decathlon's form a number of four digits belongs to the case: so the label has it.
    """
    match = _CHANNEL.fullmatch(stem)
    if match is None or (stem in labels and match["case"] not in labels):
        return stem, None
    return match["case"], match["channel"]


def stem(name: str) -> str:
    """Return a picture's file name without its ending."""
    for ending in ENDINGS:
        name = name.removesuffix(ending)
    other = next((e for e in (*ENDINGS, *OTHER_ENDINGS) if name.lower().endswith(e)), "")
    return name[: len(name) - len(other)]


def without_partner(images: Sequence[str], labels: Sequence[str]) -> str:
    """Return what is wrong with the names of images and labels of which no two are equal: how many
    there are, and what they have behind them, where that is all."""
    if not images and not labels:
        return "no .nii.gz file (.hdr/.img pairs are not read)"
    counts = f"{counted(len(images), 'image')} ({named(images, 3)})"
    counts += f", {counted(len(labels), 'label')} ({named(labels, 3)})"
    for some, others, what in ((images, labels, "label"), (labels, images, "image")):
        behind = {other[len(one) :] for one in some for other in others if other.startswith(one)}
        for more in sorted(behind):
            if all(one + more in others for one in some):
                return f"no two are equal: {counts}; rename each {what}: take '{more}' off its name"
    return f"no two are equal: {counts}"


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

    def read(self, case: str) -> Read:
        """Return a case, good or bad, under its new name; no text names a file."""
        found = self._reader.read_case(self.table[case])
        hidden = [
            replace(check, message=self._hidden(check.message), value=self._value(check.value))
            for check in found.checks
        ]
        self._said = [self._hidden(line) for line in found.warnings]
        return found.volume and replace(found.volume, case=case), hidden

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
