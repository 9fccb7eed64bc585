"""Augmentation on the device: the same for every row, drawn from (seed, stream, step)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmark.plan.ground import Augmentation


def augment(
    hu_BHW: Tensor, label_BHW: Tensor, valid_BHW: Tensor, how: Augmentation, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return HU (float), labels and validity, rotated, scaled, shifted, with HU shift and noise.

    Pixels that come from outside the slice are not valid. Geometry is drawn on the host and noise
    on the device, so it differs between kinds of device and not between runs on one.
    """
    draws = _draws(len(hu_BHW), seed)
    sampling = _grid(draws, how, hu_BHW)
    hu = F.grid_sample(hu_BHW[:, None], sampling, mode="bilinear", padding_mode="border",
                       align_corners=False)[:, 0]  # fmt: skip
    both = torch.stack([label_BHW.float(), valid_BHW.float()], dim=1)
    moved = F.grid_sample(both, sampling, mode="nearest", align_corners=False)
    noise_rng = torch.Generator(device=hu.device).manual_seed(seed)
    noise = torch.randn(hu.shape, generator=noise_rng, device=hu.device)
    shift_B11 = (draws[:, 4] * how.hu_shift).to(hu.device)[:, None, None]
    size_B11 = (draws[:, 5].abs() * how.hu_noise).to(hu.device)[:, None, None]
    return hu + shift_B11 + size_B11 * noise, moved[:, 0].to(label_BHW.dtype), moved[:, 1] > 0


def moved_alike(maps_BCHW: Tensor, how: Augmentation, seed: int, mode: str) -> Tensor:
    """Return other maps (B, C, H, W) of a batch moved as `augment` moves it with the same seed;
    0 comes in from outside. `mode` is `nearest` or `bilinear`."""
    sampling = _grid(_draws(len(maps_BCHW), seed), how, maps_BCHW[:, 0])
    return F.grid_sample(maps_BCHW, sampling, mode=mode, align_corners=False)


def _draws(samples: int, seed: int) -> Tensor:
    """Six numbers in [-1, 1) a sample: angle, scale, two shifts, HU shift, HU noise."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(samples, 6, generator=generator) * 2 - 1


def _grid(draws: Tensor, how: Augmentation, like_BHW: Tensor) -> Tensor:
    """Return the sampling grid (B, H, W, 2) of each sample's own affine map."""
    samples, height, width = like_BHW.shape
    angle = draws[:, 0] * math.radians(how.rotation_degrees)
    factor = 1 / (1 + draws[:, 1] * how.scale)
    aspect = height / width  # grid units are half-sides: without it a rotation would shear
    theta = torch.empty(samples, 2, 3)
    theta[:, 0, 0] = torch.cos(angle) * factor
    theta[:, 0, 1] = -torch.sin(angle) * factor * aspect
    theta[:, 1, 0] = torch.sin(angle) * factor / aspect
    theta[:, 1, 1] = torch.cos(angle) * factor
    theta[:, :, 2] = draws[:, 2:4] * how.shift * 2
    shape = [samples, 1, height, width]
    return F.affine_grid(theta.to(like_BHW.device), shape, align_corners=False)
