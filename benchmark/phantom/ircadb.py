"""Volumes in the layout of 3D-IRCADb-01, with all that its downloads differ in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.data.volume import Volume
from benchmark.phantom.layout import (
    Files,
    Flips,
    Header,
    OnDisk,
    dicom_files,
    on_disk,
    save,
    zipped,
)

STRUCTURES: Mapping[str, str] = {
    "liver": "liver",
    "left_kidney": "leftkidney",
    "right_kidney": "rightkidney",
}
PACKINGS = ("folders", "zips", "nested", "doubled")


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a patient is written: see `dicom_files`. `order` permutes the files of the slices."""

    flips: Flips = (False, False, True)  # the first file is nearest to the head, as in the set
    order: tuple[int, ...] | None = None
    header: Header = Header()
    mask_positions: bool = False
    foreground: int = 255
    packing: str = "folders"


def patient_files(volume: Volume, organs: Sequence[str], options: Options) -> Files:
    """Return `PATIENT_DICOM/...` and `MASKS_DICOM/STRUCTURE/...` of one patient.

    A part of the liver is written as `livertumor01` and missing in `liver`; there are structures
    that no reader wants, one of which sounds like a tumour of the liver.
    """
    disk = on_disk(volume, options.flips)
    image = _dicom(disk, disk.image_ijk, options, options.header)
    files = {f"PATIENT_DICOM/{name}": content for name, content in image.items()}
    masks = {
        STRUCTURES.get(organ, organ.replace("_", "")): disk.label_ijk == organs.index(organ) + 1
        for organ in volume.annotated
    }
    if "liver" in masks:
        masks["livertumor01"] = _half(masks["liver"])
        masks["liver"] &= ~masks["livertumor01"]
    masks["bone"] = disk.image_ijk > 300
    masks["rightsurretumor"] = disk.image_ijk > 600
    for name, mask in masks.items():
        header = Header(series=name, positions=options.mask_positions)
        values = mask.astype(np.uint8) * np.uint8(options.foreground)
        found = _dicom(disk, values, options, header)
        files |= {f"MASKS_DICOM/{name}/{file}": content for file, content in found.items()}
    return files


def packed(number: int, files: Files, packing: str) -> Files:
    """Return a patient's files below `3Dircadb1.N`, packed as downloads are."""
    home = f"3Dircadb1.{number}"
    if packing == "folders":
        return {f"{home}/{name}": content for name, content in files.items()}
    parts = {
        part: {n: c for n, c in files.items() if n.startswith(f"{part}/")}
        for part in ("PATIENT_DICOM", "MASKS_DICOM")
    }
    if packing == "doubled":
        twice = {f"{name.split('/')[0]}/{name}": content for name, content in files.items()}
        return {f"{home}/{home}/{name}": content for name, content in twice.items()}
    zips = {f"{home}/{part}.zip": zipped(inside) for part, inside in parts.items()}
    if packing == "zips":
        return zips
    return {f"{home}.zip": zipped(zips)}


def write_ircadb(
    folder: Path, volumes: Iterable[Volume], organs: Sequence[str], options: Options = Options()
) -> None:
    """Write volumes as patients 1, 2, ... below a folder."""
    for number, volume in enumerate(volumes, start=1):
        save(folder, packed(number, patient_files(volume, organs, options), options.packing))


def _dicom(disk: OnDisk, values: NDArray[np.generic], options: Options, header: Header) -> Files:
    return dicom_files(values, disk.affine, header=header, order=options.order)


def _half(mask_ijk: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The front tenth of a mask's rows, as a stand-in for a tumour."""
    rows = np.flatnonzero(mask_ijk.any(axis=(0, 2)))
    part = mask_ijk.copy()
    if len(rows):
        part[:, int(rows[0]) + max(1, len(rows) // 10) :] = False
    return part
