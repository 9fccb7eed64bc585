"""Data sets in nnU-Net's raw layout: `dataset.json`, `imagesTr/`, `labelsTr/`.

Read are both forms of `dataset.json` (names to ids, and Medical Decathlon's ids to names) and
images with or without the channel's `_0000`. Beyond nnU-Net, the organs that were annotated in a
case may be listed: `"annotated": {"CASE": ["liver"]}` in `dataset.json`, or the same mapping in
`annotated.json` beside it. Cases that are not named have all organs annotated.

Voxels of the label `ignore` are unknown (`Volume.unknown`). Regions that share a number cannot lie
in one label map: some of them are chosen, or the set is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.badfile import BadFile, read_regular
from benchmark.data.judging.checks import Check, check_finite, check_values
from benchmark.data.readers.base import (
    Read,
    Reader,
    integers,
    place_checks,
    volume_of,
    with_unknown,
)
from benchmark.data.readers.contents import PICTURES
from benchmark.data.readers.forms import image_digest, read_picture
from benchmark.data.readers.modality import other_modality
from benchmark.data.readers.names import (
    called,
    image_files,
    is_case_name,
    label_files,
    organ_name,
    renamed,
    safe_names,
)
from benchmark.data.readers.placed import Placed, laid_like
from benchmark.data.readers.regions import chosen_regions, described_labels, label_ids
from benchmark.errors import BadInput
from benchmark.plan.keys import content_hash
from benchmark.plan.wording import counted

MAX_JSON = 64 * 1024**2


TRAINING, APART = "Tr", "Ts"  # the endings of nnU-Net's folders


def has_labels_apart(folder: Path) -> bool:
    """Return whether a raw folder holds labels of the test patients, too."""
    return any(label_files(folder / f"labels{APART}", ending) for ending in PICTURES)


def default_name(folder: Path) -> str:
    """Returns the set's name: the folder's in lower case without nnU-Net's `DatasetNNN_`."""
    return re.sub(r"^dataset\d{3}_(?=.)", "", folder.resolve().name.lower())


class NnUNetRaw(Reader):
    """A source (see `benchmark.data.library`) over a folder in nnU-Net's raw layout.

    The constructor reads the descriptions and lists the files; it raises BadInput for what is
    wrong with the folder as a whole. What is wrong with a case is in its `RawCase`.
    """

    organs: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()
    origin: dict[str, Any] = {}  # noqa: RUF012 - set below
    warnings: tuple[str, ...] = ()

    def __init__(self, folder: Path, part: str = TRAINING, organs: Sequence[str] = ()) -> None:
        asked = [part, *organs] if organs else part
        super().__init__(folder, options=None if asked == TRAINING else asked)
        self._folder, self._part = folder, part
        described = _description(folder)
        regions, self._ignore = described_labels(described.get("labels"))
        self._ids = label_ids(chosen_regions(regions, organs))
        self._others = {n for own in regions.values() for n in own} - {*self._ids}
        self.organs = tuple(dict.fromkeys(self._ids.values()))
        ending = str(described.get("file_ending", ".nii.gz"))
        if ending not in PICTURES:
            raise BadInput(f"{folder}: files end in {ending!r}; convert them to .nii.gz")
        labels = label_files(folder / f"labels{part}", ending)
        images, twice = image_files(folder / f"images{part}", ending, labels)
        stems = {*images, *labels}
        if not stems:
            raise BadInput(f"{folder}: no {ending} file in images{part} and labels{part}")
        names = safe_names(stems, is_case_name)
        self.cases = tuple(sorted(names.values()))
        self._images, self._labels = called(names, images), called(names, labels)
        self._twice = called(names, twice)
        self._annotated = called(names, _annotated(folder, described, self.organs, regions, stems))
        told = _warnings(described, len(self.cases)) if part == TRAINING else ()
        self.warnings = (*told, *renamed(names))
        self.origin = {"reader": "nnunet", "folder": folder.resolve().name}
        self._sha256: dict[Path, str] = {}

    @property
    def fingerprint(self) -> str:
        """The hash of all files, the label ids and the annotated organs; reads what was not."""
        cases = [(c, self.known_digest(c), self._annotated.get(c)) for c in self.cases]
        return content_hash([list(self.organs), cases])

    def read(self, case: str) -> Read:
        """Returns the case; raises BadFile when one of its files is missing or unreadable."""
        for kind, files in (("images", self._images), ("labels", self._labels)):
            if case not in files:
                message = f"it has no file in {kind}{self._part}"
                raise BadFile("pair", "missing", "image and label", message)
        if case in self._twice:
            raise BadFile("images", "several", "one", self._twice[case])
        image = read_picture(self._images[case])
        label = laid_like(read_picture(self._labels[case]), image)
        self._sha256 |= {self._images[case]: image.sha256, self._labels[case]: label.sha256}
        warnings = self._said = [*image.warnings, *label.warnings]
        checks = _pair_checks(image, label, warnings)
        annotated = self._annotated.get(case, self.organs)
        if not all(check.ok for check in checks):
            return None, checks
        numbers = integers(label.array, label.scaling)
        label_ijk = self._own_ids(numbers, annotated, warnings)
        hu, sha256 = np.rint(image.array).astype(np.int16), self.digest(case)
        about: dict[str, Any] = {"annotated": annotated, "source_sha256": sha256}
        ignored = None if self._ignore is None else numbers == self._ignore
        volume = volume_of(case, hu, label_ijk, image.affine, **about)
        return with_unknown(volume, ignored, warnings), checks

    def _own_ids(
        self, label: NDArray[Any], annotated: tuple[str, ...], warnings: list[str]
    ) -> NDArray[np.uint8]:
        """Returns the label with ids 1..K in the order of the organs.

        Voxels of an organ that is not annotated in the case become 0, with a warning: what is
        known of such an organ may be incomplete. Raises BadFile for ids that are not described.
        """
        values, numbers = np.unique(label[label != 0], return_counts=True)
        counts = dict(zip(values.tolist(), numbers.tolist(), strict=True))
        left = {0, *self._ids, *self._others, *([] if self._ignore is None else [self._ignore])}
        if unknown := sorted(set(counts) - left):
            shown = ", ".join(f"{counts[number]} voxels with {number}" for number in unknown[:5])
            known = ", ".join(str(number) for number in (0, *self._ids, *sorted(self._others)))
            message = f"the label has {shown}; dataset.json describes {known}"
            raise BadFile("labels", shown, known, message)
        result = np.zeros(label.shape, dtype=np.uint8)
        for number, organ in self._ids.items():
            if organ in annotated:
                result[label == number] = self.organs.index(organ) + 1
            elif number in counts:
                warnings.append(f"{counts[number]} voxels of {organ} dropped: not annotated here")
        return result

    def digest(self, case: str) -> str:
        """Return the hash of the case's files and of the label ids."""
        if case in self._known:
            return self._known[case]
        paths = [files.get(case) for files in (self._images, self._labels)]
        for path in paths:
            if path is not None and path not in self._sha256:
                self._sha256[path] = image_digest(path)
        return content_hash(
            [[self._sha256[p] if p else "" for p in paths], list(self._ids.items())]
        )


def _pair_checks(image: Placed, label: Placed, warnings: list[str]) -> tuple[Check, ...]:
    shapes, *affines = place_checks(image.grid, label.grid, warnings)
    if not shapes.ok:
        return (shapes, check_finite(image.array))
    return (*affines, *check_values(image.array))


def _description(folder: Path) -> Mapping[str, Any]:
    """Returns `dataset.json`; raises BadInput saying what the folder lacks."""
    if not folder.is_dir():
        raise BadInput(f"no folder {folder}: give the folder that holds dataset.json")
    if not any(folder.iterdir()):
        raise BadInput(f"the folder {folder} is empty: dataset.json, imagesTr, labelsTr wanted")
    for name in ("dataset.json", "imagesTr", "labelsTr"):
        if not (folder / name).exists():
            raise BadInput(
                f"{folder} has no {name}: it is not a folder in nnU-Net's raw layout; images and "
                "labels in two folders: bench data add pair CTS MASKS --map liver=1,..."
            )
    described = _read_json(folder / "dataset.json")
    channels = described.get("channel_names", described.get("modality", {}))
    if isinstance(channels, dict) and len(channels) > 1:
        raise BadInput(f"{folder} has {len(channels)} channels; a CT has one")
    said = [described.get(name) for name in ("channel_names", "modality")]
    words = [word for told in said if isinstance(told, dict) for word in told.values()]
    for found in filter(None, (other_modality(str(word)) for word in words)):
        raise BadInput(f"{folder}: dataset.json says it is {found}, not CT: nothing reads {found}")
    return described


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        values = json.loads(read_regular(path, MAX_JSON).decode("utf-8-sig"))
    except (BadFile, RecursionError, ValueError) as error:
        raise BadInput(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(values, dict):
        raise BadInput(f"{path} holds no JSON object")
    return values


def _annotated(
    folder: Path,
    described: Mapping[str, Any],
    organs: tuple[str, ...],
    known: Collection[str],
    cases: Collection[str],
) -> dict[str, tuple[str, ...]]:
    """Returns the annotated organs of the cases that are listed, in the order of the set."""
    path, listed = folder / "dataset.json", described.get("annotated", {})
    if (folder / "annotated.json").exists():
        path = folder / "annotated.json"
        listed = _read_json(path)
    result = {}
    for case, names in listed.items() if isinstance(listed, dict) else [("", listed)]:
        if case not in cases:
            raise BadInput(f"{path}: 'annotated' names a case {case!r} that does not exist")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise BadInput(f"{path}: 'annotated' of {case} is not a list of organs")
        wanted = {organ_name(name) for name in names}
        if unknown := sorted(wanted - set(known)):
            raise BadInput(f"{path}: case {case} names {', '.join(unknown)}, not in 'labels'")
        result[case] = tuple(organ for organ in organs if organ in wanted)
    return result


def _warnings(described: Mapping[str, Any], count: int) -> tuple[str, ...]:
    said = described.get("numTraining", count)
    if said == count:
        return ()
    return (f"dataset.json says numTraining = {said}, the folder has {counted(count, 'case')}",)
