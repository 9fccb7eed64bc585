"""Who a phantom patient is: every range and constant of the anatomy, and the draw from them.

All tuning of the phantom happens here and in `imaging.py`. Lengths are in mm. The origin
lies in the middle of the trunk; x to the patient's left, y to the back, z to the head; z = 0 is
the height of the lower end of an ordinary liver, z = 165 the top of its dome.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

VERSION = 1
PIXELS = 128  # in-plane size of the image
PIXEL_MM = (2.4, 3.2)
SLICE_MM = (4.0, 8.0)
TOP, BOTTOM = 182.0, -62.0  # the scanned range before the patient's scale
PHASES = ("portal", "portal", "venous", "arterial", "unenhanced")  # in every five patients

# Ranges of a uniform draw.
SCALE = (0.95, 1.06)  # of the skeleton and all positions
FAT_UNDER_SKIN = (9.0, 30.0)
FAT_INSIDE = (0.0, 14.0)
WALL = (13.0, 19.0)  # muscle of the trunk wall
SHIFT = (-5.0, 5.0)  # of the patient on the table
MARGIN = (1.05, 1.14)  # field of view over the trunk's width

# Standard deviations of normal draws, cut at 1.8 sd. The liver's family has these six.
LIVER_SIZE = 0.035
LIVER_LENGTH = 0.07
LIVER_LEFT_LOBE = 0.14
LIVER_DEPTH = 0.05
LIVER_HOLLOW = 5.0
LIVER_TILT = 0.06
LIVER_WOBBLE = 1.6  # mm of a random field on the liver's surface
KIDNEY_SIZE = 0.024
KIDNEY_PLACE = 5.0
ORGAN_WOBBLE = 1.5

SELECT_LENGTH = 55.0  # feature length of the field that selects the isointense contact
FILL = 11.0  # contact closes gaps of up to this many mm
REACH = 16.0  # how far from the liver a neighbour takes its HU, and a border may move
HIDDEN_SD = 7.0  # sd of the hidden border's displacement in the shapeless mode
HIDDEN_LENGTH = 32.0  # feature length of that displacement


def stream(seed: int, patient: int, word: str) -> np.random.Generator:
    """Return the generator of one stream of one patient; streams never share a draw."""
    key = (VERSION, seed, patient, zlib.crc32(word.encode()))
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


@dataclass(frozen=True, kw_only=True)
class PhantomPatient:
    """One patient: size, fat, liver family, kidneys, scan. Lengths in mm, factors about 1."""

    seed: int
    index: int
    phase: str
    scale: float
    fat_under_skin: float
    fat_inside: float
    wall: float
    shift: tuple[float, float]
    liver: tuple[float, float, float, float, float, float]
    kidneys: tuple[tuple[float, ...], tuple[float, ...]]  # left, right: size, then dx, dy, dz, lean
    pixel_mm: float
    slice_mm: float

    def stream(self, word: str) -> np.random.Generator:
        """Return this patient's generator for one purpose."""
        return stream(self.seed, self.index, word)

    @property
    def half_width(self) -> float:
        """Half of the trunk's width with skin."""
        return 120 * self.scale + self.fat_inside + self.wall + self.fat_under_skin

    @property
    def slices(self) -> int:
        """The number of slices of the scan."""
        return int(np.ceil((TOP - BOTTOM) * self.scale / self.slice_mm))


def draw_patient(seed: int, index: int) -> PhantomPatient:
    """Draw patient `index` of a phantom; it does not depend on how many others there are."""
    rng = stream(seed, index, "patient")
    order = stream(seed, index // len(PHASES), "phases").permutation(len(PHASES))
    spread = np.array(
        [LIVER_SIZE, LIVER_LENGTH, LIVER_LEFT_LOBE, LIVER_DEPTH, LIVER_HOLLOW, LIVER_TILT]
    )
    size, length, left, depth, hollow, tilt = (spread * _normal(rng, 6)).tolist()
    scale, skin, inside, wall = (
        float(rng.uniform(*r)) for r in (SCALE, FAT_UNDER_SKIN, FAT_INSIDE, WALL)
    )
    kidneys = tuple(_kidney(rng) for _ in range(2))
    half = 120 * scale + inside + wall + skin
    pixel = float(np.clip(2 * half * rng.uniform(*MARGIN) / PIXELS, *PIXEL_MM))
    return PhantomPatient(
        seed=seed,
        index=index,
        phase=PHASES[order[index % len(PHASES)]],
        scale=scale,
        fat_under_skin=skin,
        fat_inside=inside,
        wall=wall,
        shift=(float(rng.uniform(*SHIFT)), float(rng.uniform(*SHIFT))),
        liver=(1 + size, 1 + length, 1 + left, 1 + depth, hollow, tilt),
        kidneys=(kidneys[0], kidneys[1]),
        pixel_mm=round(pixel, 3),
        slice_mm=round(float(rng.uniform(*SLICE_MM)), 2),
    )


def _normal(rng: np.random.Generator, count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.clip(rng.standard_normal(count), -1.8, 1.8)


def _kidney(rng: np.random.Generator) -> tuple[float, ...]:
    size, dx, dy, dz, lean = _normal(rng, 5).tolist()
    place = KIDNEY_PLACE
    return (1 + KIDNEY_SIZE * size, place * dx, 0.6 * place * dy, place * dz, 0.05 * lean)
