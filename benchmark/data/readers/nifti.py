"""NIfTI files: unpacked within bounds that header and size set, and what a header says twice, or so
that other programs read it otherwise.
"""

from __future__ import annotations

import gzip
import math
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.badfile import MAX_BYTES, BadFile, guarded, read_regular
from benchmark.data.readers.placed import Placed, check_axes, in_millimetres
from benchmark.data.volume import corner_displacement_voxels

ALIKE = 1e-3  # relative; a header rounds to 32 bits
PAIR = (".hdr", ".img", ".hdr.gz", ".img.gz")
# Label maps shrink a hundred- to eight-hundredfold by honest means; see `archives.py`.
MAX_RATIO, RATIO_FROM = 500, 1024**3
MAX_BEHIND = 16 * 1024**2
MAX_QUATERNION = 1e-5  # how much the square of its length may exceed 1


@dataclass(frozen=True, kw_only=True)
class Nifti(Placed):
    """A NIfTI file; `header` is nibabel's, as on disk but for a qform that says no place."""

    header: Any


def read_nifti(path: Path) -> Nifti:
    """Returns a 3-D NIfTI-1 or -2 file (`.nii`, `.nii.gz`), intensities scaled by its header.

    The whole file is read, so that a truncated file or a wrong checksum is found even where the
    header is whole; shape x type is held against 4 GiB before anything is allocated. The sform
    goes before the qform, as in nibabel. Raises BadFile naming the file and the figure.
    """
    return nifti_of(path.name, read_regular(path))


def nifti_of(name: str, packed: bytes) -> Nifti:
    """Returns the same from a file's bytes; `name` is for messages."""
    with guarded(name):
        content, kind, header = unpack(name, packed)
        image = kind.from_bytes(content)
        array = np.asanyarray(image.dataobj)
        array = array.reshape(array.shape[:3])  # the others are 1, see `unpack`
        said = (*check_axes(name, image.affine), *_check_forms(name, image, array.shape, header))
        affine, more = in_millimetres(name, image.affine, _unit(header))
        said += (*more, *spacing_warning(name, image))
        return Nifti(
            array=array,
            affine=affine,
            header=header,
            sha256=sha256(packed).hexdigest(),
            warnings=said,
            scaling=scaling(image),
            no_place=not header["qform_code"] and not header["sform_code"],
        )


def _unit(header: Any) -> str:
    """The unit of length that a header names; "" for none, and for what no standard knows."""
    return {1: "metres", 2: "millimetres", 3: "micrometres"}.get(int(header["xyzt_units"]) & 7, "")


def _check_forms(name: str, image: Any, shape: tuple[int, ...], header: Any) -> tuple[str, ...]:
    """Returns warnings where sform and qform disagree, or say nothing.

    A qform beside a sform that no place can be made of is struck out of `header`.
    """
    sform, sform_code = image.get_sform(coded=True)
    try:
        qform, qform_code = image.get_qform(coded=True)
        apart = sform_code and qform_code
        moved = corner_displacement_voxels(sform, qform, shape) if apart else 0.0
    except Exception as error:  # of any kind: see `guarded`
        if not sform_code:
            raise
        header["qform_code"] = 0
        reason = " ".join(str(error).split())
        return (f"{name}: its qform is broken ({reason}); sform is used",)
    if not sform_code and not qform_code:
        return (f"{name}: no orientation in its header; left and right are a guess",)
    if moved > 1e-3:
        return (f"{name}: sform and qform lie {moved:.3g} voxels apart; sform is used",)
    return ()


def spacing_warning(name: str, image: Any) -> tuple[str, ...]:
    """Return a warning where a sform stands alone and its lengths are not those of pixdim.

    Beside a qform, whose lengths are pixdim, the two forms are compared whole.
    """
    header = image.header
    if not int(header["sform_code"]) or int(header["qform_code"]):
        return ()
    said = np.abs(np.asarray(header["pixdim"][1:4], dtype=np.float64))
    ours = np.linalg.norm(image.affine[:3, :3], axis=0)
    if np.all(np.abs(said - ours) <= ALIKE * ours):
        return ()
    shown, used = (" x ".join(f"{mm:.4g}" for mm in sizes) for sizes in (said, ours))
    what = f"voxels of {shown} mm in its pixdim and of {used} mm in its sform"
    return (f"{name}: {what}; sform is used, ITK and MONAI may read the other",)


def scaling(image: Any) -> str:
    """Return the header's scaling in words, "" where it changes nothing."""
    slope, inter = float(image.dataobj.slope), float(image.dataobj.inter)
    return "" if (slope, inter) == (1, 0) else f"scl_slope = {slope:.6g}, scl_inter = {inter:.6g}"


def is_half_of_a_pair(name: str, head: bytes) -> bool:
    """Return whether a file is the header or the data of a `.hdr/.img` pair."""
    marks = (head[344:348], head[4:8])
    return name.lower().endswith(PAIR) or marks[0] == b"ni1\0" or marks[1] == b"ni2\0"


@cache
def _kind(second: bool, long: bool) -> Any:
    """Returns nibabel's class of NIfTI-1 or -2; `long` lets a quaternion be longer than 1.

    Where a scan is turned by 180 degrees, rounding makes it so; it still says its direction.
    """
    import nibabel as nib  # slow to import

    kind: Any = nib.Nifti2Image if second else nib.Nifti1Image
    if not long:
        return kind
    loose = type("Header", (kind.header_class,), {"quaternion_threshold": -MAX_QUATERNION})
    return type("Image", (kind,), {"header_class": loose})


def unpack(name: str, packed: bytes) -> tuple[bytes, Any, Any]:
    """Returns the bytes that the header asks for, nibabel's class for them, and the header.

    Raises BadFile for a shape, a type or a size that no CT has, before anything is allocated,
    and what gzip and nibabel raise for a damaged file.
    """
    zipped = packed[:2] == b"\x1f\x8b"
    stream = gzip.GzipFile(fileobj=BytesIO(packed)) if zipped else BytesIO(packed)
    head = stream.read(540)
    if is_half_of_a_pair(name, head):
        message = f"{name} belongs to a .hdr/.img pair, which is not read: convert it to .nii.gz"
        raise BadFile("format", "pair", "one file", message)
    second = head[:4] in (b"\x1c\x02\x00\x00", b"\x00\x00\x02\x1c")  # 540 in either order
    kind = _kind(second, False)
    header = kind.header_class(head[: kind.header_class.sizeof_hdr], check=False)
    shape, dtype = header.get_data_shape(), header.get_data_dtype()
    shown = "x".join(str(size) for size in shape)
    if len(shape) < 3 or max((1, *shape[3:])) > 1 or min(shape) < 1:
        raise BadFile("dimensions", shown, "3 axes", f"{name} has shape {shown}; a CT has 3 axes")
    if dtype.kind not in "iuf":
        raise BadFile("type", str(dtype), "numbers", f"{name} holds {dtype}, not plain numbers")
    offset = float(header["vox_offset"])
    if not 0 <= offset <= MAX_BYTES:
        raise ValueError(f"its data start at byte {offset:g}")
    size = math.prod(shape) * dtype.itemsize
    _check_size(f"{name}: its header asks for", shown, header, int(offset) + size, len(packed))
    content = head + stream.read(max(int(offset) + size - len(head), 0))
    _to_the_end(name, stream)
    long = 0 < sum(float(header[f"quatern_{n}"]) ** 2 for n in "bcd") - 1 <= MAX_QUATERNION
    return content, _kind(second, long), header


def _check_size(asks: str, shown: str, header: Any, size: int, packed: int) -> None:
    """Refuse what would fill the memory; raises BadFile.

    Values with a slope are made numbers of 8 bytes, whatever they are on disk.
    """
    scaled = header.get_slope_inter() not in ((None, None), (1.0, 0.0))
    if scaled:
        size = size // header.get_data_dtype().itemsize * 8
    text = f"{asks} {size / 1024**3:.1f} GiB ({shown}{', scaled' * scaled})"
    if size > MAX_BYTES:
        raise BadFile("size", size, "<= 4 GiB", f"{text}, at most 4")
    if size > RATIO_FROM and size > MAX_RATIO * packed:
        factor = size / packed
        message = f"{text}, {factor:.0f} times the file: save it as whole numbers without a slope"
        raise BadFile("ratio", round(factor), f"<= {MAX_RATIO}", message)


def _to_the_end(name: str, stream: Any) -> None:
    """Read what lies behind the volume: only at the end gzip compares its checksum."""
    behind = 0
    while more := len(stream.read(1 << 20)):
        behind += more
        if behind > MAX_BEHIND:
            message = f"{name} goes on for more than 16 MiB behind its volume: it is damaged"
            raise BadFile("size", behind, "<= 16 MiB", message)
