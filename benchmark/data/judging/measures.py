"""What is measured of the organs of a volume: size, place and HU, and the body's middle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.data.judging.checks import Windows, label_windows
from benchmark.data.volume import Volume
from benchmark.plan.organs import meant

BODY_HU = -300


@dataclass(frozen=True, kw_only=True)
class Organ:
    """What is measured of one organ; `middle` is its centre in voxels (z, y, x)."""

    name: str
    hu: NDArray[np.int16]
    ml: float
    middle: tuple[float, float, float]
    z_range: tuple[int, int]
    cut: bool  # it reaches a face of the volume (or of its crop box)
    cut_z: bool

    @property
    def meant(self) -> str:
        """Which organ the stored name means, as the checks call it."""
        return meant(self.name)


def measure(
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
            cut=any(faces),
            cut_z=faces[0],
        )


def midline(volume: Volume, z_range: tuple[int, int]) -> float:
    """Return the middle of the body in X over some slices (first and last), in voxels."""
    body = volume.image[z_range[0] : z_range[1] + 1, ::4, :] > BODY_HU
    weights = body.sum(axis=(0, 1))
    if not weights.any():
        return float(body.shape[2] - 1) / 2
    return float(np.average(np.arange(body.shape[2]), weights=weights))
