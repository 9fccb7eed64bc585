"""Views: changes of a batch before the objective sees it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from benchmark.parts.batch import Batch, mask_input
from benchmark.plan.nodes import check_choice, check_range

CORRUPTIONS = ("pixel", "block", "erode")
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
        return batch.with_entry("masks", mask_input(noisy_BHW, batch.annotated_BK))

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
    a teacher learns that "not annotated" is not "absent". One organ at least is kept.
    """

    kind: ClassVar[str] = "drop-organs"
    p: float = 0.1

    def __post_init__(self) -> None:
        check_range("drop", self.p, low=0, high=1)

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """Return the batch with fewer organs annotated."""
        known_BK = batch.annotated_BK
        draw_BK = torch.rand(known_BK.shape, generator=generator, device=known_BK.device)
        kept_BK = known_BK & (draw_BK >= self.p)
        none_left_B1 = ~kept_BK.any(dim=1, keepdim=True)
        return replace(batch, annotated_BK=torch.where(none_left_B1, known_BK, kept_BK))


def _border(label_BHW: Tensor) -> Tensor:
    """Return the pixels with a neighbour (4 of them) of another label."""
    padded = F.pad(label_BHW[:, None].float(), (1, 1, 1, 1), mode="replicate")[:, 0]
    here = label_BHW.float()
    sides = (padded[:, :-2, 1:-1], padded[:, 2:, 1:-1], padded[:, 1:-1, :-2], padded[:, 1:-1, 2:])
    return torch.stack([side != here for side in sides]).any(dim=0)
