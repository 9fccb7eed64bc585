"""The trunk of the phantom: skin, fat, muscle, cavity, lungs, heart, spine, ribs and the table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from benchmark.phantom.patient import PhantomPatient
from benchmark.phantom.shapes import (
    Box,
    Field,
    Grid,
    Mask,
    Point,
    TissueCodes,
    Waves,
    ellipsoid,
    embed,
    ramp,
    smooth_min,
    tube,
)

FRONT, BACK = 86.0, 84.0  # depth of the cavity before and behind the origin
SIDE = 120.0
POWER = 2.35  # of the superellipse that every cross-section is


Tissue = IntEnum(
    "Tissue",
    "AIR SKIN FAT MUSCLE INNER_FAT LUNG HEART BONE CORTICAL DISC CANAL CARTILAGE TABLE "
    "STOMACH_WALL STOMACH GAS BOWEL_WALL BOWEL STOOL PANCREAS SPLEEN CORTEX MEDULLA SINUS "
    "ARTERY VEIN LIVER LIVER_VESSEL LESION CYST GALL DEEP",
    start=0,
)
"""What fills a voxel. The first five are the layers from outside to inside, in order; DEEP is the
liver's inside while it is painted."""


def among(codes: TissueCodes, tissues: tuple[Tissue, ...]) -> Mask:
    """Return where the codes are one of the tissues."""
    table = np.zeros(256, np.bool_)
    table[list(tissues)] = True
    found: Mask = table[codes]
    return found


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """Tissue codes (Z, Y, X) on a fine grid of one patient, painted over in order."""

    patient: PhantomPatient
    grid: Grid
    codes: TissueCodes

    def paint(self, box: Box, mask: Mask, tissue: Tissue, over: tuple[Tissue, ...] = ()) -> None:
        """Fill the mask, shape of the box, with a tissue; only over some tissues if given."""
        part = self.codes[box.at]
        if over:
            mask = mask & (part == over[0] if len(over) == 1 else among(part, over))
        part[mask] = tissue

    def tube(
        self, path: list[Point], radii: list[float], tissue: Tissue, over: tuple[Tissue, ...] = ()
    ) -> None:
        """Paint a tube along a path."""
        box = self.grid.around(path, max(radii) + 2)
        if all(s.stop > s.start for s in box.at):
            self.paint(box, tube(box, path, radii) < 0, tissue, over)


def layer(box: Box, patient: PhantomPatient, grow: tuple[float, float, float]) -> Field:
    """Return a superellipse's value, 1 on the surface of the cavity grown by (side, front, back).

    Shape of the box. The cross-section changes with the height: a narrower chest, a rounder belly.
    """
    z = box.z
    side = SIDE + patient.fat_inside + grow[0] - 9 * ramp(z, 70, 190) - 4 * ramp(z, 40, -60)
    front = FRONT + 0.8 * patient.fat_inside + grow[1] - 12 * ramp(z, 30, 170)
    back = BACK + grow[2] + 4 * ramp(z, 40, 150)
    across = (np.abs(box.x) / side) ** POWER
    deep = (np.abs(box.y) / np.where(box.y < 0, front, back)) ** POWER
    value: Field = (across + deep).astype(np.float32, copy=False)
    return value


def cavity(box: Box, patient: PhantomPatient) -> Field:
    """Return the distance in mm to the inner wall of the trunk, negative inside; about."""
    value: Field = (layer(box, patient, (0, 0, 0)) ** np.float32(1 / POWER) - 1) * 98
    return value


def paint_trunk(canvas: Canvas) -> None:
    """Paint skin, fat under it, the muscle of the wall and the fat inside; then the table."""
    patient = canvas.patient
    whole = canvas.grid.box((-999, -999, -999), (999, 999, 999))
    fat, wall = patient.fat_under_skin, patient.wall
    limit = 1 + 0.022 * Waves.draw(patient.stream("trunk"), 130, 8)(whole)
    back_box = canvas.grid.box((-45, 50, -999), (45, 999, 999))
    groove = 0.09 * np.exp(-((back_box.x / 17) ** 2)) + 0 * back_box.y + 0 * back_box.z
    limit[back_box.at] -= groove.astype(np.float32)
    rim, loin = 2.2, 12.0  # the skin; the muscles behind are thicker
    behind = 0.9 * wall + loin
    for side, front, back in (
        (wall + fat + rim, 0.7 * wall + 0.9 * fat + rim, behind + 0.8 * fat + rim),
        (wall + fat, 0.7 * wall + 0.9 * fat, behind + 0.8 * fat),
        (wall, 0.7 * wall, behind),
    ):
        canvas.codes[...] += layer(whole, patient, (side, front, back)) < limit
    canvas.codes[...] += layer(whole, patient, (0, 0, 0)) < 1
    skin = BACK + 4 + behind + 0.8 * fat + rim
    low = canvas.grid.box((-999, skin - 4, -999), (999, 999, 999))
    curve = low.y + 0 * low.z - (skin + 9 - 0.0011 * low.x**2)
    canvas.paint(low, np.abs(curve) < 1.4, Tissue.TABLE, (Tissue.AIR,))
    # The seams of fat between the muscles of the belly, and the midline.
    belly = canvas.grid.box((-75, -999, -999), (75, -20, 95))
    seam = np.abs(np.abs(belly.x) - 64 - 0.1 * belly.z) < 2.0
    seam = (seam | (np.abs(belly.x) < 2.5)) & (belly.y < 0)
    canvas.paint(belly, seam & np.ones(canvas.codes[belly.at].shape, bool), Tissue.FAT, _WALL)


_WALL = (Tissue.MUSCLE,)
_INSIDE = (Tissue.INNER_FAT,)


def paint_chest(canvas: Canvas, liver: Field, liver_box: Box) -> None:
    """Paint lungs around the domes of the diaphragm, the heart, and the ribs."""
    box = canvas.grid.box((-160, -130, 35), (160, 130, 999))
    dome = np.minimum(
        ellipsoid(box, (-56, -6, 20), (84, 80, 126)), ellipsoid(box, (62, 2, 25), (74, 82, 122))
    )
    dome = smooth_min(dome, ellipsoid(box, (0, -30, 40), (90, 66, 95)), 20)
    dome = smooth_min(dome, embed(box, liver_box, liver) - 1, 10)
    # The recess between diaphragm and wall reaches lowest behind, and highest in front.
    floor = 62 + 0.33 * (60 - box.y) + 0 * box.z
    free = (box.z > floor) & (dome > 0)
    canvas.paint(box, free & (dome < 2.5), Tissue.MUSCLE, _INSIDE)
    canvas.paint(box, free & (dome >= 2.5), Tissue.LUNG, _INSIDE)
    _heart(canvas, box, dome)
    _ribs(canvas)


def _heart(canvas: Canvas, chest: Box, dome: Field) -> None:
    """Paint the heart in its fat upon the diaphragm, and the fat around the great vessels."""
    box = canvas.grid.box((-75, -105, 120), (105, 55, 999))
    heart = smooth_min(
        ellipsoid(box, (18, -28, 186), (58, 44, 40), turn=0.35),
        ellipsoid(box, (-20, -5, 190), (30, 30, 36)),
        10,
    )
    canvas.paint(box, heart < 3, Tissue.INNER_FAT, (Tissue.LUNG,))
    above = embed(box, chest, dome) > 2
    canvas.paint(box, (heart < 0) & above, Tissue.HEART, (Tissue.INNER_FAT,))
    box = canvas.grid.box((-30, -10, 70), (35, 55, 999))
    around = ellipsoid(box, (2, 22, 165), (24, 26, 90))
    canvas.paint(box, around < 0, Tissue.INNER_FAT, (Tissue.LUNG,))


def _ribs(canvas: Canvas) -> None:
    """Paint ribs: bands within the wall that fall from the spine to the front."""
    patient = canvas.patient
    box = canvas.grid.box((-190, -150, -20), (190, 150, 999))
    wall = patient.wall
    depth = layer(box, patient, (0.62 * wall, 0.45 * wall, 0.55 * wall))
    depth = (depth - 1) * np.float32(110 / POWER)  # mm, to first order near the surface
    around = np.arctan2(np.abs(box.x), box.y)  # 0 at the back, pi in front
    fall = 105 * ramp(around, 0.1, 2.35) - 45 * ramp(around, 2.25, 3.1)
    row = (box.z + fall) / 27.0
    off = (row - np.round(row)) * 27.0
    # The lowest ribs are short: they end at the side.
    lowest = np.round(row) >= 2 + ramp(around, 0.9, 1.2) + ramp(around, 1.5, 1.8)
    far = (depth / 3.6) ** 2 + (off / 6.5) ** 2
    bone = (far < 1) & lowest & (around > 0.28) & (around < 3.0)
    front = around > 2.35
    canvas.paint(box, bone & ~front, Tissue.CORTICAL, _WALL)
    canvas.paint(box, bone & ~front & (far < 0.3), Tissue.BONE, (Tissue.CORTICAL,))
    canvas.paint(box, bone & front, Tissue.CARTILAGE, _WALL)


def paint_spine(canvas: Canvas) -> None:
    """Paint the muscles along the spine, the vertebrae with canal and processes, and the discs."""
    grid, inside = canvas.grid, (Tissue.INNER_FAT, Tissue.FAT, Tissue.MUSCLE, Tissue.LUNG)
    for side in (-1.0, 1.0):
        for x, y, rim in ((25, 90, 1), (43, 85, 1), (25, 90, 0), (43, 85, 0)):
            path: list[Point] = [
                (side * x, y, -90),
                (side * x, y + 2, 60),
                (side * 0.9 * x, y, 230),
            ]
            radii = [21.0 + rim, 20.0 + rim, 17.0 + rim]
            canvas.tube(path, radii, Tissue.FAT if rim else Tissue.MUSCLE, inside)
        canvas.tube([(side * 44, 46, -95), (side * 28, 42, 60)], [23, 6], Tissue.MUSCLE, inside)
        canvas.tube([(side * 62, 70, -90), (side * 50, 70, 40)], [13, 5], Tissue.MUSCLE, inside)
        canvas.tube([(side * 13, 24, -10), (side * 15, 18, 125)], [5, 8.5], Tissue.MUSCLE, inside)
    box = grid.box((-48, 8, -999), (48, 118, 999))
    shape = canvas.codes[box.at].shape
    level = box.z / 33.0 + 0.1
    off = (level - np.round(level)) * 33.0  # mm from the middle of the nearest vertebra
    disc = np.broadcast_to(np.abs(off) > 12.5, shape)
    waist = 1 - 0.10 * (1 - (off / 14) ** 2).clip(0)
    body = (np.hypot(box.x / 23, (box.y - 41) / 18) - waist) * 19
    canal = np.hypot(box.x / 11, (box.y - 68) / 8.5) - 1
    arch = (np.hypot(box.x / 17, (box.y - 68) / 14) - 1) * 14
    spine = (np.abs(box.x) < 3.2) & (box.y > 76) & (box.y < 104) & (np.abs(off + 9) < 9)
    wing = (np.abs(box.y - 66 - 0.25 * np.abs(box.x)) < 3.4) & (np.abs(box.x) < 40)
    wing = wing & (np.abs(off) < 5)
    ring = (arch < 0) & (np.abs(off + 3) < 13)
    bone = np.broadcast_to(body < 0, shape) & ~disc
    canvas.paint(box, np.broadcast_to(body < 0, shape), Tissue.DISC)
    canvas.paint(box, bone | ring | spine | wing, Tissue.CORTICAL)
    soft = (body < -2.2) & (np.abs(off) < 11.8)
    soft = soft | ((arch < -2) & ring) | (spine & (np.abs(box.x) < 1.6))
    canvas.paint(box, np.broadcast_to(soft, shape), Tissue.BONE)
    canvas.paint(box, np.broadcast_to(canal < 0, shape) & (box.y > 58), Tissue.CANAL)
