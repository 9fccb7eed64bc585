"""Are the intensities HU? Air and fat are the same in every patient and tell the scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

AIR_PEAK_HU = (-1060, -940)  # air is -1000 by definition, clipped at -1024 by many scanners
AIR_SEARCHED_HU = (-1900, -500)
FAT_PEAK_HU, FAT_SEARCHED_HU = (-140, -70), (-250, 10)
UNDER_FAT_HU = (-250, -150)
PLAIN_AIR_HU, PLAIN_FAT_HU = (-1030, -970), (-125, -80)


def air_hu(image_ZYX: NDArray[np.int16]) -> float | None:
    """Return where the air around the patient lies, in HU; None where the scan shows none.

    A scan cut to the body may show only lungs, which are brighter than air. They are told from
    air at a wrong place by the fat, which would then be wrong, too.
    """
    low, high = AIR_SEARCHED_HU
    sample = image_ZYX[:, ::4, ::4]
    dark = sample[(sample > low) & (sample < high)]
    counts, edges = np.histogram(dark, bins=np.arange(low, high + 1, 20))
    peak = int(np.argmax(counts))
    if dark.size < 0.01 * sample.size:
        return None
    hu = float(np.median(dark[np.abs(dark - edges[peak] - 10) <= 70]))
    lungs = not _within(hu, AIR_PEAK_HU) and _within(_fat_hu(sample), FAT_PEAK_HU)
    return None if lungs else hu


def scale_is_shown(image_ZYX: NDArray[np.int16]) -> bool:
    """Return whether air, or else fat, lies just where it must, so that no intercept was lost.

    This vouches for an odd organ, so the limits are narrower than those of a check. Lungs may lie
    in the place of air, or muscle in that of fat: then fat lies below its place.
    """
    sample = image_ZYX[:, ::4, ::4]
    sample = sample[sample > sample.min()]  # the lowest is padding, or where the scan was clipped
    below, fat = (_count(sample, bounds) for bounds in (UNDER_FAT_HU, FAT_PEAK_HU))
    if below > fat / 2:
        return False
    air = air_hu(image_ZYX)
    if air is not None:
        return _within(air, PLAIN_AIR_HU)
    return _within(_fat_hu(sample), PLAIN_FAT_HU)


def _fat_hu(image: NDArray[np.int16]) -> float:
    """Where fat lies: a peak at its place with a valley on both sides, where there is one.

    Else the most frequent value from fat to water. Muscle and organs lie above, a fatty liver may
    be more frequent than the fat.
    """
    low, high = FAT_SEARCHED_HU
    counts, edges = np.histogram(image, bins=np.arange(low, high + 1, 10))
    smooth = np.convolve(counts, np.ones(3), mode="same")
    middles = edges[:-1] + 5
    there = np.flatnonzero((middles >= FAT_PEAK_HU[0]) & (middles <= FAT_PEAK_HU[1]))
    peak = int(there[np.argmax(smooth[there])])
    height, around = smooth[peak], smooth[peak - 2 : peak + 3]
    valleys = max(smooth[:peak].min(), smooth[peak:].min())
    darkest = counts[: there[0]].sum() < counts[there].sum() / 2  # else muscle in its place
    if darkest and height == around.max() and height > max(2 * valleys, smooth.max() / 4):
        return float(middles[peak])
    return float(middles[int(np.argmax(smooth))])


def _within(value: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] <= value <= bounds[1]


def _count(values: NDArray[np.int16], bounds: tuple[float, float]) -> int:
    return int(np.count_nonzero((values > bounds[0]) & (values <= bounds[1])))
