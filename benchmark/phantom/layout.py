"""A volume as it may lie on disk: any axes flipped, its slices in any order; as NIfTI, as DICOM
slices with valid headers (written by pydicom), and packed.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.volume import Affine, Volume, from_canonical

EPOCH = (2020, 4, 3, 0, 0, 0)
Flips = tuple[bool, bool, bool]
Files = dict[str, bytes]  # path with forward slashes -> content


@dataclass(frozen=True, kw_only=True)
class OnDisk:
    """Image and label as arrays (i, j, k) and the affine that maps their indices to RAS+ mm."""

    image_ijk: NDArray[np.int16]
    label_ijk: NDArray[np.uint8]
    affine: Affine


def on_disk(volume: Volume, flips: Flips = (False, False, False)) -> OnDisk:
    """Return a volume as it lies on disk, with some of the axes i, j, k running backwards."""
    affine = np.array(volume.geometry.affine, dtype=np.float64)
    arrays = [from_canonical(array, volume.geometry) for array in (volume.image, volume.label)]
    for axis, flip in enumerate(flips):
        if flip:
            turned = np.eye(4)
            turned[axis, axis], turned[axis, 3] = -1, arrays[0].shape[axis] - 1
            affine = affine @ turned
            arrays = [np.flip(array, axis) for array in arrays]
    image, label = (np.ascontiguousarray(array) for array in arrays)
    return OnDisk(image_ijk=image, label_ijk=label, affine=affine)


def nifti_bytes(array_ijk: NDArray[Any], affine: Affine) -> bytes:
    """Return a `.nii.gz` file. Spacing and origin are stored in 32 bits, as NIfTI has them."""
    import gzip

    import nibabel

    image = nibabel.Nifti1Image(array_ijk, affine)
    return gzip.compress(image.to_bytes(), compresslevel=1, mtime=0)


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Return a zip with these files, the same bytes for the same files."""
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), content, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def save(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files below a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a series says of itself. `series` makes its UID; `positions=False` leaves place out."""

    patient: str = "PHANTOM^NOBODY"
    series: str = "1"
    slope: float = 1.0
    intercept: float = -1024.0
    positions: bool = True
    thickness_mm: float = 3.2  # as often in reality, not the distance of the slices


def dicom_files(
    array_ijk: NDArray[Any],
    affine: Affine,
    *,
    header: Header,
    names: str = "image_{}",
    order: Sequence[int] | None = None,
) -> Files:
    """Return one file a slice k; the n-th by name is slice `order[n]` (default: n).

    `array_ijk` holds HU for signed types, which are stored by slope and intercept, and stored
    values as they are for uint8 (masks). i runs along a row, j along a column.
    """
    count = array_ijk.shape[2]
    chosen = list(range(count)) if order is None else list(order)
    return {
        names.format(n): _slice(array_ijk[:, :, k].T, affine, k, n, header)
        for n, k in enumerate(chosen)
    }


def _slice(values: NDArray[Any], affine: Affine, k: int, number: int, header: Header) -> bytes:
    from pydicom import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    mask = values.dtype == np.uint8
    data = Dataset()
    data.SOPClassUID = CTImageStorage
    data.SOPInstanceUID = generate_uid(entropy_srcs=[header.series, header.patient, str(k)])
    data.StudyInstanceUID = generate_uid(entropy_srcs=["study", header.patient])
    data.SeriesInstanceUID = generate_uid(entropy_srcs=["series", header.patient, header.series])
    data.PatientName, data.PatientID = header.patient, header.patient
    data.Modality, data.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.InstanceNumber = number + 1
    data.SliceThickness = header.thickness_mm
    data.Rows, data.Columns = values.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 8 if mask else 16
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = 0
    stored = values if mask else _stored(values, header)
    if not mask:
        data.RescaleSlope, data.RescaleIntercept = _text(header.slope), _text(header.intercept)
    if header.positions:
        _place(data, affine, k)
    data.PixelData = np.ascontiguousarray(stored).tobytes()
    data["PixelData"].VR = "OB" if mask else "OW"
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    stream = BytesIO()
    data.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _stored(values: NDArray[Any], header: Header) -> NDArray[np.uint16]:
    stored = np.rint((values.astype(np.float64) - header.intercept) / header.slope)
    if stored.min() < 0 or stored.max() > 65535:
        raise ValueError("these HU cannot be stored with this slope and intercept")
    return stored.astype(np.uint16)


def _place(data: Any, affine: Affine, k: int) -> None:
    lps = RAS_TO_LPS @ affine
    i_mm, j_mm = (float(np.linalg.norm(lps[:3, axis])) for axis in (0, 1))
    data.ImagePositionPatient = [_text(v) for v in (lps @ [0, 0, k, 1])[:3]]
    directions = [*(lps[:3, 0] / i_mm), *(lps[:3, 1] / j_mm)]
    data.ImageOrientationPatient = [_text(v) for v in directions]
    data.PixelSpacing = [_text(j_mm), _text(i_mm)]


def _text(value: float) -> str:
    """A number as DICOM's decimal string: at most 16 characters."""
    return f"{value + 0.0:.10g}"[:16]
