"""MetaImage (`.mha`, `.mhd` with its data file) and NRRD (`.nrrd`, `.nhdr`), read by SimpleITK.

What SimpleITK passes over is read from the header, which is text in both: the unit of length, the
modality, whether a place in the patient is named, and where the voxels lie.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.badfile import MAX_BYTES, BadFile, guarded, read_regular
from benchmark.data.readers.modality import refuse_modality
from benchmark.data.readers.placed import Placed, check_axes, in_millimetres
from benchmark.data.volume import Affine

ENDINGS = (".mha", ".mhd", ".nrrd", ".nhdr")
MAX_HEAD = 1 << 20
MAX_RATIO, RATIO_FROM = 500, 1024**3  # as for NIfTI
SIZES = {  # bytes of a number, by what MetaImage and NRRD call it
    8: r"(u?long_long|double|u?int64(_t)?|(unsigned |signed )?long long( int)?|u?longlong)",
    4: r"(u?int|float|u?long|u?int32(_t)?|(unsigned |signed )?int)",
    2: r"(u?short|u?int16(_t)?|(unsigned |signed )?short( int)?)",
}
UNITS = {"m": "metres", "um": "micrometres", "\N{MICRO SIGN}m": "micrometres"}
Head = Mapping[str, str]  # lower-case names


def read_itk(path: Path) -> Placed:
    """Returns a 3-D file with one number a voxel, its axes turned to RAS+ mm.

    Raises BadFile naming the file for what is no such picture or no CT by its own word, asks for
    more than 4 GiB, ends too early, or keeps its voxels in a file that is not beside it.
    """
    name = path.name
    with guarded(name):
        content = read_regular(path)
        head, start = _head(name, content)
        refuse_modality(name, head.get("modality", "").removeprefix("MET_MOD_"))
        data = _data_file(name, head)
        voxels = content[start:] if data is None else read_regular(path.with_name(data))
        _check_size(name, head, len(voxels))
        array, affine = _by_simpleitk(name, path)
        said = check_axes(name, affine)
        affine, more = in_millimetres(name, affine, _unit(head))
        no_place = not _has_place(head)
        if no_place:
            more = (*more, f"{name}: no orientation in its header; left and right are a guess")
        both = (content, *([voxels] if data else []))
        return Placed(
            array=array,
            affine=affine,
            sha256="+".join(sha256(part).hexdigest() for part in both),
            warnings=(*said, *more),
            no_place=no_place,
        )


def digest(path: Path) -> str:
    """Return the hash of the bytes of a file and of its data file, as `read_itk` gives it."""
    content = read_regular(path)
    data = _data_file(path.name, _head(path.name, content)[0])
    both = (content, *([read_regular(path.with_name(data))] if data else []))
    return "+".join(sha256(part).hexdigest() for part in both)


def _head(name: str, content: bytes) -> tuple[Head, int]:
    """The fields of a header, and the byte behind it; raises BadFile where it does not end."""
    nrrd = content[:4] == b"NRRD"
    part = content[:MAX_HEAD]
    end = re.search(rb"\r?\n\r?\n|\Z" if nrrd else rb"ElementDataFile[^\n]*(\n|\Z)", part)
    if end is None or (not nrrd and b"DimSize" not in part[: end.end()]):
        raise BadFile(
            "format", "other", "MetaImage or NRRD", f"{name} is neither a MetaImage nor an NRRD"
        )
    lines = part[: end.end()].decode("utf-8", "replace").splitlines()
    pairs = (re.split(r":=?" if nrrd else "=", line, maxsplit=1) for line in lines)
    fields = {pair[0].strip().lower(): pair[1].strip() for pair in pairs if len(pair) == 2}
    return fields, end.end()


def _data_file(name: str, head: Head) -> str | None:
    """The name of the file beside it that holds the voxels; None where it does itself."""
    told = head.get("elementdatafile") or head.get("data file") or head.get("datafile") or "LOCAL"
    if told == "LOCAL":
        return None
    if told.split()[0] == "LIST" or re.search(r"[/\\%]|\s\d", told) or told.startswith("."):
        message = f"{name} keeps its voxels in several files or another folder: save it as one file"
        raise BadFile("data_file", "elsewhere", "one file beside it", message)
    return told


def _check_size(name: str, head: Head, packed: int) -> None:
    sizes = [int(n) for n in (head.get("dimsize") or head.get("sizes") or "0").split()]
    shown, many = "x".join(str(n) for n in sizes), head.get("elementnumberofchannels", "1")
    if len(sizes) != 3 or min(sizes) < 1 or many != "1":
        of = "" if many == "1" else f" of {many} numbers each"
        message = f"{name} has shape {shown}{of}; a CT has 3 axes and one number a voxel"
        raise BadFile("dimensions", shown, "3 axes", message)
    kind = (head.get("elementtype") or head.get("type") or "").removeprefix("MET_").lower()
    each = next((count for count, names in SIZES.items() if re.fullmatch(names, kind)), 1)
    size = math.prod(sizes) * each
    text = f"{name}: its header asks for {size / 1024**3:.1f} GiB ({shown})"
    if size > MAX_BYTES:
        raise BadFile("size", size, "<= 4 GiB", f"{text}, at most 4")
    if size > RATIO_FROM and size > MAX_RATIO * packed:
        message = f"{text}, {size / max(packed, 1):.0f} times the file"
        raise BadFile("ratio", round(size / max(packed, 1)), f"<= {MAX_RATIO}", message)
    compressed = head.get("compresseddata", "").lower() == "true"
    if compressed:
        size = int(head.get("compresseddatasize") or 0)
    packs = head.get("encoding", "raw") != "raw"
    if not packs and packed < size:
        message = f"{name} ends {size - packed} bytes before its last voxel: it was cut off"
        raise BadFile("size", packed, f">= {size}", message)


def _by_simpleitk(name: str, path: Path) -> tuple[NDArray[Any], Affine]:
    """The array (i, j, k) and its affine to RAS+."""
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        image = SimpleITK.ReadImage(str(path))
    except RuntimeError:  # its text names the whole path, and may quote the header
        message = f"{name} cannot be read by SimpleITK: it is damaged, or of another kind"
        raise BadFile("readable", "error", "whole", message) from None
    array = SimpleITK.GetArrayFromImage(image).T
    if (
        array.ndim != 3
        or image.GetNumberOfComponentsPerPixel() != 1
        or array.dtype.kind not in "iuf"
    ):
        message = f"{name} holds no plain numbers on 3 axes"
        raise BadFile("type", str(array.dtype), "numbers", message)
    affine = np.eye(4)
    directions = np.array(image.GetDirection()).reshape(3, 3)
    affine[:3, :3] = directions * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    result: Affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    return array, result


def _unit(head: Head) -> str:
    told = head.get("distanceunits") or head.get("space units") or ""
    return UNITS.get(told.split()[0].strip('"').lower(), "") if told else ""


def _has_place(head: Head) -> bool:
    """Whether the axes are those of a patient by the header's own word."""
    meta = ("transformmatrix", "orientation", "rotation")
    return any(name in head for name in meta) or (
        "space directions" in head and "patient" not in head and _is_of_a_patient(head)
    )


def _is_of_a_patient(head: Head) -> bool:
    space = head.get("space", "").lower().replace("_", "-")
    return bool(
        re.match(r"(left|right)-(anterior|posterior)-(superior|inferior)$|(l|r)(a|p)(s|i)$", space)
    )
