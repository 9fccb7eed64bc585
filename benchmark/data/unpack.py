"""The bytes of a NIfTI file, unpacked within bounds that its header and its size set."""

from __future__ import annotations

import gzip
import math
from functools import cache
from io import BytesIO
from typing import Any

from benchmark.data.badfile import BadFile
from benchmark.data.headers import is_half_of_a_pair
from benchmark.data.regular import MAX_BYTES

# Label maps shrink a hundred- to eight-hundredfold by honest means; see `archives.py`.
MAX_RATIO, RATIO_FROM = 500, 1024**3
MAX_BEHIND = 16 * 1024**2
MAX_QUATERNION = 1e-5  # how much the square of its length may exceed 1


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
