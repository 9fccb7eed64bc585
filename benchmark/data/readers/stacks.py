"""A DICOM series with one PNG mask a slice, as CHAOS has it.

A case is a folder that holds one folder of slices and one of masks, whatever they are called.
The k-th mask by name belongs to the k-th slice by name, so nothing but the pictures themselves
can tell a wrong order: the checks of anatomy do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.badfile import BadFile
from benchmark.data.readers.base import TARGETS, Read, volume_of
from benchmark.data.readers.dicom import MAX_SLICE_BYTES, mended, read_slices
from benchmark.data.readers.files import FoundFile, find_files, natural_order
from benchmark.data.readers.names import ByName
from benchmark.data.readers.series import assemble
from benchmark.errors import BadInput
from benchmark.plan.keys import content_hash

PNG = b"\x89PNG\r\n\x1a\n"
Stack = tuple[
    list[FoundFile], list[FoundFile], str
]  # slices, masks, what is wrong with the folders


def is_stack(folder: Path) -> bool:
    """Return whether a PNG lies below the folder, and so a stack may."""
    return next(folder.rglob("*.png"), None) is not None


class Stacks(ByName[Stack]):
    """A source over one case, or over a folder of cases. `organ` is what the masks show."""

    def __init__(self, folder: Path, organ: str) -> None:
        super().__init__(folder, options=[organ])
        self._organ = organ

    @cached_property
    def named(self) -> Mapping[str, Stack]:
        """The cases by what their folders are called."""
        return _stacks(find_files(self.roots[0]), self.roots[0])

    @property
    def organs(self) -> tuple[str, ...]:
        """The one organ."""
        return (self._organ,)

    @property
    def origin(self) -> dict[str, Any]:
        """The reader, and which of the paper's organs nobody looked for."""
        others = [organ for organ in TARGETS if organ != self._organ]
        return {"reader": "stacks", "not_annotated": others}

    def digest(self, case: str) -> str:
        """Return the hash of slices and masks, in the order of their names."""
        slices, masks, _ = self.by_case[case]
        return self._hash([e.sha256() for e in slices], [e.sha256() for e in masks])

    def _hash(self, slices: Sequence[str], masks: Sequence[str]) -> str:
        return content_hash(["stack", list(slices), list(masks), self._organ])

    def read(self, case: str) -> Read:
        """Return a case; raises BadFile where files are missing, broken or do not fit."""
        entries, masks, wrong = self.by_case[case]
        if wrong:
            raise BadFile("folders", "other", "one of slices, one of masks", wrong)
        read = read_slices(entries)
        self._said = [*read.warnings]
        series = assemble(read.slices)
        self._said += series.warnings
        if len(masks) != len(read.slices):
            message = f"{len(masks)} masks for {len(read.slices)} slices: they pair by number"
            raise BadFile("pairing", len(masks), str(len(read.slices)), message)
        found = [_png(entry, series.shape[1:]) for entry in masks]
        label = np.stack([found[n] for n in series.order]).astype(np.uint8)
        sha256 = self._hash(read.sha256, [entry.sha256() for entry in masks])
        about = {"annotated": self.organs, "source_sha256": sha256, "read_by": mended(read.slices)}
        return volume_of(case, series.values_kji.T, label.T, series.affine, **about), ()


def _png(entry: FoundFile, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return where a mask is not 0; raises BadFile for what is no grey picture of two values.

    Its header is held against the slices' rows and columns before anything is unpacked.
    """
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    if entry.inner:
        message = f"{entry.shown} lies in an archive: unpack it"
        raise BadFile("mask", "archive", "a file", message)
    head = entry.read()[:24]
    if head[:8] != PNG:
        raise BadFile("mask", "other", "PNG", f"{entry.shown} is not a whole PNG")
    own = int.from_bytes(head[20:24], "big"), int.from_bytes(head[16:20], "big")
    if own != size:
        shown, limit = ("x".join(str(n) for n in pair) for pair in (own, size))
        message = f"{entry.shown} measures {shown}, the slices {limit}"
        raise BadFile("shape", shown, limit, message)
    try:
        values = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(entry.path)))
    except RuntimeError:
        raise BadFile("mask", "broken", "PNG", f"{entry.shown} is not a whole PNG") from None
    if values.ndim != 2 or len(np.unique(values[values != 0])) > 1:
        message = f"{entry.shown} holds colours or several values: one organ, two values"
        raise BadFile("mask_values", "several", "two values", message)
    mask: NDArray[np.bool_] = values != 0
    return mask


def _stacks(entries: Sequence[FoundFile], root: Path) -> dict[str, Stack]:
    """Return the cases by their folders' names; raises BadInput where there is none."""
    homes: dict[tuple[str, ...], tuple[list[FoundFile], list[FoundFile]]] = {}
    for entry in entries:
        if len(entry.parts) > 2 and not entry.name.lower().endswith((".txt", ".md", ".pdf")):
            kinds = homes.setdefault(entry.parts[:-2], ([], []))
            kinds[entry.name.lower().endswith(".png")].append(entry)
    found = {home: _stack(home, *kinds) for home, kinds in homes.items()}
    cases = {home: stack for home, stack in found.items() if stack is not None}
    if not cases:
        raise BadInput(f"{root} holds no folder of DICOM slices beside one of PNG masks")
    last = [home[-1] for home in cases]
    return {
        home[-1] if last.count(home[-1]) == 1 else "/".join(home): stack
        for home, stack in cases.items()
    }


def _stack(home: tuple[str, ...], slices: list[FoundFile], masks: list[FoundFile]) -> Stack | None:
    """Return a case, or what is wrong with it; None for a folder of neither slices nor masks."""
    held = _folders(slices)
    if not masks or len(held) > 1 or held & _folders(masks):  # no DICOM may lie there by the way
        used = {name for name in held if any(_is_dicom(e) for e in slices if e.parts[-2] == name)}
        slices = [entry for entry in slices if entry.parts[-2] in used]
    if not slices and not masks:
        return None
    wrong = ""
    if any(len(_folders(kind)) != 1 for kind in (slices, masks)):
        shown = ", ".join(sorted(_folders(slices) | _folders(masks)))
        wanted = "must hold one folder of DICOM slices and one of PNG masks"
        wrong = f"{'/'.join(home)} {wanted}, it has {shown}"
    return natural_order(slices), natural_order(masks), wrong


def _folders(entries: Sequence[FoundFile]) -> set[str]:
    return {entry.parts[-2] for entry in entries}


def _is_dicom(entry: FoundFile) -> bool:
    try:
        return entry.size <= MAX_SLICE_BYTES and entry.read()[128:132] == b"DICM"
    except BadInput:
        return True  # that it cannot be read is said of its case
