"""From the pixels of a slice to those of the training grid, slice by slice."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def grid(native_hw: tuple[int, ...], size: int | None) -> tuple[int, int]:
    """Return height and width of the training grid of a slice."""
    height, width = native_hw
    if size is None:
        return height, width
    factor = size / max(height, width)
    return max(1, round(height * factor)), max(1, round(width * factor))


def hu_on_grid(hu_ZYX: Tensor, size: int | None) -> Tensor:
    """Return slices resampled as `on_training_grid` resamples them, each on its own."""
    height, width = grid(tuple(hu_ZYX.shape[1:]), size)
    if (height, width) == tuple(hu_ZYX.shape[1:]):
        return hu_ZYX
    return resampled_hu(hu_ZYX, height, width)


def resampled_hu(hu_ZYX: Tensor, height: int, width: int) -> Tensor:
    """Return slices of HU on a grid of that size, interpolated with antialiasing."""
    resampled = F.interpolate(
        hu_ZYX[:, None].float(), size=(height, width), mode="bilinear", antialias=True
    )
    return resampled[:, 0].round().to(torch.int16)


def resampled_labels(label_ZYX: Tensor, height: int, width: int) -> Tensor:
    """Slice by slice, since the one-hot volume of a large CT does not fit in memory.

    Only the classes of a slice are spread out, and only where there are any: a class that is not
    there has no area.
    """
    resampled = torch.zeros(len(label_ZYX), height, width, dtype=torch.uint8)
    sizes = tuple(zip(label_ZYX.shape[1:], (height, width), strict=True))
    for z, label_YX in enumerate(label_ZYX):
        classes = torch.bincount(label_YX.flatten()).nonzero()[:, 0].to(torch.uint8)
        if classes.tolist() == [0]:
            continue
        held = ((label_YX != 0).any(dim=1 - axis).nonzero() for axis in (0, 1))
        (y, to_y), (x, to_x) = (_cut(h, *size) for h, size in zip(held, sizes, strict=True))
        onehot = (label_YX[y, x] == classes[:, None, None])[None].float()
        size = (to_y.stop - to_y.start, to_x.stop - to_x.start)
        area = F.interpolate(onehot, size=size, mode="bilinear", antialias=True)
        resampled[z, to_y, to_x] = classes[area.argmax(dim=1)[0]]
    return resampled


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
