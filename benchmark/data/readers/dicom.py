"""DICOM slices: what is one among the files of a case, its place, and its pixels (`pixels.py`).

Nothing of a header but geometry and rescale leaves this file: no message quotes a value of text,
and what the libraries have to say about odd headers, which may quote a name, is kept quiet.
"""

from __future__ import annotations

import math
import re
import warnings
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from io import BytesIO
from typing import Any

from benchmark.data.badfile import BadFile
from benchmark.data.readers.files import FoundFile
from benchmark.data.readers.modality import other_modality, refusal_of
from benchmark.data.readers.pixels import DEFLATED, Pixels, read_pixels
from benchmark.errors import BadInput, lacking
from benchmark.plan.wording import counted

META = b"\x02\x00\x00\x00"  # the length of the group that names the transfer syntax
MAX_SLICE_BYTES = 256 * 1024**2
CT = "1.2.840.10008.5.1.4.1.1.2"  # the SOP class "CT Image Storage"
IMAGE = ("Rows", "Columns", "BitsAllocated", "PixelData")  # what a file without mark must have
LEFT_OUT = {
    "nothing": "file without a slice left out (scout views, reports)",
    "picture": "file of colours or several frames left out (dose pages, segmentations)",
    "other": "slice of another kind than CT left out (screenshots, other modalities)",
    "foreign": "file left out, not DICOM",
}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a slice lies, in DICOM's LPS millimetres: origin, directions of rows and columns."""

    origin_mm: tuple[float, float, float]
    along_row: tuple[float, float, float]  # where the column index grows to
    along_column: tuple[float, float, float]
    step_mm: tuple[float, float]  # between columns, between rows


@dataclass(frozen=True, kw_only=True)
class Slice(Pixels):
    """One slice, its `values` (rows, columns); None for no place."""

    name: str
    series: str  # a hash: two slices of one series have one
    place: Place | None


@dataclass(frozen=True, kw_only=True)
class Slices:
    """Slices in the order of their files, the hashes of all files in that order, and warnings."""

    slices: list[Slice]
    sha256: tuple[str, ...]
    warnings: list[str]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Found:
    """What a file is: a slice, or of a kind in LEFT_OUT; `error` if nothing else is there."""

    name: str
    kind: str = ""
    series: str = ""
    is_ct: bool = False
    modality: str = ""  # another than CT, by the header's own word
    slice: Slice | None = None
    error: BadFile | None = None


def read_slices(entries: Iterable[FoundFile], *, rescale: bool = True) -> Slices:
    """Return the slices of files in the order given; what is none is left out, and said.

    `rescale=False` leaves stored values as they are, for masks whose header was copied from an
    image. Raises BadFile naming the file for a damaged slice, and where there is none.
    """
    found, hashes = [], []
    for entry in entries:
        _check_size(entry, entry.size)
        content = entry.read()
        hashes.append(sha256(content).hexdigest())
        found.append(_found(entry, content, rescale))
    kept = _kept(found, rescale)
    chosen = set(kept)
    left = [one.kind or "other" for one in found if one not in chosen]
    told = {kind: text.split(" ", 1) for kind, text in LEFT_OUT.items() if kind in left}
    said = [f"{counted(left.count(kind), what)} {rest}" for kind, (what, rest) in told.items()]
    slices = [one.slice for one in kept if one.slice is not None]
    return Slices(slices=slices, sha256=tuple(hashes), warnings=said)


def mended(slices: Iterable[Slice]) -> str:
    """Return the version of the reader for a case's identity (`Volume.read_by`)."""
    return "dicom-2" if any(one.mended for one in slices) else ""


def _kept(found: Sequence[_Found], rescale: bool) -> list[_Found]:
    """The slices to use. A picture in their series, or a file called like one of them, is none
    that could be left out: raises BadFile for it, as where there is no slice at all."""
    slices = [one for one in found if one.slice is not None]
    of_ct = {one.series for one in slices if one.is_ct}
    if rescale and of_ct:
        slices = [one for one in slices if one.series in of_ct]
    elif rescale and (others := [one for one in slices if one.modality]):
        raise refusal_of(others[0].name, others[0].modality)
    series, names = {one.series for one in slices}, {_like(one.name) for one in slices}
    for one in found:
        if one.error is None:
            continue
        alike = _like(one.name) in names
        in_series = one.kind == "picture" and (one.series in series or not rescale)
        if not slices or in_series or (alike and one.kind != "picture"):
            raise one.error
    return slices


def _like(name: str) -> str:
    """A file's name without its numbers."""
    return re.sub(r"\d+", "#", name.rsplit("/", 1)[-1])


def _found(entry: FoundFile, content: bytes, rescale: bool) -> _Found:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header = _header(entry, content)
        if header is None:
            message = f"{entry.shown} is not a DICOM file"
            error = BadFile("dicom", "other", "DICOM", message)
            return _Found(name=entry.shown, kind="foreign", error=error)
        try:
            return _image(entry, header, rescale)
        except BadFile:
            raise
        except Exception as error:  # its text may quote the header
            kind = type(error).__name__
            message = f"the header of {entry.shown} cannot be read ({kind})"
            raise BadFile("dicom", kind, "readable", message) from None


def _image(entry: FoundFile, header: Any, rescale: bool) -> _Found:
    if "PixelData" not in header:
        return _Found(name=entry.shown, kind="nothing", error=_cut(entry, header))
    if rescale and "LOCALIZER" in (header.get("ImageType") or ()):
        return _Found(name=entry.shown, kind="nothing")
    series = str(header.get("SeriesInstanceUID", ""))
    if int(header.get("SamplesPerPixel", 1)) != 1 or int(header.get("NumberOfFrames") or 1) > 1:
        message = f"{entry.shown} holds colours or several frames; one grey slice a file"
        error = BadFile("slice", "colour", "one grey slice", message)
        if other := _modality(header):
            error = refusal_of(entry.shown, other)
        return _Found(name=entry.shown, kind="picture", series=series, error=error)
    _check_size(entry, int(header.Rows) * int(header.Columns) * int(header.BitsAllocated) // 8)
    pixels = read_pixels(entry, header, rescale=rescale)
    hashed = sha256((series if rescale else "").encode()).hexdigest()
    found = Slice(**vars(pixels), name=entry.shown, series=hashed, place=_place(header))
    is_ct = str(header.get("SOPClassUID", "")) == CT
    other = "" if is_ct else _modality(header)
    return _Found(name=entry.shown, series=series, is_ct=is_ct, modality=other, slice=found)


def _modality(header: Any) -> str:
    """Another modality than CT that a header names, by its own word or by the kind of object."""
    kind = quiet_pydicom().uid.UID(str(header.get("SOPClassUID", ""))).name
    return other_modality(str(header.get("Modality", ""))) or other_modality(kind)


def _cut(entry: FoundFile, header: Any) -> BadFile | None:
    """What is wrong with a slice that ends before its pixels; None for a report."""
    kind = header.file_meta.get("MediaStorageSOPClassUID") or header.get("SOPClassUID")
    if "Rows" not in header and kind not in (None, CT):
        return None
    message = f"{entry.shown} ends before its pixels: it was cut off"
    return BadFile("pixels", "missing", "readable", message)


@cache
def quiet_pydicom() -> Any:
    """Return the library, told to judge no header; it is slow to import. Raises `BadInput` where
    it is not installed."""
    try:
        import pydicom
    except ModuleNotFoundError as error:
        raise BadInput(lacking(error) or error) from None
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    pydicom.config.logger.disabled = True
    return pydicom


def _header(entry: FoundFile, content: bytes) -> Any:
    """What pydicom makes of a file, None for one that is no DICOM. Raises BadFile for damage.

    A slice may lack the preamble with the mark; then it must have all that makes an image.
    """
    marked = content[128:132] == b"DICM"
    _check_deflated(entry, content[132:] if marked else content)
    library = quiet_pydicom()
    try:
        header = library.dcmread(BytesIO(content), force=True)
        whole = marked or all(name in header for name in IMAGE)
    except Exception as error:  # whatever a broken file makes of the library
        whole, kind = False, type(error).__name__
    if whole:
        return _with_syntax(header)
    if marked or _damaged(entry, content):
        kind = kind if marked else "no mark"
        raise BadFile("dicom", kind, "DICOM", f"{entry.shown} is not a DICOM file")
    return None


def _check_size(entry: FoundFile, size: int) -> None:
    if size > MAX_SLICE_BYTES:
        raise BadFile("size", size, "<= 256 MiB", f"{entry.shown} is not a single slice")


def _check_deflated(entry: FoundFile, content: bytes) -> None:
    """Count what a deflated slice unpacks to, which the library would do without a bound."""
    length = 12 + int.from_bytes(content[8:12], "little") if content[:4] == META else 1024
    if DEFLATED.encode() not in content[:length]:
        return
    left = content[length:] if content[:4] == META else b""
    stream, count = zlib.decompressobj(-zlib.MAX_WBITS), 0
    try:
        if not left:
            raise zlib.error
        while left:
            count += len(stream.decompress(left, 1 << 20))
            left = stream.unconsumed_tail
            _check_size(entry, count)
    except zlib.error:
        raise BadFile("dicom", "error", "DICOM", f"{entry.shown} is not a DICOM file") from None


def _damaged(entry: FoundFile, content: bytes) -> bool:
    """Whether a file that is no DICOM was one: it is called so, or holds nothing."""
    return entry.name.lower().endswith((".dcm", ".ima")) or not content.strip(b"\0")


def _with_syntax(header: Any) -> Any:
    """The header with the transfer syntax as found where the file does not name one."""
    if not header.file_meta.get("TransferSyntaxUID"):
        uid = quiet_pydicom().uid
        implicit, little = header.original_encoding
        explicit = uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian
        header.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian if implicit else explicit
    return header


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
