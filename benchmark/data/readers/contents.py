"""What lies in a case's folder: slices, pictures, and labels in DICOM, by names and first bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmark.data.readers import itk
from benchmark.data.readers.files import FoundFile, find_files
from benchmark.data.readers.names import ENDINGS, stem

PICTURES = (*ENDINGS, *itk.ENDINGS)
PARTS = (".raw", ".zraw", ".raw.gz")  # the voxels of a picture in two files
IMAGES = ("ct", "image", "img", "imaging", "volume")  # what a picture beside its labels is called
SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
STRUCTURES = "1.2.840.10008.5.1.4.1.1.481.3"


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What lies in a case's folder: DICOM slices (and what may be one), pictures, and labels in
    DICOM. `images` are the pictures that are called like one."""

    slices: tuple[FoundFile, ...]
    images: tuple[Path, ...]
    masks: tuple[Path, ...]
    structures: tuple[FoundFile, ...]


def is_picture(name: str) -> bool:
    """Return whether a file is called like a picture that can be read."""
    return name.lower().endswith(PICTURES) and not name.startswith(".")


def contents(folder: Path) -> Contents:
    """Return what lies in a folder, below it too. Beside pictures a file without DICOM's mark is
    no slice; alone it may be one.

    Raises BadInput for an archive that is refused.
    """
    entries = [e for e in find_files(folder) if not e.name.lower().endswith(PARTS)]
    pictures = [e.path for e in entries if is_picture(e.name) and not e.inner]
    images = [path for path in pictures if stem(path.name).lower() in IMAGES]
    others = [(e, kind_of(e)) for e in entries if not is_picture(e.name)]
    slices = [e for e, kind in others if kind not in (*SEGMENTATIONS, STRUCTURES)]
    there = any(kind for e, kind in others if e in slices)
    return Contents(
        slices=tuple(slices) if there or not pictures else (),
        images=tuple(images),
        masks=tuple(path for path in pictures if path not in images),
        structures=tuple(e for e, kind in others if kind in (*SEGMENTATIONS, STRUCTURES)),
    )


def kind_of(entry: FoundFile) -> str:
    """Return the UID of the kind of object that a DICOM file is by its first bytes, "DICOM" where
    they do not say it, "" for a file without the mark."""
    if entry.inner:
        head = entry.read()[:1024]
    else:
        with entry.path.open("rb") as file:
            head = file.read(1024)
    if head[128:132] != b"DICM":
        return ""
    start = head.find(b"\x02\x00\x02\x00UI")
    if start < 0:
        return "DICOM"
    size = int.from_bytes(head[start + 6 : start + 8], "little")
    return head[start + 8 : start + 8 + size].rstrip(b"\0 ").decode("ascii", "replace")
