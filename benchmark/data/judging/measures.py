"""What is measured of a volume: size, place and HU of its organs, the body's middle, and whether
its intensities are HU: air and fat are the same in every patient and tell the scale.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.data.volume import Label, Volume
from benchmark.plan.organs import meant

Windows = list[tuple[slice, slice, slice] | None]
BODY_HU = -300


@dataclass(frozen=True, kw_only=True)
class Organ:
    """What is measured of one organ; `middle` is its centre in voxels (z, y, x)."""

    name: str
    hu: NDArray[np.int16]
    ml: float
    middle: tuple[float, float, float]
    z_range: tuple[int, int]
    cut: bool  # it reaches a face of the volume (or of its crop box), or unknown voxels
    cut_z: bool

    @property
    def meant(self) -> str:
        """Which organ the stored name means, as the checks call it."""
        return meant(self.name)


def organs_in(
    volume: Volume, organs: tuple[str, ...], windows: Windows | None = None
) -> Iterator[Organ]:
    """Yield what is measured of each organ that has a voxel, in the order of `organs`."""
    ml = float(np.prod(volume.geometry.spacing_mm)) / 1000
    ends = volume.box or tuple((0, size) for size in volume.label.shape)
    windows = windows or label_windows(volume.label, len(organs))
    for number, (name, window) in enumerate(zip(organs, windows, strict=True), start=1):
        if window is None:
            continue
        mask = volume.label[window] == number
        faces = [
            w.start <= first or w.stop >= behind
            for w, (first, behind) in zip(window, ends, strict=True)
        ]
        z, y, x = (
            float(np.average(np.arange(w.start, w.stop), weights=mask.sum(axis=others)))
            for w, others in zip(window, ((1, 2), (0, 2), (0, 1)), strict=True)
        )
        hu = volume.image[window][mask]
        yield Organ(
            name=name,
            hu=hu,
            ml=hu.size * ml,
            middle=(z, y, x),
            z_range=(window[0].start, window[0].stop - 1),
            cut=any(faces) or _meets(volume.unknown, window),
            cut_z=faces[0],
        )


def _meets(unknown: NDArray[np.bool_] | None, window: tuple[slice, ...]) -> bool:
    """Whether unknown voxels lie in a window or beside it."""
    if unknown is None:
        return False
    wide = tuple(slice(max(part.start - 1, 0), part.stop + 1) for part in window)
    return bool(unknown[wide].any())


def midline(volume: Volume, z_range: tuple[int, int]) -> float:
    """Return the middle of the body in X over some slices (first and last), in voxels."""
    body = volume.image[z_range[0] : z_range[1] + 1, ::4, :] > BODY_HU
    weights = body.sum(axis=(0, 1))
    if not weights.any():
        return float(body.shape[2] - 1) / 2
    return float(np.average(np.arange(body.shape[2]), weights=weights))


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


def label_windows(label: Label, organs: int) -> Windows:
    """Returns the bounding box of each of the organs, None for one without a voxel."""
    from scipy import ndimage  # slow to import

    held = (label.any(axis=(1, 2)), label.any(axis=(0, 2)), label.any(axis=(0, 1)))
    z, y, x = (np.flatnonzero(axis) for axis in held)
    if not len(z):
        return [None] * organs
    box = tuple(slice(int(axis[0]), int(axis[-1]) + 1) for axis in (z, y, x))
    found = ndimage.find_objects(label[box], organs)  # slow, and most of a scan is background
    return [None if window is None else _moved(window, box) for window in found]


def _moved(window: tuple[slice, ...], box: tuple[slice, ...]) -> tuple[slice, slice, slice]:
    z, y, x = (
        slice(part.start + whole.start, part.stop + whole.start)
        for part, whole in zip(window, box, strict=True)
    )
    return z, y, x
