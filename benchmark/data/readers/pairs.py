"""An image and its labels: one case, or two folders with equal names, or a folder a case.

What forms image and labels may have is said in `forms.py`; all of them are read here as one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.badfile import BadFile
from benchmark.data.judging.checks import check_values
from benchmark.data.readers.base import IGNORE, Read, volume_of, with_unknown
from benchmark.data.readers.contents import contents, is_picture
from benchmark.data.readers.forms import (
    check_order,
    image_digest,
    labels_digest,
    read_image,
    read_labels,
)
from benchmark.data.readers.names import ByName, plain_name, stem, without_partner
from benchmark.data.readers.structures import Wanted
from benchmark.errors import BadInput
from benchmark.plan.keys import content_hash

Pair = tuple[list[Path], list[Path]]  # images and labels: of a good case, one each
Id = int | str | Sequence[int | str]


class Pairs(ByName[Pair]):
    """A source over an image and its labels, or over a folder of images and one of labels.

    `ids` says which number in a label map is which organ, or which numbers are; all others are
    background, which is said, and refused where an organ encloses them. Of labels that are masks
    with names it says which names. What it calls `ignore` is no organ: those voxels are unknown.
    """

    def __init__(self, image: Path, label: Path, ids: Mapping[str, Id]) -> None:
        self._wanted: Wanted = {
            organ: (found,) if isinstance(found, int | str) else tuple(sorted(found, key=_order))
            for organ, found in ids.items()
        }
        self._ids = {o: n[0] if len(n) == 1 else list(n) for o, n in self._wanted.items()}
        super().__init__(image, label, options=dict(self._ids))

    @cached_property
    def named(self) -> Mapping[str, Pair]:
        """Images and labels by their file names without ending."""
        image, label = self.roots
        for path in self.roots:
            if not path.exists():
                raise BadInput(f"there is no {path}: give a NIfTI file, or a folder of them")
        if not image.is_dir() or contents_of_one(image):
            return {stem(image.resolve().name): ([image], [label])}
        if not label.is_dir():
            raise BadInput(f"{image} and {label} must be two files, or two folders")
        images, labels = _by_name(image), _by_name(label)
        if not images.keys() & labels.keys():
            why = without_partner(sorted(images), sorted(labels))
            raise BadInput(f"{image} and {label} are paired by file name; {why}")
        both = sorted({*images, *labels})
        return {name: (images.get(name, []), labels.get(name, [])) for name in both}

    @property
    def organs(self) -> tuple[str, ...]:
        """The organs of the map, in its order."""
        return tuple(name for name in self._ids if name != IGNORE)

    @property
    def origin(self) -> dict[str, Any]:
        """The reader and the ids; no path."""
        return {"reader": "pairs", "ids": self._ids}

    def digest(self, case: str) -> str:
        """Return the hash of both files and the ids."""
        image, label = _one_each(self.by_case[case])
        return self._hash(image_digest(image), labels_digest(label, self._wanted))

    def _hash(self, image: str, label: str) -> str:
        return content_hash(["pair", image, label, list(self._ids.items())])

    def read(self, case: str) -> Read:
        """Return a pair; raises BadFile for a file that cannot be used."""
        image_path, label_path = _one_each(self.by_case[case])
        image = read_image(image_path)
        check_order(image, label_path)
        said = self._said = [*image.warnings]
        labels = read_labels(label_path, image, self._wanted, said)
        checks = [*labels.checks, *check_values(image.array)]
        if labels.label is None or not all(check.ok or check.forcible for check in checks):
            return None, checks
        hu, sha256 = np.rint(image.array).astype(np.int16), self._hash(image.sha256, labels.sha256)
        about = {"annotated": labels.annotated, "source_sha256": sha256, "read_by": image.read_by}
        volume = volume_of(case, hu, labels.label, image.affine, **about)
        return with_unknown(volume, labels.unknown, said), checks


class Beside(Pairs):
    """A source over one case's folder, or a folder of such: image and labels lie in it together."""

    def __init__(self, folder: Path, ids: Mapping[str, Id]) -> None:
        super().__init__(folder, folder, ids)
        self.roots = (folder,)

    @cached_property
    def named(self) -> Mapping[str, Pair]:
        """The cases by the names of their folders."""
        (root,) = self.roots
        folders = [path for path in sorted(root.iterdir()) if path.is_dir() and path.name[0] != "."]
        if any(is_case(path) for path in folders):
            return {path.name: ([path], [path]) for path in folders if any(path.iterdir())}
        return {root.resolve().name: ([root], [root])}

    @property
    def origin(self) -> dict[str, Any]:
        """The reader and the ids; no path."""
        return {"reader": "beside", "ids": self._ids}


def is_case(folder: Path) -> bool:
    """Return whether an image and labels lie in a folder, or below it."""
    found = contents(folder)
    return bool((found.slices or found.images) and (found.masks or found.structures))


def contents_of_one(folder: Path) -> bool:
    """Return whether the files of a folder are the slices of one image, and not cases."""
    files = [path for path in folder.iterdir() if path.is_file()]
    if any(is_picture(path.name) for path in files):
        return False
    return any(_is_slice(path) for path in files)


def _is_slice(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _order(name: int | str) -> tuple[bool, int, str]:
    return (False, name, "") if isinstance(name, int) else (True, 0, name)


def _is_name(word: str) -> bool:
    """Whether a word is a number, or may name a structure: then a letter is in it."""
    number = word.isdecimal() and word.isascii()
    return bool(WORD.fullmatch(word)) and (number or any(map(str.isalpha, word)))


WORD = re.compile(r"[^\x00-\x1f,=+/\\]{1,64}")


def parse_map(text: str) -> dict[str, Id]:
    """Return `liver=6+7,left_kidney=Kidney L` as a mapping; raises BadInput for anything else."""
    ids: dict[str, Id] = {}
    seen = set[int | str]({0})
    for part in text.split(","):
        organ, equals, told = (word.strip() for word in part.partition("="))
        words = [word.strip() for word in told.split("+")]
        if not (equals and all(map(_is_name, words)) and re.fullmatch(r"[a-z][a-z0-9_]*", organ)):
            raise BadInput(
                f"--map {text!r}: write organs and their numbers, liver=5,left_kidney=3; one with"
                " several numbers as liver=6+7; a structure or mask file by its name"
            )
        names = [int(w) if w.isdecimal() and w.isascii() else w for w in words]
        if organ in ids or seen & {*names} or len({*names}) < len(names):
            raise BadInput(f"--map {text!r}: every organ and number once, and 0 is the background")
        seen |= {*names}
        ids[organ] = names[0] if len(names) == 1 else tuple(names)
    if ids.keys() == {IGNORE}:
        raise BadInput(
            f"--map {text!r}: 'ignore' says which voxels are unknown; name an organ, too"
        )
    return ids


def case_name(path: Path) -> str:
    """Return a file's name without its ending, as a case may be called."""
    return plain_name(stem(path.resolve().name))


def _by_name(folder: Path) -> dict[str, list[Path]]:
    """The files of a folder by name without ending; where it holds no picture, its folders, and
    DICOM files."""
    found: dict[str, list[Path]] = {}
    inside = [path for path in sorted(folder.iterdir()) if path.name[0] != "."]
    pictures = [path for path in inside if is_picture(path.name)]
    for path in pictures or inside:
        if pictures:
            found.setdefault(stem(path.name).removesuffix("_0000"), []).append(path)
        elif path.is_dir():
            found.setdefault(path.name, []).append(path)
        elif path.suffix.lower() == ".dcm":
            found.setdefault(path.stem, []).append(path)
    return found


def _one_each(files: Pair) -> tuple[Path, Path]:
    """Return the image and the label; raises BadFile where there are none, or several."""
    for kind, paths in zip(("image", "label"), files, strict=True):
        if len(paths) > 1:
            message = f"{paths[0].name} and {paths[1].name} are both its {kind}: remove one"
            raise BadFile("pair", len(paths), "one each", message)
        if not paths:
            message = f"it has no {kind}: no file of that name lies in the folder of {kind}s"
            raise BadFile("pair", "missing", "image and label", message)
    return files[0][0], files[1][0]
