"""Cases on the training grid: cut to their crop box, resampled in plane, nothing random."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from benchmark.data.volume import Label, Volume, inside
from benchmark.plan.ground import Ground

WHOLE = 255  # a whole pixel, in shares of its area
LEAST_SHARE = 1e-4  # of a pixel; less is the rounding of the interpolation
REFERENCE = "liver"  # annotated in every patient of both sets


@dataclass(frozen=True, kw_only=True)
class CaseSlices:
    """One case on the training grid: HU (int16) and labels (uint8), both (Z, H, W).

    `range_Z` is the first and last slice with any organ on the native grid: a small organ may
    vanish on a coarse one, and an epoch must not depend on the grid. `ends_Z` are the ends of the
    liver there (of all organs where there is none): relative heights are measured between them.
    `area_ZKHW` (uint8, `WHOLE` for a whole pixel) is each organ's share of a pixel's area, None
    where nobody asked for it. `unknown_ZHW` is true where a pixel holds any unknown voxel, None
    where the case has none; the label is 0 there.
    """

    name: str
    sha256: str
    hu_ZHW: Tensor
    label_ZHW: Tensor
    annotated_K: Tensor
    range_Z: tuple[int, int]
    ends_Z: tuple[int, int]
    source: str = ""
    area_ZKHW: Tensor | None = None
    unknown_ZHW: Tensor | None = None

    def height(self, z: int) -> float:
        """Return the relative height of a slice: 0 and 1 at the ends, beyond them outside."""
        low, high = self.ends_Z
        return (z - low) / max(1, high - low)

    def nearest(self, height: float) -> int:
        """Return the slice nearest to a relative height."""
        low, high = self.ends_Z
        return min(max(round(low + height * (high - low)), 0), len(self.label_ZHW) - 1)

    def without_ct(self) -> CaseSlices:
        """Return the case with masks alone: all its HU are 0, whoever reads them."""
        return replace(self, hu_ZHW=torch.zeros_like(self.hu_ZHW))


def on_training_grid(
    volume: Volume,
    organs: tuple[str, ...],
    size: int | None,
    sha256: str = "",
    *,
    areas: bool = False,
) -> CaseSlices:
    """Return a volume, cut to its crop box, resampled so that its longest side has `size` pixels.

    HU are interpolated with antialiasing; a label pixel is the class with the largest area in it;
    with `areas` the organs' shares of it are there too.
    """
    volume = inside(volume)
    label = np.ascontiguousarray(volume.label)
    hu = torch.from_numpy(np.ascontiguousarray(volume.image))
    labels, shares = torch.from_numpy(label), None
    height, width = training_grid(volume.image.shape[1:], size)
    is_native = (height, width) == tuple(volume.image.shape[1:])
    if not is_native:
        hu = _resampled_hu(hu, height, width)
    if areas or not is_native:
        organs_asked = len(organs) if areas else None
        labels, shares = _resampled_labels(labels, height, width, organs_asked)
    unknown = None
    if volume.unknown is not None and volume.unknown.any():
        unknown = _any_unknown(volume.unknown, height, width)
        labels = labels.masked_fill(unknown, 0)
    known = torch.tensor([organ in volume.annotated for organ in organs])
    return CaseSlices(
        name=volume.case,
        sha256=sha256,
        hu_ZHW=hu,
        label_ZHW=labels,
        annotated_K=known,
        range_Z=organ_range(label),
        ends_Z=organ_range(reference(label, organs)),
        source=volume.source,
        area_ZKHW=shares,
        unknown_ZHW=unknown,
    )


def _any_unknown(unknown_ZYX: NDArray[np.bool_], height: int, width: int) -> Tensor:
    """Where a pixel of the grid holds any unknown voxel (Z, H, W): its label is half a guess."""
    whole = torch.from_numpy(np.ascontiguousarray(unknown_ZYX))
    if (height, width) == tuple(whole.shape[1:]):
        return whole
    share = F.interpolate(
        whole[:, None].float(), size=(height, width), mode="bilinear", antialias=True
    )
    return share[:, 0] > LEAST_SHARE


def training_grid(native_hw: tuple[int, ...], size: int | None) -> tuple[int, int]:
    """Return height and width of the training grid of a slice."""
    height, width = native_hw
    if size is None:
        return height, width
    factor = size / max(height, width)
    return max(1, round(height * factor)), max(1, round(width * factor))


def hu_on_grid(hu_ZYX: Tensor, size: int | None) -> Tensor:
    """Return slices resampled as `on_training_grid` resamples them, each on its own."""
    height, width = training_grid(tuple(hu_ZYX.shape[1:]), size)
    if (height, width) == tuple(hu_ZYX.shape[1:]):
        return hu_ZYX
    return _resampled_hu(hu_ZYX, height, width)


def scaled(hu: Tensor, ground: Ground) -> Tensor:
    """Return HU clipped to the window and scaled to [0, 1]."""
    window = ground.hu_high - ground.hu_low
    return ((hu.float() - ground.hu_low) / window).clamp(0, 1)


def network_input(hu_BHW: Tensor, valid_BHW: Tensor, ground: Ground) -> Tensor:
    """Return slices in HU as a network reads them (B, 1, H, W): scaled, 0 where no pixel lies."""
    image_B1HW = (scaled(hu_BHW, ground) * valid_BHW)[:, None]
    return image_B1HW.contiguous(memory_format=torch.channels_last)


def reference(label_ZYX: Label, organs: tuple[str, ...]) -> Label:
    """Return the liver alone, or all organs where there is none."""
    chosen = label_ZYX == (organs.index(REFERENCE) + 1 if REFERENCE in organs else 0)
    return chosen.astype(np.uint8) if REFERENCE in organs and chosen.any() else label_ZYX


def organ_range(label_ZYX: Label) -> tuple[int, int]:
    """Return the first and last slice with any organ; all slices where there is none."""
    held = np.flatnonzero(label_ZYX.any(axis=(1, 2)))
    return (int(held[0]), int(held[-1])) if len(held) else (0, len(label_ZYX) - 1)


def _resampled_hu(hu_ZYX: Tensor, height: int, width: int) -> Tensor:
    resampled = F.interpolate(
        hu_ZYX[:, None].float(), size=(height, width), mode="bilinear", antialias=True
    )
    return resampled[:, 0].round().to(torch.int16)


def _resampled_labels(
    label_ZYX: Tensor, height: int, width: int, organs: int | None
) -> tuple[Tensor, Tensor | None]:
    """The labels (Z, H, W) and, where `organs` says how many there are, each one's share of each
    pixel's area (Z, K, H, W), uint8, `WHOLE` for a whole pixel."""
    slices = len(label_ZYX)
    labels = torch.zeros(slices, height, width, dtype=torch.uint8)
    shares = torch.zeros(slices, organs or 0, height, width, dtype=torch.uint8)
    for z, classes, area_CHW, place in _shares(label_ZYX, height, width):
        labels[z, *place] = classes[area_CHW.argmax(dim=0)]
        for number, area_HW in zip(classes.tolist(), area_CHW, strict=True):
            if organs and number:
                shares[z, number - 1, *place] = (WHOLE * area_HW).round().to(torch.uint8)
    return labels, shares if organs else None


def shares_of(label_YX: Tensor, classes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the share of each of `classes` in the area of each pixel of a slice on another grid
    of `size`, (classes, *size): the one way of a label to a grid."""
    onehot = (label_YX == classes[:, None, None])[None].float()
    return F.interpolate(onehot, size=size, mode="bilinear", antialias=True)[0]


def _shares(
    label_ZYX: Tensor, height: int, width: int
) -> Iterator[tuple[int, Tensor, Tensor, tuple[slice, slice]]]:
    """The slices that hold an organ: their number, their classes, each one's share of the area of
    each pixel of the other grid (classes, h, w), and where on that grid this part lies.

    Slice by slice, since the one-hot volume of a large CT does not fit in memory. Only the classes
    of a slice are spread out, and only where there are any: a class that is not there has no area.
    """
    sizes = tuple(zip(label_ZYX.shape[1:], (height, width), strict=True))
    for z, label_YX in enumerate(label_ZYX):
        classes = torch.bincount(label_YX.flatten()).nonzero()[:, 0].to(torch.uint8)
        if classes.tolist() == [0]:
            continue
        held = ((label_YX != 0).any(dim=1 - axis).nonzero() for axis in (0, 1))
        (y, to_y), (x, to_x) = (_cut(h, *size) for h, size in zip(held, sizes, strict=True))
        size = (to_y.stop - to_y.start, to_x.stop - to_x.start)
        yield z, classes, shares_of(label_YX[y, x], classes, size), (to_y, to_x)


def _cut(held: Tensor, native: int, grid: int) -> tuple[slice, slice]:
    """The part of an axis that resampling can touch, on the native grid and on the other.

    Both start and end where pixels of the two grids have a common edge, so that the part is
    resampled as within the whole; around it lie two pixels of the coarser grid.
    """
    common = math.gcd(native, grid)
    step = native // common
    margin = 2 * math.ceil(max(1, native / grid))
    first = max(int(held.min()) - margin, 0) // step
    behind = -(-min(int(held.max()) + 1 + margin, native) // step)
    fine = grid // common
    return slice(first * step, behind * step), slice(first * fine, behind * fine)
