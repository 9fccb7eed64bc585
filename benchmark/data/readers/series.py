"""From slices to a volume: sorted by where they lie, never by their names or numbers.

The order comes from each slice's position along the normal of the slices. Everything that would
make a wrong volume silently is refused with the measured figure: gaps, duplicates, a tilted
gantry, slices of different sizes, spacings or directions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.badfile import BadFile
from benchmark.data.readers.dicom import Place, Slice
from benchmark.data.volume import MAX_SHEAR, SILENT_SHEAR, Affine, shear
from benchmark.plan.wording import counted

STEP_SHARE, STEP_MM = 0.01, 0.06  # positions are written with one decimal, too
SAME_MM = 1e-3
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, kw_only=True)
class Series:
    """A volume as DICOM orders it: `slices` along their normal, each (rows, columns).

    `affine` maps (i, j, k) to RAS+ mm. `order[k]` is the index, among the slices given, of the
    k-th. `shape` is (slices, rows, columns).
    """

    slices: tuple[NDArray[Any], ...]
    affine: Affine
    order: tuple[int, ...]
    warnings: tuple[str, ...]

    @property
    def values_kji(self) -> NDArray[Any]:
        """One array of all slices; made anew at each call."""
        return np.stack(self.slices)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        rows, columns = self.slices[0].shape
        return len(self.slices), rows, columns


def assemble(slices: Sequence[Slice], *, drop_equal: bool = False) -> Series:
    """Return the volume of one series.

    `drop_equal` leaves out a file that is there twice, byte for byte in place and pixels; where
    something is paired with the files by their number, that must not be done. Raises BadFile.
    """
    places = _places(slices)
    _check_alike(slices, places)
    normal = np.cross(places[0].along_row, places[0].along_column)
    height_mm = np.array([np.dot(normal, place.origin_mm) for place in places])
    order = np.argsort(height_mm, kind="stable").tolist()
    order, dropped = _without_duplicates(order, height_mm, slices, drop_equal)
    _check_steps(height_mm[order])
    affine = _affine([places[n] for n in order])
    warnings = [f"{counted(dropped, 'slice')} came twice; each is used once"] if dropped else []
    warnings += _check_straight(affine, [places[n] for n in order])
    if len({slices[n].rescale for n in order}) > 1:
        warnings.append("slices have different rescale values; each is applied to its own")
    return Series(
        slices=tuple(slices[n].values for n in order),
        affine=affine,
        order=tuple(order),
        warnings=tuple(warnings),
    )


def series_of(slices: Sequence[Slice], said: list[str]) -> list[list[Slice]]:
    """Return the slices by series, in the order of files.

    Some systems give every slice a series of its own: then all are one, which is said.
    """
    groups: dict[str, list[Slice]] = {}
    for one in slices:
        groups.setdefault(one.series, []).append(one)
    if len(groups) > 1 and len(groups) == len(slices):
        said.append("every slice is a series of its own; all are taken as one")
        return [list(slices)]
    return list(groups.values())


def have_places(slices: Sequence[Slice]) -> bool:
    """Return whether all slices say where they lie, and not all in the same place."""
    places = [one.place for one in slices]
    found = [place.origin_mm for place in places if place is not None]
    return len(found) == len(slices) and len(set(found)) > 1


def _places(slices: Sequence[Slice]) -> list[Place]:
    if len(slices) < 2:
        message = f"{len(slices)} slices: at least two are needed to know their distance"
        raise BadFile("slices", len(slices), ">= 2", message)
    places = [one.place for one in slices if one.place is not None]
    if len(places) < len(slices):
        missing = len(slices) - len(places)
        message = f"{missing} of {len(slices)} slices do not say where they lie (position)"
        raise BadFile("positions", missing, "0", message)
    return places


def _check_alike(slices: Sequence[Slice], places: Sequence[Place]) -> None:
    shapes = sorted({one.values.shape for one in slices})
    if len(shapes) > 1:
        shown = ", ".join(f"{rows}x{columns}" for rows, columns in shapes[:4])
        message = f"slices of different sizes: {shown}"
        raise BadFile("sizes", shown, "one size", message)
    figures: tuple[tuple[str, NDArray[Any], float, str], ...] = (
        ("pixel_spacing", np.array([p.step_mm for p in places]), 1e-3, "mm between pixels"),
        ("direction", np.array([(*p.along_row, *p.along_column) for p in places]), 1e-3, "cosine"),
    )
    for name, values, limit, unit in figures:
        apart = float(np.max(np.ptp(values, axis=0)))
        if apart > limit:
            message = f"slices differ in {name.replace('_', ' ')} by {apart:.3g} ({unit})"
            raise BadFile(name, apart, f"<= {limit:g}", message)
    row, column = places[0].along_row, places[0].along_column
    off = max(abs(math.hypot(*row) - 1), abs(math.hypot(*column) - 1), abs(np.dot(row, column)))
    if off > MAX_SHEAR or min(places[0].step_mm) <= 0:
        message = f"rows and columns of the slices are not a right-angled grid (off by {off:.3g})"
        raise BadFile("direction", off, f"<= {MAX_SHEAR:g}", message)


def _without_duplicates(
    order: list[int], height_mm: NDArray[Any], slices: Sequence[Slice], drop_equal: bool
) -> tuple[list[int], int]:
    kept: list[int] = []
    for n in order:
        if not kept or height_mm[n] - height_mm[kept[-1]] > SAME_MM:
            kept.append(n)
        elif not (drop_equal and np.array_equal(slices[n].values, slices[kept[-1]].values)):
            message = (
                f"{slices[kept[-1]].name} and {slices[n].name} lie in the same place"
                f" ({height_mm[n]:.4g} mm)"
            )
            raise BadFile("duplicates", round(float(height_mm[n]), 3), "one slice a place", message)
    return kept, len(order) - len(kept)


def _check_steps(height_mm: NDArray[Any]) -> None:
    """Refuse slices that are not equally far apart; raises BadFile with the widest gap."""
    steps = np.diff(height_mm)
    step = float(np.median(steps)) if len(steps) else 0.0
    off = np.abs(steps - step)
    if len(steps) and float(off.max()) > max(STEP_SHARE * step, STEP_MM):
        worst = int(np.argmax(off))
        lost = round(float(steps[worst]) / step) - 1
        what = f"; {lost} missing there" if lost > 0 else ""
        message = (
            f"slices are {step:.4g} mm apart, but {steps[worst]:.4g} mm from"
            f" {height_mm[worst]:.4g} to {height_mm[worst + 1]:.4g} mm{what}"
        )
        raise BadFile("gaps", round(float(steps[worst]), 4), f"{step:.4g} mm +- 1 %", message)


def _affine(places: Sequence[Place]) -> Affine:
    first, last = places[0], places[-1]
    affine = np.eye(4)
    affine[:3, 0] = np.array(first.along_row) * first.step_mm[0]
    affine[:3, 1] = np.array(first.along_column) * first.step_mm[1]
    apart = np.array(last.origin_mm) - np.array(first.origin_mm)
    affine[:3, 2] = apart / max(len(places) - 1, 1)
    affine[:3, 3] = first.origin_mm
    result: Affine = LPS_TO_RAS @ affine
    return result


def _check_straight(affine: Affine, places: Sequence[Place]) -> list[str]:
    """Return warnings; raises BadFile for a tilted gantry and slices that wander."""
    tilt = shear(affine)
    if tilt > MAX_SHEAR:
        degrees = round(math.degrees(math.asin(min(tilt, 1.0))), 3)
        message = f"the gantry is tilted by {degrees:.3g} degrees: resample the scan first"
        raise BadFile("tilt", degrees, "<= 0.6 degrees", message)
    column, start = (LPS_TO_RAS @ affine)[:3, 2], np.array(places[0].origin_mm)
    along = np.arange(len(places))[:, None] * column
    off_mm = np.linalg.norm(np.array([p.origin_mm for p in places]) - start - along, axis=1)
    limit_mm = max(0.1, STEP_SHARE * float(np.linalg.norm(column)) * math.sqrt(len(places)))
    if float(off_mm.max()) > limit_mm:
        message = f"the slices do not lie on a line: one is {off_mm.max():.3g} mm off"
        raise BadFile("line", round(float(off_mm.max()), 3), f"<= {limit_mm:.2g} mm", message)
    return [f"the slices are sheared by a cosine of {tilt:.2g}"] if tilt > SILENT_SHEAR else []
