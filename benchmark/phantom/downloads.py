"""Volumes in the layouts of native sets, with all that their downloads differ in: 3D-IRCADb-01, and
the Multi-Organ labels with their TCIA and BTCV images.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.data.readers.multi_organ import IDS, ONLY_BTCV
from benchmark.data.volume import Box, Volume
from benchmark.phantom.layout import (
    Files,
    Flips,
    Header,
    dicom_files,
    nifti_bytes,
    on_disk,
    save,
    zipped,
)

ARCHIVES: Mapping[str, tuple[str, str]] = {
    "tcia": ("label_tciapancreasct_multiorgan", "label_tcia_multiorgan"),
    "btcv": ("label_btcv_multiorgan", "label_btcv_multiorgan"),
}
MARGIN = 1  # of the crop box around the labels, in voxels
HEAD = (
    "id,publisher,dataset,original_id,"
    "extent_left,extent_right,extent_ant,extent_post,extent_inf,extent_sup"
)


@dataclass(frozen=True, kw_only=True)
class MultiOrganOptions:
    """How cases are written: labels and images may have different axes flipped."""

    image_flips: Flips = (False, False, True)
    label_flips: Flips = (True, True, False)
    order: tuple[int, ...] | None = None
    header: Header = Header()
    archives: bool = True


@dataclass(frozen=True, kw_only=True)
class Member:
    """One case: `source` is tcia or btcv, `number` its four digits."""

    volume: Volume
    source: str
    number: int


def write_multi_organ(
    folder: Path,
    members: Iterable[Member],
    organs: Sequence[str],
    options: MultiOrganOptions = MultiOrganOptions(),
) -> None:
    """Write `labels/`, `tcia/` and `btcv/` below a folder."""
    labels: dict[str, Files] = {source: {} for source in ARCHIVES}
    rows = [HEAD]
    for number, member in enumerate(members, start=1):
        save(folder / member.source, image_of(member, options))
        name = f"label{member.number:04d}.nii.gz"
        labels[member.source][name] = label_file(member, organs, options)
        rows.append(crop_row(number, member, crop_box(member.volume, MARGIN)))
    for source, files in labels.items():
        if files:
            save(folder / "labels", _label_files(source, files, options.archives))
    save(folder / "labels", {"cropping.csv": ("\n".join(rows) + "\n").encode()})


def label_file(member: Member, organs: Sequence[str], options: MultiOrganOptions) -> bytes:
    """Return the label file; what a source never annotates is not in it."""
    disk = on_disk(member.volume, options.label_flips)
    table = np.zeros(len(organs) + 1, np.uint8)
    for position, organ in enumerate(organs, start=1):
        never = member.source == "tcia" and organ in ONLY_BTCV
        if organ in member.volume.annotated and not never:
            table[position] = IDS[organ]
    return nifti_bytes(table[disk.label_ijk], disk.affine)


def image_of(member: Member, options: MultiOrganOptions) -> Files:
    """Return the image: NIfTI for btcv, DICOM in nested folders for tcia."""
    disk = on_disk(member.volume, options.image_flips)
    if member.source == "btcv":
        name = f"Training/img/img{member.number:04d}.nii.gz"
        return {name: nifti_bytes(disk.image_ijk, disk.affine)}
    home = f"PANCREAS_{member.number:04d}/11-24-2015-PANCREAS-0/Pancreas-63"
    files = dicom_files(
        disk.image_ijk,
        disk.affine,
        header=options.header,
        names="1-{:03d}.dcm",
        order=options.order,
    )
    # every other slice: the same patient, another geometry
    coarse, header = disk.affine @ np.diag([1.0, 1.0, 2.0, 1.0]), Header(series="coarse")
    files |= dicom_files(disk.image_ijk[:, :, ::2], coarse, header=header, names="2-{:03d}.dcm")
    return {f"{home}/{name}": content for name, content in files.items()}


def crop_box(volume: Volume, margin: int) -> Box:
    """Return the box of all labels with a margin, in canonical voxels."""
    ends = []
    for axis, size in enumerate(volume.label.shape):
        others = tuple(other for other in range(3) if other != axis)
        held = np.flatnonzero(volume.label.any(axis=others))
        first, last = (int(held[0]), int(held[-1])) if len(held) else (0, size - 1)
        ends.append((max(first - margin, 0), min(last + margin + 1, size)))
    z, y, x = ends
    return z, y, x


def crop_row(number: int, member: Member, box: Box) -> str:
    """Return a case's line of `cropping.csv`."""
    publisher, name = ("TCIA", "Pancreas-CT") if member.source == "tcia" else ("Synapse", "BTCV")
    (z0, z1), (y0, y1), (x0, x1) = box
    start = f"{number},{publisher},{name},{member.number:04d}"
    return f"{start},{x0},{x1},{y0},{y1},{z0},{z1}"


def _label_files(source: str, files: Files, archives: bool) -> Files:
    archive, inside = ARCHIVES[source]
    if not archives:
        return {f"{inside}/{name}": content for name, content in files.items()}
    stream = BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=1) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{inside}/{name}")
            info.size = len(content)
            tar.addfile(info, BytesIO(content))
    return {f"{archive}.tar.gz": stream.getvalue()}


STRUCTURES: Mapping[str, str] = {
    "liver": "liver",
    "left_kidney": "leftkidney",
    "right_kidney": "rightkidney",
}
PACKINGS = ("folders", "zips", "nested", "doubled")


@dataclass(frozen=True, kw_only=True)
class IrcadbOptions:
    """How a patient is written: see `dicom_files`. `order` permutes the files of the slices."""

    flips: Flips = (False, False, True)  # the first file is nearest to the head, as in the set
    order: tuple[int, ...] | None = None
    header: Header = Header()
    mask_positions: bool = False
    foreground: int = 255
    packing: str = "folders"


def patient_files(volume: Volume, organs: Sequence[str], options: IrcadbOptions) -> Files:
    """Return `PATIENT_DICOM/...` and `MASKS_DICOM/STRUCTURE/...` of one patient.

    A part of the liver is written as `livertumor01` and missing in `liver`; there are structures
    that no reader wants, one of which sounds like a tumour of the liver.
    """
    disk = on_disk(volume, options.flips)
    affine, order = disk.affine, options.order
    image = dicom_files(disk.image_ijk, affine, header=options.header, order=order)
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
        found = dicom_files(values, affine, header=header, order=order)
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
        return {f"{home}/{home}/{n.split('/')[0]}/{n}": content for n, content in files.items()}
    zips = {f"{home}/{part}.zip": zipped(inside) for part, inside in parts.items()}
    if packing == "zips":
        return zips
    return {f"{home}.zip": zipped(zips)}


def _half(mask_ijk: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The front tenth of a mask's rows, as a stand-in for a tumour."""
    rows = np.flatnonzero(mask_ijk.any(axis=(0, 2)))
    part = mask_ijk.copy()
    if len(rows):
        part[:, int(rows[0]) + max(1, len(rows) // 10) :] = False
    return part
