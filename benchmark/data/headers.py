"""What a NIfTI header says twice, or in a way that other programs read otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np

ALIKE = 1e-3  # relative; a header rounds to 32 bits
PAIR = (".hdr", ".img", ".hdr.gz", ".img.gz")


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
