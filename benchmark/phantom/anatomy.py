"""The anatomy of one phantom patient: tissue codes, labels and the hidden border.

`build_anatomy` paints from the trunk inwards: skin, fat, muscle and cavity; bowel, stomach and
spleen; bones and kidneys; lungs above the diaphragm; vessels; at last the liver, which presses into
its neighbours. The liver comes from a family of six numbers (`patient.py`), so the whole of it
says much about any hidden part of its border.

Where the liver touches stomach, wall or crus, a share of the contact is *isointense*: there the
neighbour takes the liver's own HU. In the shapeless mode the true border is moved there by a
random field that nothing in the image shows; the image stays the same to the bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmark.phantom import organs
from benchmark.phantom import patient as tuning
from benchmark.phantom.patient import PhantomPatient
from benchmark.phantom.shapes import Box, Field, Grid, Mask, TissueCodes, Waves, ramp
from benchmark.phantom.trunk import (
    Canvas,
    Tissue,
    among,
    cavity,
    paint_chest,
    paint_spine,
    paint_trunk,
)

LIVER = (Tissue.LIVER, Tissue.LIVER_VESSEL, Tissue.LESION, Tissue.CYST)
KIDNEY = (Tissue.CORTEX, Tissue.MEDULLA)
NEIGHBOURS = (Tissue.MUSCLE, Tissue.STOMACH_WALL, Tissue.STOMACH)


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """One patient on the fine grid, all arrays (Z, Y, X); `box` is the surroundings of the liver.

    `codes` holds `Tissue`, `label` 0 or an organ's value, `alike` how much of the liver's HU a
    neighbour takes (0..1, shape of the box), `smooth` the signed distance in mm to the regular
    liver (shape of the box), `contact` the neighbours' voxels that touch the regular liver, and
    `isointense` those among them that take its HU (shape of the box).
    """

    codes: TissueCodes
    label: TissueCodes
    box: Box
    alike: Field
    smooth: Field
    contact: Mask
    isointense: Mask


def build_anatomy(
    patient: PhantomPatient, grid: Grid, *, isointense: float, shape_informative: bool
) -> Anatomy:
    """Return the anatomy of one patient on a grid in mm of the standard body."""
    canvas = Canvas(patient=patient, grid=grid, codes=np.zeros(grid.shape, np.uint8))
    box = grid.box((-155, -128, -45), (112, 105, 180))
    liver = organs.liver(box, patient)
    paint_trunk(canvas)
    organs.paint_bowel(canvas)
    stomach = organs.stomach(grid, box, patient)
    organs.paint_stomach(canvas, box, stomach)
    organs.paint_spleen(canvas, stomach, box)
    paint_spine(canvas)
    organs.paint_kidneys(canvas)
    paint_chest(canvas, liver, box)
    organs.paint_vessels(canvas)
    near = _neighbours(box, patient, stomach)
    _close_gaps(canvas, box, liver, stomach, near)
    codes = canvas.codes[box.at]
    bone = (codes == Tissue.BONE) | (codes == Tissue.CORTICAL) | (codes == Tissue.VEIN)
    canvas.paint(box, (liver < 0) & ~bone & (codes != Tissue.ARTERY), Tissue.LIVER)
    organs.paint_liver_inside(canvas, box, liver)
    contact = (liver >= 0) & (liver < 4) & (near < 3) & among(codes, NEIGHBOURS)
    alike = _alike(patient, box, liver, contact, isointense)
    gas = (codes == Tissue.GAS) & (alike > 0.02) & (liver < tuning.REACH)
    canvas.paint(box, gas, Tissue.STOMACH)
    hidden = contact & (alike > 0.5)
    move = None if shape_informative else _displacement(patient, box, near, alike, hidden)
    label = _label(canvas, box, liver, move)
    return Anatomy(
        codes=canvas.codes,
        label=label,
        box=box,
        alike=alike,
        smooth=liver,
        contact=contact,
        isointense=hidden,
    )


def _neighbours(box: Box, patient: PhantomPatient, stomach: Field) -> Field:
    """Return the distance in mm to the nearest of stomach, wall and crus."""
    crus = (np.hypot(box.x + 14, box.y - 20) - 9) + 0 * box.z
    near: Field = np.minimum(np.minimum(stomach, -cavity(box, patient)), crus)
    return near


def _close_gaps(canvas: Canvas, box: Box, liver: Field, stomach: Field, near: Field) -> None:
    """Let the neighbours swell until they touch a liver that is close."""
    gap = (np.maximum(liver, 0) + np.maximum(near, 0) < tuning.FILL) & (near < tuning.FILL)
    canvas.paint(box, gap & (stomach <= near + 1), Tissue.STOMACH_WALL, (Tissue.INNER_FAT,))
    canvas.paint(box, gap & (stomach > near + 1), Tissue.MUSCLE, (Tissue.INNER_FAT,))


def _alike(patient: PhantomPatient, box: Box, liver: Field, contact: Mask, share: float) -> Field:
    """Return how far each place takes the liver's HU: 1 in `share` of the contact, smooth between.

    The patches are regions of a smooth random field, so they go through a whole neighbour and
    their outlines say nothing of where the liver ends.
    """
    if share <= 0 or not contact.any():
        return np.zeros(liver.shape, np.float32)
    field = Waves.draw(patient.stream("select"), tuning.SELECT_LENGTH)(box)
    limit = float(np.quantile(field[contact], share)) if share < 1 else np.inf
    chosen = ramp(field, limit + 0.2, limit - 0.2) if share < 1 else np.ones_like(field)
    return chosen * ramp(liver, 2.6 * tuning.REACH, 1.6 * tuning.REACH)


def _displacement(
    patient: PhantomPatient, box: Box, near: Field, alike: Field, hidden: Mask
) -> Field:
    """Return how far in mm the true border lies outside the regular one, shape of the box.

    A random field of mean 0 and a fixed sd over the hidden contact, and 0 away from it.
    """
    field = Waves.draw(patient.stream("border"), tuning.HIDDEN_LENGTH)(box)
    if hidden.any():
        field = (field - field[hidden].mean()) / (field[hidden].std() + 1e-3)
    zone = ramp(alike, 0.5, 0.9) * ramp(near, 1.2 * tuning.REACH, 0.8 * tuning.REACH)
    move: Field = tuning.HIDDEN_SD * np.clip(field, -2, 2) * zone
    return move


def _label(canvas: Canvas, box: Box, liver: Field, move: Field | None) -> TissueCodes:
    """Return the label values on the fine grid: 1 liver, 2 left and 3 right kidney."""
    codes = canvas.codes
    label = among(codes, KIDNEY).astype(np.uint8)
    middle = int(np.searchsorted(canvas.grid.x, 0))
    label[:, :, :middle] *= 3
    label[:, :, middle:] *= 2
    inside = codes[box.at]
    mask = among(inside, LIVER)
    if move is not None:
        grown = (move > 0) & (liver < move) & among(inside, NEIGHBOURS)
        mask = (mask | grown) & ~((move < 0) & (liver > move))
    label[box.at][mask] = 1
    return label
