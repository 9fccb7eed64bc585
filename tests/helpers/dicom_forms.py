"""For tests: one DICOM slice in other transfer syntaxes, its header and stored values the same."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

PLAIN = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
}
FORMS = (*PLAIN, "big endian", "RLE", "JPEG2000", "JPEG")  # the last is lossless, too


def edited(content: bytes, change: Callable[[pydicom.Dataset], None]) -> bytes:
    data = pydicom.dcmread(io.BytesIO(content))
    change(data)
    stream = io.BytesIO()
    data.save_as(stream)
    return stream.getvalue()


def stored_as(content: bytes, form: str) -> bytes:
    """The slice (explicit, little-endian) in another form."""

    def change(data: pydicom.Dataset) -> None:
        if form in PLAIN:
            data.file_meta.TransferSyntaxUID = PLAIN[form]
        elif form == "RLE":
            data.compress(RLELossless)
        else:
            syntax, frame = _frame(data.pixel_array, form)
            data.file_meta.TransferSyntaxUID = syntax
            data.PixelData = encapsulate([frame])
            data["PixelData"].VR, data["PixelData"].is_undefined_length = "OB", True

    return _swapped(content) if form == "big endian" else edited(content, change)


def _frame(stored: np.ndarray, form: str) -> tuple[str, bytes]:
    """The bytes that SimpleITK's own writer makes of the pixels."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "slice.dcm"))
        writer = SimpleITK.ImageFileWriter()
        writer.SetFileName(path)
        writer.SetUseCompression(True)
        writer.SetCompressor(form)
        writer.Execute(SimpleITK.GetImageFromArray(stored[None]))
        data = pydicom.dcmread(path)
        frame = next(generate_frames(data.PixelData, number_of_frames=1))
        return str(data.file_meta.TransferSyntaxUID), frame


def _swapped(content: bytes) -> bytes:
    read = pydicom.dcmread(io.BytesIO(content))
    data = pydicom.Dataset()
    for element in read:  # pydicom writes the other order of bytes only for a new one
        data.add(element)
    data.PixelData = read.pixel_array.byteswap().tobytes()
    data.file_meta = read.file_meta
    data.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    stream = io.BytesIO()
    data.save_as(stream, implicit_vr=False, little_endian=False, enforce_file_format=True)
    return stream.getvalue()
