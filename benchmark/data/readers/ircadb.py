"""3D-IRCADb-01 as it is downloaded: `3Dircadb1.N/{PATIENT_DICOM,MASKS_DICOM/STRUCTURE}`.

Folders and zips may be mixed, zips may lie in zips, folder names may be doubled, and any of the
twenty patients may be missing (METHODS, section 9). A structure is found by its name in lower
case without signs. Liver tumours, cysts and the like are liver; an organ without a structure was
not looked for in that patient.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property, reduce
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.badfile import BadFile, demand
from benchmark.data.judging.checks import Check
from benchmark.data.judging.measures import midline
from benchmark.data.readers.base import TARGETS, Read, Reader, merged, place_checks, volume_of
from benchmark.data.readers.dicom import Slices, mended, read_slices
from benchmark.data.readers.files import FoundFile, find_files
from benchmark.data.readers.series import Series, assemble, have_places
from benchmark.data.volume import Volume
from benchmark.errors import BadInput
from benchmark.plan.keys import content_hash

PATIENT = re.compile(r"3d[-_ ]?ircad[-_ ]?b?[-_ ]?0?1[._-](\d{1,2})")
IMAGES, MASKS = "patientdicom", "masksdicom"
PART_OF_LIVER = re.compile(r"liver(tumou?r|cyst|kyst).*|metastasectomie")
Structures = dict[str, list[FoundFile]]  # structure, or IMAGES -> its files in natural order


class Ircadb(Reader):
    """A source over a folder or archive with patients of 3D-IRCADb-01.

    `organs` are those wanted. A structure `kidneys` (both in one) is an organ of its own where
    left and right are missing, unless `split_kidneys` asks to part it in the body's middle.
    """

    def __init__(
        self, path: Path, organs: Sequence[str] = TARGETS, *, split_kidneys: bool = False
    ) -> None:
        super().__init__(path, options=[list(organs), split_kidneys])
        self._wanted, self._split = tuple(organs), split_kidneys

    @cached_property
    def _patients(self) -> dict[str, Structures]:
        return _patients(find_files(self.roots[0]), self.roots[0])

    @cached_property
    def cases(self) -> tuple[str, ...]:
        """The names of the patients found, `ircadb_01` to `ircadb_20`."""
        return tuple(sorted(self._patients))

    @cached_property
    def organs(self) -> tuple[str, ...]:
        """The organs wanted, and `kidneys` where a patient has them only so."""
        both = any("kidneys" in self._structures(case) for case in self.cases)
        return (*self._wanted, "kidneys") if both and not self._split else self._wanted

    @property
    def origin(self) -> dict[str, Any]:
        """The reader and how many patients it found; no path."""
        return {"reader": "ircadb", "patients": len(self.cases)}

    def digest(self, case: str) -> str:
        """Return the hash of the patient's files, in the order of their names."""
        patient = self._patients[case]
        files = [(IMAGES, patient.get(IMAGES, []))]
        files += [(name, patient[name]) for name in self._used(case)]
        return self._hash([(name, [entry.sha256() for entry in all_]) for name, all_ in files])

    def _hash(self, hashes: Sequence[tuple[str, Sequence[str]]]) -> str:
        return content_hash(["ircadb", [[name, list(all_)] for name, all_ in hashes], self._split])

    def _structures(self, case: str) -> dict[str, tuple[str, ...]]:
        """For each organ that was looked for: the structures that make it."""
        patient, result = self._patients[case], dict[str, tuple[str, ...]]()
        for organ in self._wanted:
            if (plain := organ.replace("_", "")) in patient:
                result[organ] = (plain,)
        if "liver" in result:
            result["liver"] += tuple(sorted(n for n in patient if PART_OF_LIVER.fullmatch(n)))
        sides = {"left_kidney", "right_kidney"}
        if "kidneys" in patient and sides & set(self._wanted) and not sides & set(result):
            result["kidneys"] = ("kidneys",)
        return result

    def _used(self, case: str) -> list[str]:
        return sorted({name for parts in self._structures(case).values() for name in parts})

    def read(self, case: str) -> Read:
        """Return a patient; raises BadFile where files are missing, broken or do not fit."""
        patient, structures = self._patients[case], self._structures(case)
        if not patient.get(IMAGES):
            raise BadFile("images", 0, ">= 2", "it has no slice in PATIENT_DICOM")
        if not structures:
            message = f"it has no mask of {', '.join(self._wanted)} in MASKS_DICOM"
            raise BadFile("masks", 0, ">= 1", message)
        images = read_slices(patient[IMAGES])
        series = assemble(images.slices)
        said = self._said = [*images.warnings, *series.warnings]
        found, hashes, checks = {}, [(IMAGES, images.sha256)], list[Check]()
        for name in self._used(case):
            read = read_slices(patient[name], rescale=False)
            found[name] = _mask(name, read, images, series, said, checks)
            hashes.append((name, read.sha256))
        masks = {
            organ: reduce(np.logical_or, [found[name] for name in parts])
            for organ, parts in structures.items()
        }
        sha256 = self._hash([hashes[0], *sorted(hashes[1:])])
        volume, overlap = self._volume(case, series, masks, sha256, mended(images.slices))
        self._said = [*dict.fromkeys(said)]
        return volume, (*checks, overlap)

    def _volume(
        self,
        case: str,
        series: Series,
        masks: Mapping[str, NDArray[np.bool_]],
        sha256: str,
        by: str,
    ) -> tuple[Volume, Check]:
        names = (*self.organs, *(["kidneys"] if self._split else []))
        label_kji, overlap = merged(masks, names)
        annotated = {*masks}
        if self._split and "kidneys" in masks:
            annotated |= {"left_kidney", "right_kidney"}
        volume = volume_of(
            case,
            series.values_kji.T,
            label_kji.T,
            series.affine,
            annotated=tuple(organ for organ in self.organs if organ in annotated),
            source_sha256=sha256,
            read_by=by,
        )
        if self._split and "kidneys" in masks:
            _split_kidneys(volume, self.organs)
        return volume, overlap


def _split_kidneys(volume: Volume, organs: tuple[str, ...]) -> None:
    """Part the label behind the set's last organ in the middle of the body, in place."""
    both = volume.label == len(organs) + 1
    held = np.flatnonzero(both.any(axis=(1, 2)))
    middle = midline(volume, (int(held[0]), int(held[-1]))) if len(held) else 0.0
    left = np.arange(both.shape[2]) > middle
    for side, half in (("left_kidney", left), ("right_kidney", ~left)):
        number = organs.index(side) + 1 if side in organs else 0
        volume.label[both & half] = number


def _mask(
    name: str, read: Slices, images: Slices, series: Series, said: list[str], checks: list[Check]
) -> NDArray[np.bool_]:
    """Return a structure on the image's grid: by position, else by the number of its file."""
    masks = read.slices
    if have_places(masks):
        own = assemble(masks)
        grid = tuple(reversed(series.shape)), series.affine
        placed = place_checks(grid, (tuple(reversed(own.shape)), own.affine), said)
        demand(placed, f"{name}: ")
        return _foreground(name, own.slices, said)
    if len(masks) != len(images.slices):
        message = (
            f"{name} has {len(masks)} slices without a position, the image {len(series.order)}"
        )
        raise BadFile("pairing", len(masks), str(len(images.slices)), message)
    sizes = {one.values.shape for one in masks}
    if sizes != {series.shape[1:]}:
        shown = ", ".join(f"{rows}x{columns}" for rows, columns in sorted(sizes))
        limit = "x".join(str(size) for size in series.shape[1:])
        raise BadFile("shape", shown, limit, f"{name} has slices of {shown}, the image of {limit}")
    return _foreground(name, [masks[number].values for number in series.order], said)


def _foreground(name: str, slices: Sequence[NDArray[Any]], said: list[str]) -> NDArray[np.bool_]:
    """Return where a mask is not 0; most slices are empty and cost nothing."""
    mask = np.zeros((len(slices), *slices[0].shape), dtype=bool)
    held = [k for k, values in enumerate(slices) if values.any()]
    for k in held:
        np.not_equal(slices[k], 0, out=mask[k])
    if not held:
        said.append(f"the mask of {name} is empty: looked for and not there")
    high = max((int(slices[k].max()) for k in held), default=0)
    if any(np.any(mask[k] & (slices[k] != high)) for k in held):
        message = f"the mask of {name} holds other values than 0 and {high}"
        raise BadFile("mask_values", high, "two values", message)
    return mask


def _patients(entries: Sequence[FoundFile], root: Path) -> dict[str, Structures]:
    """Return the patients by case; raises BadInput when there is none, or one lies twice."""
    patients: dict[str, Structures] = {}
    homes: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        folders = entry.parts[:-1]
        numbers = [n for n, part in enumerate(folders) if PATIENT.fullmatch(part.lower())]
        if not numbers:
            continue
        match = PATIENT.fullmatch(folders[numbers[-1]].lower())
        assert match is not None
        case, home = f"ircadb_{int(match[1]):02d}", folders[: numbers[0] + 1]
        if homes.setdefault(case, home) != home:
            message = f"patient {int(match[1])} lies twice: {'/'.join(homes[case])} and"
            raise BadInput(f"{message} {'/'.join(home)}; remove one")
        structure = _structure(folders[numbers[-1] + 1 :])
        if structure:
            patients.setdefault(case, {}).setdefault(structure, []).append(entry)
    if not patients:
        raise BadInput(
            f"{root} holds no patient of 3D-IRCADb-01: folders or zips 3Dircadb1.N with"
            " PATIENT_DICOM and MASKS_DICOM are wanted"
        )
    return patients


def _structure(below: tuple[str, ...]) -> str:
    """Which structure a file belongs to, by the folders between it and its patient."""
    plain = [re.sub(r"[^a-z0-9]", "", part.lower()) for part in below]
    if IMAGES in plain:
        return IMAGES
    if MASKS in plain:
        return next((part for part in plain[plain.index(MASKS) + 1 :] if part != MASKS), "")
    return ""
