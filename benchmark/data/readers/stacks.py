"""A DICOM series with one PNG mask a slice, as CHAOS has it.

A case is a folder that holds one folder of slices and one of masks, whatever they are called.
The k-th mask by name belongs to the k-th slice by name, so nothing but the pictures themselves
can tell a wrong order: the checks of anatomy do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.checks import content_hash
from benchmark.data.geometry import BadFile, to_canonical
from benchmark.data.readers.base import TARGETS, Reader
from benchmark.data.readers.dicom import read_slices
from benchmark.data.readers.files import Entry, find_files, natural
from benchmark.data.readers.series import assemble
from benchmark.data.source import Reading
from benchmark.data.volume import Volume
from benchmark.errors import BadInput


def is_stack(folder: Path) -> bool:
    """Return whether a PNG lies below the folder, and so a stack may."""
    return next(folder.rglob("*.png"), None) is not None


class Stacks(Reader):
    """A source over one case, or over a folder of cases. `organ` is what the masks show."""

    def __init__(self, folder: Path, organ: str) -> None:
        super().__init__(folder, options=[organ])
        self._organ = organ

    @cached_property
    def _stacks(self) -> dict[str, tuple[list[Entry], list[Entry]]]:
        return _stacks(find_files(self.roots[0]), self.roots[0])

    @property
    def organs(self) -> tuple[str, ...]:
        """The one organ."""
        return (self._organ,)

    @property
    def cases(self) -> tuple[str, ...]:
        """The folders' names."""
        return tuple(sorted(self._stacks))

    @property
    def origin(self) -> dict[str, Any]:
        """The reader, and which of the paper's organs nobody looked for."""
        others = [organ for organ in TARGETS if organ != self._organ]
        return {"reader": "stacks", "not_annotated": others}

    def digest(self, case: str) -> str:
        """Return the hash of slices and masks, in the order of their names."""
        return self._hash(*([e.sha256() for e in entries] for entries in self._stacks[case]))

    def _hash(self, slices: Sequence[str], masks: Sequence[str]) -> str:
        return content_hash(["stack", list(slices), list(masks), self._organ])

    def read(self, case: str) -> Reading:
        """Return a case; raises BadFile where files are missing, broken or do not fit."""
        entries, masks = self._stacks[case]
        read = read_slices(entries)
        self._said = [*read.warnings]
        series = assemble(read.slices)
        self._said += series.warnings
        if len(masks) != len(read.slices):
            message = f"{len(masks)} masks for {len(read.slices)} slices: they pair by number"
            raise BadFile("pairing", len(masks), str(len(read.slices)), message)
        found = [_png(entry) for entry in masks]
        for entry, mask in zip(masks, found, strict=True):
            if mask.shape != series.shape[1:]:
                shown, limit = (
                    "x".join(str(n) for n in shape) for shape in (mask.shape, series.shape[1:])
                )
                message = f"{entry.shown} measures {shown}, the slices {limit}"
                raise BadFile("shape", shown, limit, message)
        label = np.stack([found[n] for n in series.order]).astype(np.uint8)
        image, geometry = to_canonical(series.values_kji.T, series.affine)
        volume = Volume(
            case=case,
            image=image,
            label=to_canonical(label.T, series.affine)[0],
            annotated=self.organs,
            geometry=geometry,
            source_sha256=self._hash(read.sha256, [entry.sha256() for entry in masks]),
        )
        return Reading(case=case, volume=volume, warnings=tuple(self._said))


def _png(entry: Entry) -> NDArray[np.bool_]:
    """Return where a mask is not 0; raises BadFile for what is no grey picture of two values."""
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    if entry.inner:
        message = f"{entry.shown} lies in an archive: unpack it"
        raise BadFile("mask", "archive", "a file", message)
    try:
        values = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(entry.path)))
    except RuntimeError:
        raise BadFile("mask", "broken", "PNG", f"{entry.shown} is no whole PNG") from None
    if values.ndim != 2 or len(np.unique(values[values != 0])) > 1:
        message = f"{entry.shown} holds colours or several values: one organ, two values"
        raise BadFile("mask_values", "several", "two values", message)
    mask: NDArray[np.bool_] = values != 0
    return mask


def _stacks(entries: Sequence[Entry], root: Path) -> dict[str, tuple[list[Entry], list[Entry]]]:
    """Return slices and masks by case; raises BadInput where a case has not one folder of each."""
    folders: dict[tuple[str, ...], tuple[list[Entry], list[Entry]]] = {}
    for entry in entries:
        if len(entry.parts) > 2 and not entry.name.lower().endswith((".txt", ".md", ".pdf")):
            kinds = folders.setdefault(entry.parts[:-2], ([], []))
            kinds[entry.name.lower().endswith(".png")].append(entry)
    found = {}
    for folder, (slices, masks) in folders.items():
        places = [{entry.parts[-2] for entry in kind} for kind in (slices, masks)]
        if any(len(names) != 1 for names in places):
            shown = ", ".join(sorted(places[0] | places[1]))
            raise BadInput(
                f"{'/'.join(folder)} must hold one folder of DICOM slices and one of PNG masks,"
                f" it has {shown}"
            )
        case = re.sub(r"[^A-Za-z0-9._-]+", "_", folder[-1]).strip("._-") or "case"
        if case in found:
            raise BadInput(f"two cases below {root} are called {case}: rename one")
        found[case] = (_sorted(slices), _sorted(masks))
    if not found:
        raise BadInput(f"{root} holds no folder of DICOM slices beside one of PNG masks")
    return found


def _sorted(entries: list[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: natural(entry.parts))
