"""Views: changes of a batch before the objective sees it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from benchmark.parts.batch import Batch, mask_input
from benchmark.plan.nodes import check_choice, check_range, later

CORRUPTIONS = ("pixel", "block", "erode")
LEFT = "annotated_for_the_teacher"
CORRUPTED = "corrupted"  # masks for a shape model (B, 2K, H, W)
EARLY = "early"  # the samples (B) for which it reads an early prediction instead
BLOCK = 4  # side of a block of the `block` corruption, in pixels


@dataclass(frozen=True, kw_only=True)
class MaskNoise:
    """Noise on a teacher's input; the label, hence the target, stays clean.

    `pixel`: each foreground pixel becomes background with probability `p` (paper, section 2.1).
    `block`: the same for blocks of 4x4 pixels. `erode`: each sample's masks are eroded by one
    pixel with probability `p`. Drawn anew at every step.
    """

    kind: ClassVar[str] = "mask-noise"
    p: float = 0.2
    corruption: str = "pixel"

    def __post_init__(self) -> None:
        check_range("noise", self.p, low=0, high=1)
        check_choice("corruption", self.corruption, CORRUPTIONS)

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """Return the batch with the entry "masks" (B, 2K, H, W) that the teacher reads."""
        lost_BHW = self._lost(batch.label_BHW, generator)
        noisy_BHW = batch.label_BHW.masked_fill(lost_BHW, 0)
        known_BK = as_the_teacher_sees(batch).annotated_BK
        return batch.with_entry("masks", mask_input(noisy_BHW, known_BK, batch.unknown_BHW))

    def _lost(self, label_BHW: Tensor, generator: Generator) -> Tensor:
        samples, height, width = label_BHW.shape
        device = label_BHW.device
        if self.corruption == "pixel":
            return torch.rand(label_BHW.shape, generator=generator, device=device) < self.p
        if self.corruption == "block":
            coarse = (samples, 1, -(-height // BLOCK), -(-width // BLOCK))
            hit = (torch.rand(coarse, generator=generator, device=device) < self.p).float()
            grown = F.interpolate(hit, scale_factor=float(BLOCK), mode="nearest")
            return grown[:, 0, :height, :width] > 0
        hit_B = torch.rand(samples, generator=generator, device=device) < self.p
        return _border(label_BHW) & hit_B[:, None, None]


@dataclass(frozen=True, kw_only=True)
class DropOrgans:
    """Pretend at random that an annotated organ is not annotated in a sample.

    Its mask and its plane leave a teacher's input together, and its term leaves the loss, so that
    a teacher learns that "not annotated" is not "absent". One organ at least is kept. With
    `teacher_only` the batch stays as it is for N_CT, and what is left for N_GT is an entry.
    """

    kind: ClassVar[str] = "drop-organs"
    p: float = 0.1
    teacher_only: bool = later(False)

    def __post_init__(self) -> None:
        check_range("drop", self.p, low=0, high=1)

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """Return the batch with fewer organs annotated."""
        known_BK = batch.annotated_BK
        draw_BK = torch.rand(known_BK.shape, generator=generator, device=known_BK.device)
        kept_BK = known_BK & (draw_BK >= self.p)
        none_left_B1 = ~kept_BK.any(dim=1, keepdim=True)
        left_BK = torch.where(none_left_B1, known_BK, kept_BK)
        if self.teacher_only:
            return batch.with_entry(LEFT, left_BK)
        return replace(batch, annotated_BK=left_BK)


@dataclass(frozen=True, kw_only=True)
class CorruptShapes:
    """Errors as a segmentation makes them, on a shape model's input; the target stays clean.

    Each sample gets `discs` discs, each filled with a random class (background too), of a radius up
    to `radius` of the grid's longer side; with probability a half its masks are eroded by a
    pixel; with probability `early` the entry "early" asks for an early prediction instead
    (Ravishankar et al., MICCAI 2017; Larrazabal et al., TMI 2020).
    """

    kind: ClassVar[str] = "corrupt-shapes"
    discs: int = 3
    radius: float = 0.05
    early: float = 0.0

    def __post_init__(self) -> None:
        check_range("discs", self.discs, low=0, high=100)
        check_range("radius", self.radius, low=0, high=1)
        check_range("early", self.early, low=0, high=1)

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """Return the batch with the entries "corrupted" and "early"."""
        label_BHW, organs = batch.label_BHW, batch.annotated_BK.shape[1]
        samples, height, width = label_BHW.shape
        device = label_BHW.device
        draws = torch.rand(self.discs, samples, 4, generator=generator, device=device)
        y_H1 = torch.arange(height, device=device)[:, None]
        x_1W = torch.arange(width, device=device)[None, :]
        for disc_B4 in draws:
            y, x, size, organ = (part[:, None, None] for part in disc_B4.unbind(dim=1))
            far = (y_H1 - y * height) ** 2 + (x_1W - x * width) ** 2
            inside = far <= (size * self.radius * max(height, width)) ** 2
            label_BHW = torch.where(inside, (organ * (organs + 1)).long(), label_BHW)
        choices_2B = torch.rand(2, samples, generator=generator, device=device)
        eroded = _border(label_BHW) & (choices_2B[0] < 0.5)[:, None, None]
        label_BHW = label_BHW.masked_fill(eroded, 0)
        corrupted = mask_input(label_BHW, batch.annotated_BK, batch.unknown_BHW)
        return batch.with_entry(CORRUPTED, corrupted).with_entry(EARLY, choices_2B[1] < self.early)


def as_the_teacher_sees(batch: Batch) -> Batch:
    """Return the batch with the organs that `DropOrgans` left for N_GT alone, if it did."""
    return replace(batch, annotated_BK=batch.entries.get(LEFT, batch.annotated_BK))


def _border(label_BHW: Tensor) -> Tensor:
    """Return the pixels with a neighbour (4 of them) of another label."""
    padded = F.pad(label_BHW[:, None].float(), (1, 1, 1, 1), mode="replicate")[:, 0]
    here = label_BHW.float()
    sides = (padded[:, :-2, 1:-1], padded[:, 2:, 1:-1], padded[:, 1:-1, :-2], padded[:, 1:-1, 2:])
    return torch.stack([side != here for side in sides]).any(dim=0)
