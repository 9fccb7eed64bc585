"""An array as it lies on disk with its place in the patient: what every picture file is read as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmark.data.badfile import BadFile
from benchmark.data.judging.checks import SPACING_MM
from benchmark.data.volume import MAX_SHEAR, SILENT_SHEAR, Affine, shear, turned_like


@dataclass(frozen=True, kw_only=True)
class Placed:
    """An array as it lies on disk, its affine to RAS+ mm, and the hash of the file's bytes.

    `scaling` says how a header scales what is stored, "" where it does not; `read_by` is that of
    `Volume`; `no_place` says that the header names no place in the patient.
    """

    array: NDArray[Any]
    affine: Affine
    sha256: str
    warnings: tuple[str, ...]
    scaling: str = ""
    read_by: str = ""
    no_place: bool = False

    @property
    def grid(self) -> tuple[tuple[int, ...], Affine]:
        """Shape and affine."""
        return self.array.shape, self.affine


AnyPlaced = TypeVar("AnyPlaced", bound=Placed)


def laid_like(label: AnyPlaced, image: Placed) -> AnyPlaced:
    """Returns the label with its axes in the order and the directions of the image's axes, each
    of which still says where it lies (`turned_like`)."""
    array, affine = turned_like(label.array, label.affine, image.affine)
    return replace(label, array=array, affine=affine)


def check_axes(name: str, affine: Affine) -> tuple[str, ...]:
    """Returns warnings about the axes; raises BadFile for axes that cannot be used."""
    try:
        skewed = shear(affine)
    except ValueError as error:
        raise BadFile("orientation", "broken", "invertible", f"{name}: {error}") from None
    if skewed > MAX_SHEAR:
        message = f"{name}: its axes are not at right angles (cosine {skewed:.3g}); resample it"
        raise BadFile("shear", skewed, f"<= {MAX_SHEAR:g}", message)
    if skewed > SILENT_SHEAR:
        return (f"{name}: its axes are off the right angle, cosine {skewed:.2g}",)
    return ()


UNITS = {"metres": 1e3, "micrometres": 1e-3}


def in_millimetres(name: str, affine: Affine, unit: str) -> tuple[Affine, tuple[str, ...]]:
    """Returns an affine in mm and what there is to say, where a header names another unit.

    ITK converts and nibabel does not. The header is believed where the voxels are a CT's then,
    and were none before; else they are taken as millimetres, as they were written by mistake.
    """
    if unit not in UNITS:
        return affine, ()
    scaled = np.diag([*[UNITS[unit]] * 3, 1]) @ affine
    shown, after = (
        " x ".join(f"{mm:.4g}" for mm in np.linalg.norm(each[:3, :3], axis=0))
        for each in (affine, scaled)
    )
    if _of_a_ct(scaled) and not _of_a_ct(affine):
        what = f"its header says {unit}: voxels of {after} mm; nibabel alone reads {shown} mm"
        return scaled, (f"{name}: {what}",)
    what = f"its header says {unit}, which would make voxels of {after} mm"
    return affine, (f"{name}: {what}; {shown} mm is used, ITK reads the other",)


def _of_a_ct(affine: Affine) -> bool:
    low, high = SPACING_MM
    sizes: Sequence[float] = np.linalg.norm(affine[:3, :3], axis=0).tolist()
    return all(low <= mm <= high for mm in sizes)
