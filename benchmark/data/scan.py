"""A CT that no data set holds: read to be predicted on, in every form that a case's image has."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.badfile import BadFile, demand, guarded
from benchmark.data.judging.checks import check_hu, check_spacing, check_values
from benchmark.data.readers.contents import is_picture
from benchmark.data.readers.forms import read_image
from benchmark.data.readers.nifti import Nifti
from benchmark.data.readers.placed import Placed
from benchmark.data.volume import Geometry, Image, Label, Volume, from_canonical, to_canonical
from benchmark.errors import BadInput

QUATERNION = ("quatern_b", "quatern_c", "quatern_d")
MILLIMETRES = 2  # NIfTI's code of the unit
SCANNER = 1  # NIfTI's code of coordinates in the scanner
# All that says where a voxel lies. The texts of a header stay behind: they may name a person.
OFFSETS = tuple(f"{start}_{axis}" for start in ("qoffset", "srow") for axis in "xyz")
PLACE = ("pixdim", "xyzt_units", "qform_code", "sform_code", *QUATERNION, *OFFSETS)


@dataclass(frozen=True, kw_only=True)
class Scan:
    """A CT in memory. `image` holds HU as int16, canonical (Z, Y, X), `geometry` how it lay on
    disk, `header` the NIfTI header of that grid. `warnings` are single lines for a person."""

    name: str
    image: Image
    geometry: Geometry
    header: Any
    warnings: tuple[str, ...] = ()

    @property
    def voxel_ml(self) -> float:
        """The volume of a voxel in millilitres."""
        affine = np.asarray(self.geometry.affine)
        return float(abs(np.linalg.det(affine[:3, :3]))) / 1000


def read_scan(path: Path) -> Scan:
    """Return the CT in a picture file, or in a folder with the slices of one DICOM series.

    Raises `BadInput` where there is none, where its header does not say how it lies in the
    patient, and where its values are not those of a CT.
    """
    if not path.exists():
        raise BadInput(f"there is no {path}: give a NIfTI file or a folder of DICOM slices")
    try:
        with guarded(path.name):
            scan = _of(path, read_image(path))
        nothing: Label = np.broadcast_to(np.uint8(0), scan.image.shape)
        volume = Volume(
            case=scan.name, image=scan.image, label=nothing, annotated=(), geometry=scan.geometry
        )
        demand(check_hu(volume, ()), f"{scan.name} is not a CT: ")
        demand([check_spacing(scan.geometry.spacing_mm)], f"{scan.name} is not in millimetres: ")
    except BadFile as error:
        raise BadInput(str(error)) from None
    return scan


def scans_in(path: Path) -> list[Path]:
    """Return the scans below a path: a file or a series itself; of a folder of pictures each, of a
    folder of folders each of these. Raises `BadInput` where there is no such path."""
    if not path.exists():
        raise BadInput(f"there is no {path}: give a NIfTI file or a folder of DICOM slices")
    if not path.is_dir():
        return [path]
    inside = [one for one in sorted(path.iterdir()) if not one.name.startswith(".")]
    pictures = [one for one in inside if one.is_file() and is_picture(one.name)]
    folders = [one for one in inside if one.is_dir()]
    files = [one for one in inside if one.is_file()]
    return pictures or (folders if len(folders) > 1 and not files else [path])


def label_bytes(label_ZYX: Label, scan: Scan, *, packed: bool, note: str = "") -> bytes:
    """Return a label map as a NIfTI file on the scan's own grid: uint8, slope 1.

    The same map gives the same bytes. `note` goes into the header's description (80 characters).
    """
    import nibabel as nib

    second = isinstance(scan.header, nib.Nifti2Header)
    kind = nib.Nifti2Image if second else nib.Nifti1Image
    header = kind.header_class()
    for name in PLACE:
        header[name] = scan.header[name]
    header["descrip"] = note.encode("ascii", "replace")[:79]
    header.set_data_dtype(np.uint8)
    array = from_canonical(label_ZYX, scan.geometry)
    content: bytes = kind(array, header.get_best_affine(), header).to_bytes()
    return gzip.compress(content, compresslevel=6, mtime=0) if packed else content


def _of(path: Path, found: Placed) -> Scan:
    if found.no_place:
        missing = "neither sform nor qform says" if isinstance(found, Nifti) else "it does not say"
        raise BadInput(f"{path.name} has no geometry: {missing} how it lies in the patient")
    demand(check_values(found.array), f"{path.name} is not a CT: ")
    header = _placed(found) if isinstance(found, Nifti) else _new_header(found.affine)
    name = path.resolve().name
    return _scan(name, found.array, found.affine, header, found.warnings)


def _placed(found: Nifti) -> Any:
    """The header of a file, with a quaternion of length 1 where rounding made it longer.

    Not every program reads a longer one. 32 bits do not hold its direction, so the place is
    written as a sform, too, where the file has none.
    """
    header = found.header.copy()
    quaternion = np.array([float(header[name]) for name in QUATERNION])
    length = float(np.linalg.norm(quaternion))
    if header["qform_code"] and length > 1 + 1e-7:
        for name, value in zip(QUATERNION, quaternion / length, strict=True):
            header[name] = value
        if not header["sform_code"]:
            header.set_sform(found.affine, int(header["qform_code"]))
    return header


def _new_header(affine: Any) -> Any:
    """The header of a grid that no NIfTI file has described yet."""
    import nibabel as nib

    header = nib.Nifti1Header()
    header.set_sform(affine, SCANNER)
    header.set_qform(affine, SCANNER)
    header["xyzt_units"] = MILLIMETRES
    return header


def _scan(
    name: str, array: NDArray[Any], affine: Any, header: Any, warnings: tuple[str, ...]
) -> Scan:
    if array.dtype.kind == "f":
        array = np.rint(array, out=array) if array.flags.writeable else np.rint(array)
    image, geometry = to_canonical(array.astype(np.int16), affine)
    return Scan(name=name, image=image, geometry=geometry, header=header, warnings=warnings)
