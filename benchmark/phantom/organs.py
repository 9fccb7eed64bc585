"""The soft organs of the phantom: their shapes as fields, and how they are painted."""

from __future__ import annotations

import numpy as np

from benchmark.phantom import patient as tuning
from benchmark.phantom.patient import PhantomPatient
from benchmark.phantom.shapes import (
    Box,
    Field,
    Grid,
    Point,
    Waves,
    ellipsoid,
    embed,
    smooth_max,
    smooth_min,
    tube,
)
from benchmark.phantom.trunk import Canvas, Tissue, cavity

FAT = (Tissue.INNER_FAT,)
GUT = (Tissue.INNER_FAT, Tissue.BOWEL_WALL, Tissue.BOWEL, Tissue.STOOL, Tissue.GAS, Tissue.PANCREAS)
LOOPS, VESSELS = 34, 30  # of small bowel and mesentery


def kidney(box: Box, patient: PhantomPatient, side: int) -> Field:
    """Return the distance to the left (+1) or right (-1) kidney, its sinus included."""
    size, *_, lean = patient.kidneys[0 if side > 0 else 1]
    center = _center(patient, side)
    radii = (29.8 * size, 27.8 * size, 54.5 * size)
    # The hilum looks to the middle and to the front, so the outer side turns to the back.
    field = ellipsoid(box, center, radii, lean=(lean - 0.2 * side, 0.1), turn=0.45 * side)
    wobble = Waves.draw(patient.stream(f"kidney{side}"), 45)
    return field + tuning.ORGAN_WOBBLE * wobble(box)


def _center(patient: PhantomPatient, side: int) -> Point:
    _, dx, dy, dz, _ = patient.kidneys[0 if side > 0 else 1]
    return side * (70 + dx), 37 + dy, (36 if side > 0 else 14) + dz


def kidney_box(canvas: Canvas, side: int) -> Box:
    """Return a box that holds one kidney and the fat around it, wherever the draw puts it."""
    z = 36.0 if side > 0 else 14.0
    return canvas.grid.around([(side * 70, 37, z - 32), (side * 70, 37, z + 32)], 56)


def paint_kidneys(canvas: Canvas) -> None:
    """Paint both kidneys: fat around, cortex with columns, medulla and sinus."""
    for side in (1, -1):
        box = kidney_box(canvas, side)
        x, y, z = _center(canvas.patient, side)
        field = kidney(box, canvas.patient, side)
        canvas.paint(box, field < 5, Tissue.INNER_FAT, (*GUT, Tissue.MUSCLE))
        angle = np.arctan2(box.y - y, side * (box.x - x) + 6)
        column = np.cos(7 * angle + 0.16 * (box.z - z)) > 0.72
        canvas.paint(box, field < 0, Tissue.CORTEX)
        canvas.paint(box, (field < -6.5) & ~column, Tissue.MEDULLA)
        hilum = ellipsoid(box, (x - side * 21, y - 7, z), (17, 9, 21))
        hilum = smooth_min(hilum, ellipsoid(box, (x - side * 7, y - 2, z), (10, 8, 26)), 6)
        inside = (Tissue.CORTEX, Tissue.MEDULLA)
        canvas.paint(box, hilum < 0, Tissue.SINUS, inside)
        canvas.tube([(x - side * 6, y, z), (side * 14, 12, z + 6)], [4.5, 4.5], Tissue.VEIN, _OPEN)


_OPEN = (Tissue.INNER_FAT, Tissue.SINUS)


def liver(box: Box, patient: PhantomPatient) -> Field:
    """Return the distance to the liver: lobes joined, hollowed below, pressed by its neighbours."""
    size, length, left, depth, hollow, tilt = patient.liver
    out = 0.75 * patient.fat_inside  # the liver lies at the wall in the fat as in the lean
    right = ellipsoid(
        box,
        (-64 - out, -6, 80),
        (57 * size, 78 * depth * size, 80 * size * length),
        lean=(0.05 + tilt, -0.05),
    )
    tail = ellipsoid(box, (-86 - out, 12, 34), (32 * size, 46 * size, 56 * length))
    field = smooth_min(right, tail, 24)
    lobe = ellipsoid(
        box, (-0.3 * out, -47 - 0.5 * out, 110), (76 * left, 34, 37), lean=(tilt, 0), turn=-0.25
    )
    field = smooth_min(field, lobe, 30)
    below = ellipsoid(box, (0, -6, 52), (44 + hollow, 50, 50 + hollow))
    field = smooth_max(field, -below, 20)
    spine = (np.hypot(box.x - 2, box.y - 44) - 36) + 0 * box.z
    field = smooth_max(field, -spine, 10)
    field = smooth_max(field, 4 - kidney(box, patient, -1), 8)
    behind = ellipsoid(box, (-42, 54, 2), (48, 38, 78))  # the bed of the right kidney
    field = smooth_max(field, -behind, 10)
    field = smooth_max(field, cavity(box, patient) - 3, 14)
    return field + tuning.LIVER_WOBBLE * Waves.draw(patient.stream("liver"), 70)(box)


def stomach(grid: Grid, box: Box, patient: PhantomPatient) -> Field:
    """Return the distance to the stomach on a box: fundus under the left dome, body, antrum."""
    rng = patient.stream("stomach")
    full, low = rng.uniform(0.82, 1.12), rng.uniform(-8, 8)
    path: list[Point] = [
        (60, 22, 124),
        (62, -16, 108 + low),
        (54, -42, 78 + low),
        (14, -54, 56 + low),
        (-22, -44, 56),
    ]
    radii = [float(full * r) for r in (28, 32, 27, 19, 12)]
    part = grid.around(path, max(radii) + 20)
    field = tube(part, path, radii) + 2.5 * Waves.draw(rng, 45)(part)
    return embed(box, part, smooth_max(field, cavity(part, patient) + 3, 8), 50)


def paint_stomach(canvas: Canvas, box: Box, field: Field) -> None:
    """Paint the stomach on its box: wall, contents, and gas above the level of the fluid."""
    rng = canvas.patient.stream("gas")
    canvas.paint(box, field < 0, Tissue.STOMACH_WALL)
    canvas.paint(box, field < -4, Tissue.STOMACH)
    level = -24 - rng.uniform(0, 26)
    canvas.paint(box, (field < -4.5) & (box.y < level), Tissue.GAS)


def paint_spleen(canvas: Canvas, stomach_field: Field, stomach_box: Box) -> None:
    """Paint the spleen between stomach, left kidney and wall."""
    patient, rng = canvas.patient, canvas.patient.stream("spleen")
    size, dz = rng.uniform(0.88, 1.08), rng.uniform(-8, 8)
    out = 0.8 * patient.fat_inside
    box = canvas.grid.around([(88, 44, 104)], 78)
    field = ellipsoid(box, (94 + out, 40, 104 + dz), (33 * size, 47 * size, 50 * size), turn=-0.3)
    field = smooth_max(field, 2 - embed(box, stomach_box, stomach_field, 50), 8)
    field = smooth_max(field, 4 - kidney(box, patient, 1), 8)
    field = smooth_max(field, cavity(box, patient) + 1.5, 10)
    field = field + tuning.ORGAN_WOBBLE * Waves.draw(rng, 50)(box)
    canvas.paint(box, field < 0, Tissue.SPLEEN, (*GUT, Tissue.MUSCLE))


def paint_bowel(canvas: Canvas) -> None:
    """Paint pancreas, the loops of the small bowel, the colon and the vessels of the mesentery."""
    rng = canvas.patient.stream("bowel")
    body: list[Point] = [(-26, -14, 48), (-6, -16, 58), (28, -8, 70), (62, 18, 84)]
    canvas.tube(body, [13, 9, 9, 7], Tissue.PANCREAS, FAT)
    duodenum: list[Point] = [(-36, -12, 58), (-38, 4, 20), (-6, 8, 8), (30, 0, 22)]
    canvas.tube(duodenum, [11] * 4, Tissue.BOWEL_WALL)
    canvas.tube(duodenum, [8] * 4, Tissue.BOWEL)
    for _ in range(VESSELS):
        a = rng.uniform((-60, -50, -50), (70, 5, 50))
        _thread(canvas, rng, a, float(rng.uniform(1.4, 2.6)))
    for _ in range(LOOPS):
        _loop(canvas, rng)
    _colon(canvas, rng)


def _thread(canvas: Canvas, rng: np.random.Generator, a: np.ndarray, radius: float) -> None:
    b = a + rng.normal(0, 18, 3)
    canvas.tube([_point(a), _point(b)], [radius, radius * 0.8], Tissue.VEIN, FAT)


def _point(values: np.ndarray) -> Point:
    return float(values[0]), float(values[1]), float(values[2])


def _loop(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint one loop: wall and fluid, in one of ten with gas."""
    a = rng.uniform((-68, -62, -70), (95, 12, 48))
    b, c = (a + rng.normal(0, (20, 12, 14), 3) for _ in range(2))
    path, radius = [_point(a), _point(b), _point(c)], float(rng.uniform(9, 14))
    gas = rng.uniform() < 0.1
    box = canvas.grid.around(path, radius + 2)
    if 0 in canvas.codes[box.at].shape:
        return
    field = tube(box, path, [radius] * 3)
    free = canvas.codes[box.at] == Tissue.INNER_FAT
    canvas.paint(box, free & (field < 0), Tissue.BOWEL_WALL)
    canvas.paint(box, free & (field < -2.6), Tissue.BOWEL)
    if gas:
        canvas.paint(box, free & (field < -3) & (box.y < b[1]), Tissue.GAS)


def _colon(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint the colon, pouch by pouch: stool, and gas in front of it."""
    wide = 6 + canvas.patient.fat_inside
    corners: list[Point] = [
        (-88 - wide, 6, -80),
        (-90 - wide, 4, -20),
        (-78, -40, 4),
        (-40, -66, -4 + rng.uniform(-14, 6)),
        (20, -72, -8 + rng.uniform(-14, 6)),
        (70, -52, 30),
        (98, -8, 66),
        (96 + wide, 22, 20),
        (92 + wide, 26, -80),
    ]
    points = np.asarray(corners)
    steps = np.r_[0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]
    places = np.arange(0, steps[-1], 17.0)
    path = np.stack([np.interp(places, steps, points[:, i]) for i in range(3)], axis=1)
    path += rng.normal(0, 2.5, path.shape)
    full = np.interp(places, steps, [26, 25, 22, 21, 21, 20, 19, 17, 16])
    full = full * rng.uniform(0.85, 1.1, len(places))
    air = np.interp(places, steps, rng.uniform(-0.6, 1.3, len(steps)))
    over = (*FAT, Tissue.BOWEL, Tissue.BOWEL_WALL, Tissue.STOOL, Tissue.GAS)
    for (x, y, z), radius, level in zip(path, full, air, strict=True):
        center = (float(x), float(y), float(z))
        box = canvas.grid.around([center], radius + 4)
        field = ellipsoid(box, center, (radius, radius, 0.85 * radius))
        wall = (*FAT, Tissue.BOWEL, Tissue.BOWEL_WALL)
        canvas.paint(box, field < 0, Tissue.BOWEL_WALL, wall)
        canvas.paint(box, field < -3, Tissue.STOOL, over)
        canvas.paint(box, (field < -3) & (box.y < y - radius * (0.6 - level)), Tissue.GAS, over)


def paint_vessels(canvas: Canvas) -> None:
    """Paint aorta with its branches, cava, and the portal vein up to the liver."""
    rng = canvas.patient.stream("vessels")
    aorta, cava = rng.uniform(8.5, 11.5), rng.uniform(9, 13)
    path: list[Point] = [(8, 12, -80), (7, 10, 20), (6, 12, 90), (14, 20, 150), (18, 28, 230)]
    canvas.tube(path, [0.85 * aorta, 0.9 * aorta, aorta, aorta, 1.1 * aorta], Tissue.ARTERY)
    canvas.tube([(7, 6, 60), (5, -8, 52), (4, -12, -10)], [4, 3.5, 3], Tissue.ARTERY)
    canvas.tube([(7, 6, 74), (5, -10, 76), (40, 6, 84)], [4, 3, 2.5], Tissue.ARTERY, GUT)
    path = [(-19, 14, -80), (-21, 12, 40), (-26, 8, 100), (-22, 2, 150), (-16, -6, 190)]
    canvas.tube(path, [0.9 * cava, cava, cava, 1.1 * cava, 1.1 * cava], Tissue.VEIN)
    canvas.tube([(2, -20, -30), (0, -16, 50)], [4.5, 5.5], Tissue.VEIN, GUT)
    canvas.tube([(70, 22, 92), (30, 2, 76), (0, -12, 60)], [4, 4.5, 5.5], Tissue.VEIN, GUT)


def paint_liver_inside(canvas: Canvas, box: Box, field: Field) -> None:
    """Paint the liver's vessels and lesions, away from its surface, and the gallbladder."""
    rng = canvas.patient.stream("inside")
    only = (Tissue.DEEP,)
    canvas.paint(box, field < -9, Tissue.DEEP, (Tissue.LIVER,))
    root, fork = (-4.0, -12.0, 66.0), (-34.0, -14.0, 84.0)
    trees: list[tuple[list[Point], list[float]]] = [
        ([root, fork, (-58, -2, 88), (-86, 10, 92)], [7, 6.5, 5, 3]),
        ([(-58, -2, 88), (-80, -24, 70), (-88, -34, 56)], [4.5, 3.5, 2]),
        ([(-58, -2, 88), (-84, 22, 62), (-88, 24, 40)], [4.5, 3.5, 2]),
        ([fork, (-18, -34, 104), (6, -46, 112), (34, -48, 114)], [6, 5, 4, 2.5]),
        ([(-24, 2, 146), (-56, 8, 128), (-88, 8, 108)], [6, 4.5, 2.5]),
        ([(-24, 0, 146), (-44, -24, 122), (-56, -44, 96)], [5.5, 4.5, 2.5]),
        ([(-22, -4, 146), (-6, -28, 128), (12, -44, 120)], [5.5, 4, 2.5]),
    ]
    shift = rng.normal(0, 3, 3)
    for path, radii in trees:
        moved = [_point(np.add(p, shift + rng.normal(0, 2, 3))) for p in path]
        for i in range(len(moved) - 1):
            canvas.tube(moved[i : i + 2], radii[i : i + 2], Tissue.LIVER_VESSEL, only)
    for _ in range(int(rng.integers(0, 5))):
        center = (rng.uniform(-105, -10), rng.uniform(-50, 45), rng.uniform(40, 135))
        radius = rng.uniform(4, 15)
        part = canvas.grid.around([center], 1.6 * radius)
        lump = ellipsoid(part, center, (radius, radius, 0.9 * radius))
        lump = lump + 0.15 * radius * Waves.draw(rng, 2 * radius)(part)
        kind = Tissue.CYST if rng.uniform() < 0.3 else Tissue.LESION
        canvas.paint(part, lump < 0, kind, only)
    canvas.paint(box, canvas.codes[box.at] == Tissue.DEEP, Tissue.LIVER)
    gall = ellipsoid(box, (-44, -48, 44), (13, 17, 27), lean=(0.2, 0.3))
    canvas.paint(box, gall < 0, Tissue.GALL, (*GUT, Tissue.LIVER))
