"""From tissue to CT: HU of each tissue by contrast phase, partial volume, blur and noise.

The fine grid has half the pixel in every axis, so a voxel is the mean of eight. Noise follows the
noise power spectrum of filtered back-projection: it rises with the frequency and is cut off by
the kernel (Riederer et al., Phys Med Biol 1978).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.phantom.anatomy import Anatomy
from benchmark.phantom.patient import PhantomPatient
from benchmark.phantom.shapes import Field
from benchmark.phantom.trunk import Tissue

NOISE_HU = (7.0, 17.0)  # sd at the centre of an ordinary patient
BLUR_PIXELS = (0.45, 0.7)  # sd of the point spread in plane
CUT = 0.32  # the kernel's cut-off, cycles per pixel
HU_SPREAD = 5.0  # sd between patients of one phase

# phase: liver, spleen, cortex, medulla, artery, vein (cava), portal and liver vessels, wall of gut
PHASE_HU = {
    "unenhanced": (62, 48, 34, 30, 42, 40, 40, 36),
    "arterial": (76, 108, 165, 92, 260, 90, 100, 75),
    "portal": (108, 122, 176, 150, 165, 150, 178, 88),
    "venous": (100, 108, 168, 172, 132, 128, 138, 80),
}
FIXED_HU = {
    Tissue.AIR: -1000,
    Tissue.SKIN: 5,
    Tissue.FAT: -104,
    Tissue.MUSCLE: 54,
    Tissue.INNER_FAT: -100,
    Tissue.LUNG: -850,
    Tissue.BONE: 190,
    Tissue.CORTICAL: 520,
    Tissue.DISC: 82,
    Tissue.CANAL: 28,
    Tissue.CARTILAGE: 105,
    Tissue.TABLE: -120,
    Tissue.STOMACH: 26,
    Tissue.GAS: -960,
    Tissue.STOOL: 8,
    Tissue.SINUS: -55,
    Tissue.GALL: 10,
    Tissue.CYST: 8,
}
TEXTURE_HU = {
    Tissue.STOOL: 110.0,
    Tissue.LUNG: 45.0,
    Tissue.STOMACH: 14.0,
    Tissue.BONE: 60.0,
    Tissue.INNER_FAT: 10.0,
    Tissue.FAT: 5.0,
    Tissue.MUSCLE: 9.0,
}
SOFT_TEXTURE_HU = 5.0


def tissue_hu(patient: PhantomPatient, hu_overlap: float) -> Field:
    """Return the HU of every tissue code, shape (256,).

    `hu_overlap` moves the spleen and the medulla towards the liver, and the gut's wall and fluid
    towards the kidneys.
    """
    rng = patient.stream("hu")
    values = np.asarray(PHASE_HU[patient.phase], dtype=float) + rng.normal(0, HU_SPREAD, 8)
    liver, spleen, cortex, medulla, artery, vein, portal, wall = values.tolist()
    muscle = min(54 + rng.normal(0, 4), liver - 26)
    kidney = 0.5 * (cortex + medulla)
    table = np.zeros(256, np.float32)
    for tissue, value in FIXED_HU.items():
        table[tissue] = value
    fluid = 24 + rng.normal(0, 6)
    table[Tissue.MUSCLE] = muscle
    table[Tissue.STOMACH] = fluid
    table[Tissue.STOMACH_WALL] = min(wall, liver - 26)
    table[Tissue.BOWEL_WALL] = wall + hu_overlap * (kidney - wall)
    table[Tissue.BOWEL] = fluid + 0.7 * hu_overlap * (kidney - fluid)
    table[Tissue.PANCREAS] = 0.8 * liver + 6
    table[Tissue.SPLEEN] = spleen + hu_overlap * (liver - spleen)
    table[Tissue.CORTEX] = cortex
    table[Tissue.MEDULLA] = medulla + hu_overlap * (liver - medulla)
    table[Tissue.ARTERY] = table[Tissue.HEART] = artery
    table[Tissue.HEART] = 0.5 * (artery + vein)
    table[Tissue.VEIN] = vein
    table[Tissue.LIVER] = liver
    table[Tissue.LIVER_VESSEL] = portal
    table[Tissue.LESION] = liver - rng.uniform(28, 50)
    return table


def scan(patient: PhantomPatient, anatomy: Anatomy, hu_overlap: float) -> NDArray[np.int16]:
    """Return the CT image in HU, shape (Z, Y, X) of half the fine grid."""
    from scipy.ndimage import gaussian_filter  # slow to import

    table = tissue_hu(patient, hu_overlap)
    hu = table[anatomy.codes]
    part, codes = hu[anatomy.box.at], anatomy.codes[anatomy.box.at]
    soft = (codes == Tissue.MUSCLE) | (codes == Tissue.STOMACH_WALL) | (codes == Tissue.STOMACH)
    part += np.where(soft, anatomy.alike, 0) * (table[Tissue.LIVER] - part)
    rough = np.full(256, SOFT_TEXTURE_HU, np.float32)
    for tissue, amount in TEXTURE_HU.items():
        rough[tissue] = amount
    rough[Tissue.AIR] = rough[Tissue.TABLE] = rough[Tissue.GAS] = 0
    grain = rough[anatomy.codes]
    smooth = np.where(soft, anatomy.alike, 0)
    grain[anatomy.box.at] += smooth * (SOFT_TEXTURE_HU - grain[anatomy.box.at])
    _add_grain(patient, hu, grain)
    image = halve(hu)
    blur = float(patient.stream("blur").uniform(*BLUR_PIXELS))
    image = gaussian_filter(image, (0.0, blur, blur), mode="nearest", truncate=3)
    image += scan_noise(patient, image)
    whole: NDArray[np.int16] = np.clip(np.rint(image), -1024, 3071).astype(np.int16)
    return whole


def halve(values: Field) -> Field:
    """Return the mean of every 2 x 2 x 2 voxels, shape halved."""
    rows = values[0::2] + values[1::2]
    rows = rows[:, 0::2] + rows[:, 1::2]
    return (rows[:, :, 0::2] + rows[:, :, 1::2]) * np.float32(0.125)


def _add_grain(patient: PhantomPatient, hu: Field, amount: Field) -> None:
    """Add a smooth random texture of sd `amount` in place; it is one tile, over and over."""
    from scipy.ndimage import gaussian_filter  # slow to import

    rng = patient.stream("grain")
    tile = rng.standard_normal((24, 96, 96), dtype=np.float32)
    tile = gaussian_filter(tile, (0.8, 2.0, 2.0), mode="wrap", truncate=3)
    tile /= tile.std()
    times = [1] + [-(-n // 96) for n in hu.shape[1:]]
    slab = np.tile(tile, times)[:, : hu.shape[1], : hu.shape[2]]
    for start in range(0, len(hu), len(slab)):
        part = amount[start : start + len(slab)]
        part *= slab[: len(part)]
        hu[start : start + len(slab)] += part


def scan_noise(patient: PhantomPatient, image: Field) -> Field:
    """Return noise in HU as reconstruction makes it: coloured, strongest deep in the body."""
    from scipy.ndimage import gaussian_filter  # slow to import

    rng = patient.stream("noise")
    level = rng.uniform(*NOISE_HU)
    fy = np.fft.fftfreq(image.shape[1])[:, None]
    fx = np.fft.rfftfreq(image.shape[2])[None]
    f = np.hypot(fy, fx)
    # Rays along the long axis of the trunk see most tissue, so their noise, across them, is more.
    bias = 1 + 0.5 * np.abs(fy) / np.maximum(f, 1e-6)
    power = np.sqrt(f + 0.01) * np.exp(-((f / CUT) ** 2)) * bias
    white = rng.standard_normal(image.shape, dtype=np.float32)
    noise = np.fft.irfft2(np.fft.rfft2(white) * power, s=image.shape[1:]).astype(np.float32)
    noise = 0.9 * noise + 0.3 * np.roll(noise, 1, axis=0)
    noise *= level / noise.std()
    body = gaussian_filter((image > -300).astype(np.float32), (0, 14, 14), truncate=2)
    field: Field = noise * (0.35 + 0.75 * body * body)
    return field
