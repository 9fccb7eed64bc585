"""NIfTI pairs: an image and its label map, or two folders of them with equal file names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.badfile import BadFile, digest_of
from benchmark.data.judging.checks import Check, check_values
from benchmark.data.readers.base import Read, integers, place_checks, volume_of
from benchmark.data.readers.names import ENDINGS, ByName, plain_name, stem
from benchmark.data.readers.nifti import Nifti, laid_like, read_nifti
from benchmark.errors import BadInput
from benchmark.plan.keys import content_hash

Pair = tuple[list[Path], list[Path]]  # images and labels: of a good case, one each


class Pairs(ByName[Pair]):
    """A source over an image and a label map, or over a folder of images and one of label maps.

    `ids` says which number in the label is which organ, or which numbers are; all others are
    background, which is said, and refused where an organ encloses them.
    """

    def __init__(self, image: Path, label: Path, ids: Mapping[str, int | Sequence[int]]) -> None:
        self._numbers = {
            organ: (found,) if isinstance(found, int) else tuple(sorted(found))
            for organ, found in ids.items()
        }
        self._ids = {o: n[0] if len(n) == 1 else list(n) for o, n in self._numbers.items()}
        super().__init__(image, label, options=dict(self._ids))

    @cached_property
    def named(self) -> Mapping[str, Pair]:
        """Images and labels by their file names without ending."""
        image, label = self.roots
        for path in self.roots:
            if not path.exists():
                raise BadInput(f"there is no {path}: give a NIfTI file, or a folder of them")
        if image.is_dir() != label.is_dir():
            raise BadInput(f"{image} and {label} must be two files, or two folders")
        if not image.is_dir():
            return {stem(image.name): ([image], [label])}
        images, labels = _files(image), _files(label)
        if not images.keys() & labels.keys():
            alone = sorted(images.keys() ^ labels.keys())
            what = (
                f"these have no partner: {', '.join(alone[:5])}"
                if alone
                else "no .nii.gz file (.hdr/.img pairs are not read)"
            )
            raise BadInput(f"{image} and {label} are paired by file name; {what}")
        both = sorted({*images, *labels})
        return {name: (images.get(name, []), labels.get(name, [])) for name in both}

    @property
    def organs(self) -> tuple[str, ...]:
        """The organs of the map, in its order."""
        return tuple(self._ids)

    @property
    def origin(self) -> dict[str, Any]:
        """The reader and the ids; no path."""
        return {"reader": "pairs", "ids": self._ids}

    def digest(self, case: str) -> str:
        """Return the hash of both files and the ids."""
        image, label = _one_each(self.by_case[case])
        return self._hash(digest_of(image), digest_of(label))

    def _hash(self, image: str, label: str) -> str:
        return content_hash(["pair", image, label, list(self._ids.items())])

    def read(self, case: str) -> Read:
        """Return a pair; raises BadFile for a file that cannot be used."""
        image, label = (read_nifti(path) for path in _one_each(self.by_case[case]))
        label = laid_like(label, image)
        said = self._said = [*image.warnings, *label.warnings]
        checks = [*place_checks(image.grid, label.grid, said), *check_values(image.array)]
        if not all(check.ok for check in checks):
            return None, checks
        own, more = self._own_ids(label, said)
        hu, sha256 = np.rint(image.array).astype(np.int16), self._hash(image.sha256, label.sha256)
        about = {"annotated": self.organs, "source_sha256": sha256}
        return volume_of(case, hu, own, image.affine, **about), (*checks, *more)

    def _own_ids(
        self, label: Nifti, said: list[str]
    ) -> tuple[NDArray[np.uint8], tuple[Check, ...]]:
        """The label with 1..K for the organs, and what is wrong with the other numbers."""
        numbers = integers(label.array, label.scaling)
        own = np.zeros(numbers.shape, np.uint8)
        for position, (organ, ours) in enumerate(self._numbers.items(), start=1):
            mask = np.isin(numbers, ours) if len(ours) > 1 else numbers == ours[0]
            own[mask] = position
            if not mask.any():
                shown = " or ".join(str(number) for number in ours)
                said.append(f"no voxel has {shown}: {organ} counts as looked for and not there")
        if not own.any():
            there = ", ".join(str(n) for n in np.unique(numbers)[:20])
            message = f"no number of --map is in the label, which holds {there}"
            raise BadFile("labels", there, str(list(self._ids.values())), message)
        lines, checks = unmapped(numbers, own, self.organs)
        said += lines
        return own, checks


def parse_map(text: str) -> dict[str, int | Sequence[int]]:
    """Return `liver=6+7,left_kidney=3` as a mapping; raises BadInput for anything else."""
    ids: dict[str, int | Sequence[int]] = {}
    seen = {0}
    for part in text.split(","):
        organ, equals, number = (word.strip() for word in part.partition("="))
        words = [word.strip() for word in number.split("+")]
        plain = all(word.isdecimal() and word.isascii() for word in words)
        if not equals or not plain or not re.fullmatch(r"[a-z][a-z0-9_]*", organ):
            raise BadInput(
                f"--map {text!r}: write organs and their numbers, liver=5,left_kidney=3; one with"
                " several numbers as liver=6+7"
            )
        numbers = [int(word) for word in words]
        if organ in ids or seen & {*numbers} or len({*numbers}) < len(numbers):
            raise BadInput(f"--map {text!r}: every organ and number once, and 0 is the background")
        seen |= {*numbers}
        ids[organ] = numbers[0] if len(numbers) == 1 else tuple(numbers)
    return ids


def case_name(path: Path) -> str:
    """Return a file's name without its NIfTI ending, as a case may be called."""
    return plain_name(stem(path.name))


def _files(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.name.endswith(ENDINGS) and path.name[0] != ".":
            found.setdefault(stem(path.name).removesuffix("_0000"), []).append(path)
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


SPECK = 10  # voxels: less is no tumour but the rim of a model's mask
NAMED = 10


def unmapped(
    numbers: NDArray[np.integer], own: NDArray[np.uint8], organs: Sequence[str]
) -> tuple[tuple[str, ...], tuple[Check, ...]]:
    """Return a line on what has a number but no organ, and a failed check for what is enclosed.

    `own` is the label with 1..K for the organs. Enclosed is a connected part of one number more
    than half of whose border faces are those of one organ.
    """
    rest = (numbers != 0) & (own == 0)
    values, inverse, counts = np.unique(numbers[rest], return_inverse=True, return_counts=True)
    if not len(values):
        return (), ()
    named = ", ".join(f"{n} with {value}" for value, n in zip(values, counts, strict=True))
    if len(values) > NAMED:
        named = f"{counts.sum()} with one of {len(values)} other numbers"
    line = f"background by --map: {named} (voxels)"
    order = np.zeros(numbers.shape, np.int32)
    order[rest] = inverse.reshape(-1) + 1
    return (line,), tuple(_checks(values, order, own, organs))


def _checks(
    values: NDArray[np.integer],
    order: NDArray[np.int32],
    own: NDArray[np.uint8],
    organs: Sequence[str],
) -> Iterator[Check]:
    from scipy import ndimage  # slow to import

    windows = ndimage.find_objects(order)
    for position, (value, window) in enumerate(zip(values, windows, strict=True), start=1):
        wide = tuple(slice(max(part.start - 1, 0), part.stop + 1) for part in window)
        if not own[wide].any():
            continue
        parts = ndimage.label(order[wide] == position)[0]
        enclosed = _enclosed(parts, own[wide], len(organs))
        for organ, voxels in zip(organs, enclosed, strict=True):
            if voxels >= SPECK:
                yield _check(organ, int(value), int(voxels))


def _check(organ: str, value: int, voxels: int) -> Check:
    message = (
        f"{voxels} voxels with {value} are enclosed by {organ} and would be background: a tumour?"
        f" To count them to it, --map {organ}=...+{value}"
    )
    return Check(
        name=f"enclosed_{organ}", ok=False, value=voxels, limit=f"< {SPECK}", message=message
    )


def _enclosed(parts: NDArray[np.int32], own: NDArray[np.uint8], organs: int) -> NDArray[np.int64]:
    """The voxels of the parts that each organ encloses; `parts` are numbered from 1."""
    size, width = int(parts.max()) + 1, organs + 1
    faces = np.zeros(size * width, np.int64)
    for axis in range(3):
        for here, there in ((slice(1, None), slice(-1)), (slice(-1), slice(1, None))):
            at: list[slice] = [slice(None)] * 3
            beside: list[slice] = [slice(None)] * 3
            at[axis], beside[axis] = here, there
            part, other = parts[tuple(at)], parts[tuple(beside)]
            border = (part > 0) & (other == 0)
            pairs = part[border] * width + own[tuple(beside)][border]
            faces += np.bincount(pairs, minlength=size * width)
    table = faces.reshape(size, width)
    most = 2 * table[:, 1:] > table.sum(axis=1, keepdims=True)
    voxels = np.bincount(parts.reshape(-1), minlength=size)
    voxels[0] = 0
    found: NDArray[np.int64] = (most * voxels[:, None]).sum(axis=0)
    return found
