"""The pixels of a DICOM slice: as stored, whatever the transfer syntax, then HU by one path.

pydicom reads what is plain, deflated or in an archive, SimpleITK what is compressed on disk. It
applies the rescale by itself, which is undone, so that rescale and padding are the same for all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.badfile import BadFile
from benchmark.data.readers.files import FoundFile

AIR_HU, MAX_HU = -1024, 3071  # what a scanner can store in 12 bits
LITTLE_ENDIAN = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"}
DEFLATED, BIG_ENDIAN = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
NATIVE = {*LITTLE_ENDIAN, BIG_ENDIAN, DEFLATED}


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """HU as int16, or a mask's stored values, with slope and intercept.

    `mended`: the first reader made other values of the same bytes, for it filled the padding of
    plain slices only.
    """

    values: NDArray[Any]
    rescale: tuple[float, float] = (1.0, 0.0)
    mended: bool = False


def read_pixels(entry: FoundFile, header: Any, *, rescale: bool) -> Pixels:
    """Return the pixels of a slice; raises BadFile naming the file and how it is compressed."""
    syntax = str(header.file_meta.get("TransferSyntaxUID", ""))
    try:
        slope = 1.0 if header.get("RescaleSlope") is None else float(header.RescaleSlope)
        intercept = float(header.get("RescaleIntercept") or 0)
        if rescale and not (math.isfinite(slope) and slope):
            message = f"{entry.shown} has the rescale slope {slope:g}: its HU are lost"
            raise BadFile("rescale", f"{slope:g}", "not 0", message)
        stored = _stored(entry, header, syntax, slope, intercept)
        if not rescale:
            return Pixels(values=stored)
        outside, mended = _outside(entry, header, syntax, stored, slope, intercept)
        values = _hu(entry, stored, slope, intercept, outside)
        return Pixels(values=values, rescale=(slope, intercept), mended=mended)
    except BadFile:
        raise
    except Exception as error:  # its text may quote the header
        kind = type(error).__name__
        how = "" if syntax in NATIVE else f", {_name(syntax)}"
        hint = "; if it is compressed, unpack its archive" if entry.inner else ""
        message = f"the pixels of {entry.shown} cannot be read ({kind}{how}){hint}"
        raise BadFile("pixels", kind, "readable", message) from None


def _name(syntax: str) -> str:
    """A transfer syntax by its name in the standard; what stands there else is not repeated."""
    from pydicom.uid import UID

    name = UID(syntax).name
    return name if name != syntax else "an unknown transfer syntax"


def _stored(
    entry: FoundFile, header: Any, syntax: str, slope: float, intercept: float
) -> NDArray[Any]:
    """The pixels as they are stored. Plain ones are seen as an array at once: `pixel_array` looks
    at every header element again, which takes longer than reading the file."""
    if syntax and syntax not in NATIVE and not entry.inner:
        return _by_simpleitk(entry, header, slope, intercept)
    kinds = {(8, 0): "u1", (8, 1): "i1", (16, 0): "<u2", (16, 1): "<i2"}
    kind = kinds.get((header.BitsAllocated, header.PixelRepresentation))
    if kind is None or syntax not in LITTLE_ENDIAN or header.BitsStored != header.BitsAllocated:
        array: NDArray[Any] = header.pixel_array
        return array
    count = header.Rows * header.Columns
    return np.frombuffer(header.PixelData, kind, count).reshape(header.Rows, header.Columns)


def _by_simpleitk(
    entry: FoundFile, header: Any, slope: float, intercept: float
) -> NDArray[np.int64]:
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)  # it would quote headers
    array: NDArray[Any] = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(entry.path)))
    raw = (array.reshape(header.Rows, header.Columns).astype(np.float64) - intercept) / slope
    stored: NDArray[np.int64] = np.rint(raw).astype(np.int64)
    lowest, highest = _range(header)
    if stored.min() < lowest or stored.max() > highest or np.abs(raw - stored).max() > 1e-3:
        message = f"the pixels of {entry.shown} are not those of its rescale: convert it"
        raise BadFile("pixels", "rescale", "stored values", message)
    return stored


def _range(header: Any) -> tuple[int, int]:
    """The lowest and the highest value that a pixel of this slice can store."""
    count = 1 << int(header.BitsAllocated)
    return (-count // 2, count // 2 - 1) if int(header.PixelRepresentation) else (0, count - 1)


def _hu(
    entry: FoundFile,
    stored: NDArray[Any],
    slope: float,
    intercept: float,
    outside: NDArray[np.bool_] | None,
) -> NDArray[np.int16]:
    if outside is None:
        return _rescaled(entry, stored, slope, intercept)
    if outside.all():
        return np.full(stored.shape, AIR_HU, np.int16)
    some = stored[~outside][0]  # padding may be a number that is none in HU
    values = _rescaled(entry, np.where(outside, some, stored), slope, intercept)
    values[outside] = AIR_HU
    return values


def _rescaled(
    entry: FoundFile, stored: NDArray[Any], slope: float, intercept: float
) -> NDArray[np.int16]:
    if slope != 1 or intercept != int(intercept):
        values = np.rint(stored.astype(np.float64) * slope + intercept)
        _check_range(entry, float(values.min()), float(values.max()))
        return values.astype(np.int16)
    _check_range(entry, float(stored.min()) + intercept, float(stored.max()) + intercept)
    # the sum fits into 16 bits, so that overflow on the way to it does no harm
    shift = np.array(int(intercept) % 65536, np.uint16).view(np.int16)
    return stored.astype(np.int16) + shift


def _check_range(entry: FoundFile, low: float, high: float) -> None:
    if not (low >= -32768 and high <= 32767):
        message = f"{entry.shown} holds {low:.6g} to {high:.6g} after rescaling: no HU"
        raise BadFile("int16", low if -low > high else high, "-32768..32767", message)


def _outside(
    entry: FoundFile, header: Any, syntax: str, stored: NDArray[Any], slope: float, intercept: float
) -> tuple[NDArray[np.bool_] | None, bool]:
    """What the scanner marks as outside its field of view, and whether that was seen always.

    Only values that are no tissue count: headers name water (0 HU), too.
    """
    padding = _integer(header, "PixelPaddingValue")
    if padding is None:
        return None, False
    limit = _integer(header, "PixelPaddingRangeLimit")
    low, high = sorted(
        _as_stored(header, v) for v in (padding, padding if limit is None else limit)
    )
    if low == high and AIR_HU <= np.rint(low * slope + intercept) <= MAX_HU:
        return None, False
    outside = (stored >= low) & (stored <= high)
    if not outside.any():
        return None, False
    hu = np.rint(stored.astype(np.float64) * slope + intercept)
    outside &= (hu < AIR_HU) | (hu > MAX_HU)
    if not outside.any():
        return None, False
    before = _first_seen(entry, syntax, stored, padding) & (hu < AIR_HU)
    return outside, not np.array_equal(outside, before)


def _first_seen(
    entry: FoundFile, syntax: str, stored: NDArray[Any], padding: int
) -> NDArray[np.bool_]:
    """What the first reader took for padding; it compared a big-endian slice byte by byte."""
    by_simpleitk = syntax not in {*LITTLE_ENDIAN, BIG_ENDIAN} and not entry.inner
    if by_simpleitk or stored.dtype.itemsize != 2:
        return np.zeros(stored.shape, bool)
    seen: NDArray[np.bool_] = stored.view(np.uint16) == padding % 65536
    return seen


def _integer(header: Any, name: str) -> int | None:
    value = header.get(name)
    if isinstance(value, bytes):  # of a type that the file leaves open
        value = int.from_bytes(value[:2], "little" if header.original_encoding[1] else "big")
    return value if isinstance(value, int) else None


def _as_stored(header: Any, value: int) -> int:
    """A number as the pixels hold it: signed and unsigned are mixed up in headers."""
    lowest, highest = _range(header)
    return (value - lowest) % (highest - lowest + 1) + lowest
