"""Volumes in the layout of the Multi-Organ labels with their TCIA and BTCV images."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from benchmark.data.readers.multi_organ import IDS, ONLY_BTCV
from benchmark.data.volume import Box, Volume
from benchmark.phantom.layout import Files, Flips, Header, dicom_files, nifti_bytes, on_disk, save

ARCHIVES: Mapping[str, tuple[str, str]] = {
    "tcia": ("label_tciapancreasct_multiorgan", "label_tcia_multiorgan"),
    "btcv": ("label_btcv_multiorgan", "label_btcv_multiorgan"),
}
HEAD = (
    "id,publisher,dataset,original_id,"
    "extent_left,extent_right,extent_ant,extent_post,extent_inf,extent_sup"
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """How cases are written: labels and images may have different axes flipped."""

    image_flips: Flips = (False, False, True)
    label_flips: Flips = (True, True, False)
    order: tuple[int, ...] | None = None
    header: Header = Header()
    other_series: bool = True
    archives: bool = True
    margin: int = 1  # of the crop box around the labels, in voxels


@dataclass(frozen=True, kw_only=True)
class Member:
    """One case: `source` is tcia or btcv, `number` its four digits."""

    volume: Volume
    source: str
    number: int


def write_multi_organ(
    folder: Path, members: Iterable[Member], organs: Sequence[str], options: Options = Options()
) -> None:
    """Write `labels/`, `tcia/` and `btcv/` below a folder."""
    labels: dict[str, Files] = {source: {} for source in ARCHIVES}
    rows = [HEAD]
    for number, member in enumerate(members, start=1):
        save(folder / member.source, image_files(member, options))
        name = f"label{member.number:04d}.nii.gz"
        labels[member.source][name] = label_bytes(member, organs, options)
        rows.append(crop_row(number, member, crop_box(member.volume, options.margin)))
    for source, files in labels.items():
        if files:
            save(folder / "labels", _label_files(source, files, options.archives))
    save(folder / "labels", {"cropping.csv": ("\n".join(rows) + "\n").encode()})


def label_bytes(member: Member, organs: Sequence[str], options: Options) -> bytes:
    """Return the label file; what a source never annotates is not in it."""
    disk = on_disk(member.volume, options.label_flips)
    table = np.zeros(len(organs) + 1, np.uint8)
    for position, organ in enumerate(organs, start=1):
        if organ in member.volume.annotated and not _absent(organ, member.source):
            table[position] = IDS[organ]
    return nifti_bytes(table[disk.label_ijk], disk.affine)


def _absent(organ: str, source: str) -> bool:
    return source == "tcia" and organ in ONLY_BTCV


def image_files(member: Member, options: Options) -> Files:
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
    if options.other_series:  # every other slice: the same patient, another geometry
        coarse = disk.affine @ np.diag([1.0, 1.0, 2.0, 1.0])
        header = Header(series="coarse")
        other = disk.image_ijk[:, :, ::2]
        files |= dicom_files(other, coarse, header=header, names="2-{:03d}.dcm")
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
