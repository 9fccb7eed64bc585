"""DICOM slices: read by pydicom, or by SimpleITK where they are compressed beyond it.

Nothing of a header but geometry and rescale leaves this file: no message quotes a value of text,
and what the libraries have to say about odd headers, which may quote a name, is kept quiet.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.geometry import BadFile
from benchmark.data.readers.files import Entry

MAX_SLICE_BYTES = 256 * 1024**2
AIR_HU = -1024
LITTLE_ENDIAN = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"}
NATIVE = {*LITTLE_ENDIAN, "1.2.840.10008.1.2.2"}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a slice lies, in DICOM's LPS millimetres: origin, directions of rows and columns."""

    origin_mm: tuple[float, float, float]
    along_row: tuple[float, float, float]  # where the column index grows to
    along_column: tuple[float, float, float]
    step_mm: tuple[float, float]  # between columns, between rows


@dataclass(frozen=True, kw_only=True)
class Slice:
    """One slice (rows, columns): HU as int16, or a mask's stored values; None for no place."""

    name: str
    series: str  # a hash: two slices of one series have one
    values: NDArray[Any]
    place: Place | None
    rescale: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Slices:
    """Slices in the order of their files, the hashes of all files in that order, and warnings."""

    slices: list[Slice]
    sha256: tuple[str, ...]
    warnings: list[str]


def read_slices(entries: Iterable[Entry], *, rescale: bool = True) -> Slices:
    """Return the slices of files in the order given; scout views are left out.

    `rescale=False` leaves stored values as they are, for masks whose header was copied from an
    image. Raises BadFile naming the file that is no DICOM image of one grey channel.
    """
    slices, hashes = [], []
    for entry in entries:
        if entry.size > MAX_SLICE_BYTES:
            raise BadFile("size", entry.size, "<= 256 MiB", f"{entry.shown} is no single slice")
        content = entry.read()
        hashes.append(sha256(content).hexdigest())
        if (found := _read(entry, content, rescale)) is not None:
            slices.append(found)
    scouts = len(hashes) - len(slices)
    said = [f"{scouts} files without a slice left out (scout views, reports)"] if scouts else []
    return Slices(slices=slices, sha256=tuple(hashes), warnings=said)


def _read(entry: Entry, content: bytes, rescale: bool) -> Slice | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header = _header(entry, content)
        if "PixelData" not in header:
            return None
        if rescale and "LOCALIZER" in (header.get("ImageType") or ()):
            return None
        place = _place(header)
        values, rescaled = _values(entry, header, rescale)
        series = str(header.get("SeriesInstanceUID", "")) if rescale else ""
    return Slice(
        name=entry.shown,
        series=sha256(series.encode()).hexdigest(),
        values=values,
        place=place,
        rescale=rescaled,
    )


@cache
def _pydicom() -> Any:
    """The library, told to judge no header; it is slow to import."""
    import pydicom

    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    pydicom.config.logger.disabled = True
    return pydicom


def _header(entry: Entry, content: bytes) -> Any:
    try:
        return _pydicom().dcmread(BytesIO(content))
    except Exception as error:  # whatever a broken file makes of the library
        kind = type(error).__name__
        raise BadFile("dicom", kind, "DICOM", f"{entry.shown} is no DICOM file") from None


def _values(entry: Entry, header: Any, rescale: bool) -> tuple[NDArray[Any], tuple[float, float]]:
    """Return HU as int16 (stored values without `rescale`), and slope and intercept."""
    try:
        if int(header.get("SamplesPerPixel", 1)) != 1 or int(header.get("NumberOfFrames") or 1) > 1:
            message = f"{entry.shown} holds colours or several frames; one grey slice a file"
            raise BadFile("slice", "colour", "one grey slice", message)
        syntax = str(header.file_meta.get("TransferSyntaxUID", ""))
        if not rescale:
            return _stored(header, syntax), (1.0, 0.0)
        slope = 1.0 if header.get("RescaleSlope") is None else float(header.RescaleSlope)
        intercept = float(header.get("RescaleIntercept") or 0)
        if syntax and syntax not in NATIVE and not entry.inner:
            return _storable(entry, _by_simpleitk(entry)), (slope, intercept)
        stored = _stored(header, syntax)
        values = _rescaled(entry, stored, slope, intercept)
        _fill_padding(values, stored, header)
        return values, (slope, intercept)
    except BadFile:
        raise
    except Exception as error:
        kind = type(error).__name__
        hint = "; if it is compressed, unpack its archive" if entry.inner else ""
        message = f"the pixels of {entry.shown} cannot be read ({kind}){hint}"
        raise BadFile("pixels", kind, "readable", message) from None


def _stored(header: Any, syntax: str) -> NDArray[Any]:
    """The pixels as they are stored. Plain ones are seen as an array at once: `pixel_array` looks
    at every header element again, which takes longer than reading the file."""
    kinds = {(8, 0): "u1", (8, 1): "i1", (16, 0): "<u2", (16, 1): "<i2"}
    kind = kinds.get((header.BitsAllocated, header.PixelRepresentation))
    if kind is None or syntax not in LITTLE_ENDIAN or header.BitsStored != header.BitsAllocated:
        array: NDArray[Any] = header.pixel_array
        return array
    count = header.Rows * header.Columns
    return np.frombuffer(header.PixelData, kind, count).reshape(header.Rows, header.Columns)


def _rescaled(
    entry: Entry, stored: NDArray[Any], slope: float, intercept: float
) -> NDArray[np.int16]:
    if slope != 1 or intercept != int(intercept):
        return _storable(entry, np.rint(stored.astype(np.float64) * slope + intercept))
    _check_range(entry, float(stored.min()) + intercept, float(stored.max()) + intercept)
    # the sum fits into 16 bits, so that overflow on the way to it does no harm
    shift = np.array(int(intercept) % 65536, np.uint16).view(np.int16)
    return stored.astype(np.int16) + shift


def _fill_padding(values: NDArray[Any], stored: NDArray[Any], header: Any) -> None:
    """Make air of what the scanner marks as outside its field of view."""
    padding = header.get("PixelPaddingValue")
    if isinstance(padding, bytes):  # of a type that the file leaves open
        padding = int.from_bytes(padding[:2], "little")
    if isinstance(padding, int) and stored.dtype.itemsize == 2:  # signed and unsigned are mixed up
        values[(stored.view(np.uint16) == padding % 65536) & (values < AIR_HU)] = AIR_HU


def _by_simpleitk(entry: Entry) -> NDArray[Any]:
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)  # it would quote headers
    array: NDArray[Any] = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(entry.path)))
    whole: NDArray[Any] = np.rint(array.reshape(array.shape[-2:]))
    return whole


def _storable(entry: Entry, values: NDArray[Any]) -> NDArray[np.int16]:
    _check_range(entry, float(values.min()), float(values.max()))
    return values.astype(np.int16)


def _check_range(entry: Entry, low: float, high: float) -> None:
    if not (low >= -32768 and high <= 32767):
        message = f"{entry.shown} holds {low:.6g} to {high:.6g} after rescaling: no HU"
        raise BadFile("int16", low if -low > high else high, "-32768..32767", message)


def _place(header: Any) -> Place | None:
    """Return where the slice lies, or None where the header does not say it whole."""
    try:
        origin = _decimals(header, "ImagePositionPatient")
        directions = _decimals(header, "ImageOrientationPatient")
        row_mm, column_mm = _decimals(header, "PixelSpacing")
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    numbers = (*origin, *directions, row_mm, column_mm)
    if len(origin) != 3 or len(directions) != 6 or not all(map(math.isfinite, numbers)):
        return None
    x, y, z = origin
    return Place(
        origin_mm=(x, y, z),
        along_row=(directions[0], directions[1], directions[2]),
        along_column=(directions[3], directions[4], directions[5]),
        step_mm=(column_mm, row_mm),
    )


def _decimals(header: Any, name: str) -> tuple[float, ...]:
    """The numbers of an element. As the file holds them they are text; to make objects of the
    library of each takes a fifth of the time of reading a case."""
    value = header.get_item(name).value
    parts = value.decode("ascii").strip(" \0").split("\\") if isinstance(value, bytes) else value
    return tuple(float(part) for part in parts)
