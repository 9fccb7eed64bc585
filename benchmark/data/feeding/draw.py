"""The draw that turns a step into a batch.

Everything random is a function of (seed, stream, step or epoch), so the order of batches does not
depend on workers, on resumption, or on names.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmark.data.feeding.fills import Fill, fill
from benchmark.data.feeding.order import Slices, Stream, parts_of
from benchmark.data.feeding.slices import WHOLE, CaseSlices, network_input
from benchmark.parts.batch import Batch, with_planes
from benchmark.plan.ground import Augmentation, Ground
from benchmark.plan.keys import draw_seed
from benchmark.plan.nodes import BatchSource, SeenLabels, Train

RESIDENT_SHARE = 0.5  # of the device's free memory that slices may take


class SliceDraw:
    """The batches of one training: `draw(step)` is a pure function of the step.

    Slices lie on the device where they fit, else in pinned host memory. An epoch is every slice
    in the organs' z-range widened by the margin plus a share of the others, once. Slices with
    the same organs are spread evenly over an epoch, so that most batches hold every organ. Where a
    part is labelled (`ground.labelled`), half of every batch is labelled slices.
    """

    def __init__(
        self,
        cases: Iterable[CaseSlices],
        ground: Ground,
        *,
        seed: int,
        stream: str,
        stride: int,
        device: torch.device,
        sources: Mapping[str, BatchSource] | None = None,
        labels: SeenLabels | None = None,
    ) -> None:
        # by content, not by name: two sets that differ in names only are one training
        ordered = sorted(cases, key=lambda case: case.sha256)
        self.case_names = tuple(case.name for case in ordered)
        self._ground, self._device = ground, device
        self._random = (seed, stream)
        self._slices = Slices(ordered, ground)
        self._parts, self._seen_N = parts_of(self._slices, ground, labels or SeenLabels())
        self._annotated_CK = torch.stack([case.annotated_K for case in ordered]).to(device)
        hu, label, valid = stacked(ordered, stride)
        unknown = stacked_unknown(ordered, stride)
        self._unknown = None if unknown is None else Fill(partial(_rows_of, unknown), "nearest")
        self._area = area_fill(ordered, stride) if ground.asks_areas else None
        self._fills = {
            name: fill(what, ordered, label, unknown) for name, what in (sources or {}).items()
        }
        self._hu_NHW, self._label_NHW, self._valid_NHW = _placed((hu, label, valid), device)
        self.steps_in_one_pass = self._slices.everything.per_epoch / ground.batch

    def __call__(self, step: int) -> Batch:
        """Return the batch of a step, augmented, on the device."""
        chosen = self._chosen(step)
        picked = torch.tensor(chosen, device=self._hu_NHW.device)
        hu, label, valid = (
            part[picked].to(self._device, non_blocking=True)
            for part in (self._hu_NHW, self._label_NHW, self._valid_NHW)
        )
        rows = torch.tensor(chosen)
        case_B = self._slices.case_N[rows].to(self._device)
        how, seed = self._ground.augmentation, draw_seed(*self._random, step)
        hu_BHW, label_BHW, valid_BHW = augment(hu.float(), label, valid, how, seed)
        known_BK = self._annotated_CK[case_B]
        entries = {
            name: with_planes(
                moved_alike(fill(rows, self._device), how, seed, fill.mode),
                known_BK,
                self._moved(fill.hidden, rows, seed),
            )
            for name, fill in self._fills.items()
        }
        unknown_BHW = self._moved(self._unknown, rows, seed)
        return Batch(
            image_B1HW=network_input(hu_BHW, valid_BHW, self._ground),
            label_BHW=label_BHW.long(),
            annotated_BK=known_BK,
            valid_BHW=valid_BHW if unknown_BHW is None else valid_BHW & ~unknown_BHW,
            case_B=case_B,
            position_B=self._slices.position_N[rows].to(self._device),
            loss_form=self._ground.loss,
            entries=entries,
            area_BKHW=self._areas_of(rows, seed),
            labelled_B=None if self._seen_N is None else self._seen_N[rows],
            unknown_BHW=unknown_BHW,
        )

    def _moved(self, pixels: Fill | None, rows: Tensor, seed: int) -> Tensor | None:
        """Pixels (B, H, W) of some slices, moved as the slices are; None for none."""
        if pixels is None:
            return None
        how = self._ground.augmentation
        return moved_alike(pixels(rows, self._device), how, seed, pixels.mode)[:, 0] > 0

    def _areas_of(self, rows: Tensor, seed: int) -> Tensor | None:
        """The shares of area of a batch, moved as its slices are, where they are the target."""
        if self._area is None:
            return None
        shares_BKHW = self._area(rows, self._device)
        return moved_alike(shares_BKHW, self._ground.augmentation, seed, self._area.mode)

    def _chosen(self, step: int) -> list[int]:
        """The slices of a step: of each stream, those that come next."""
        found = []
        for name, (stream, count) in self._parts.items():
            first = step * count
            found += [self._nth(stream, name, place) for place in range(first, first + count)]
        return found

    def _nth(self, stream: Stream, name: str, position: int) -> int:
        """The slice at a place of a stream's endless sequence of epochs."""
        epoch, place = divmod(position, stream.per_epoch)
        return stream.order(epoch, draw_seed(*self._random, f"epoch{name}", epoch))[place]


def draw_for(
    node: Train,
    cases: Iterable[CaseSlices],
    ground: Ground,
    *,
    seed: int,
    stride: int,
    device: torch.device,
) -> SliceDraw:
    """Return the draw of a training. What reads masks alone sees all of them, and its batches do
    not depend on the share of labels."""
    return SliceDraw(
        cases,
        ground if node.reads_image else replace(ground, labelled=1.0),
        seed=seed,
        stream=node.schedule.stream,
        stride=stride,
        device=device,
        sources=node.sources,
        labels=node.labels,
    )


def frame(cases: list[CaseSlices], stride: int) -> tuple[int, int]:
    """Return height and width of the largest slice, rounded up to the networks' stride."""
    height = max(case.hu_ZHW.shape[1] for case in cases)
    width = max(case.hu_ZHW.shape[2] for case in cases)
    return height + -height % stride, width + -width % stride


def area_fill(cases: list[CaseSlices], stride: int) -> Fill:
    """Return what shows the organs' shares of area of each slice, in the frame of `stacked`."""
    height, width = frame(cases, stride)
    parts = [cast(Tensor, case.area_ZKHW) for case in cases]
    shares_NKHW = torch.cat([_padded(part, height, width) for part in parts])
    return Fill(lambda rows: shares_NKHW[rows].float() / WHOLE, "bilinear")


def stacked(cases: list[CaseSlices], stride: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return HU, labels and validity (N, H, W) of all slices in one frame.

    It is padded to the largest slice and to the networks' stride.

    HU go on as at the edge, so that interpolation at the last valid pixel meets no foreign value.
    """
    height, width = frame(cases, stride)

    def continued(part: Tensor) -> Tensor:
        reach = ((0, 0), (0, height - part.shape[1]), (0, width - part.shape[2]))
        return torch.from_numpy(np.pad(part.numpy(), reach, mode="edge"))

    hu = torch.cat([continued(case.hu_ZHW) for case in cases])
    label = torch.cat([_padded(case.label_ZHW, height, width) for case in cases])
    whole = [torch.ones_like(case.label_ZHW) for case in cases]
    valid = torch.cat([_padded(part, height, width) for part in whole]).bool()
    return hu, label, valid


def stacked_unknown(cases: list[CaseSlices], stride: int) -> Tensor | None:
    """Return where nothing is known in all slices (N, H, W), in the frame of `stacked`; None
    where no case has such pixels."""
    if all(case.unknown_ZHW is None for case in cases):
        return None
    height, width = frame(cases, stride)
    parts = [
        torch.zeros_like(case.label_ZHW) if case.unknown_ZHW is None else case.unknown_ZHW.byte()
        for case in cases
    ]
    return torch.cat([_padded(part, height, width) for part in parts]).bool()


def picked(part: Tensor | None, rows: Tensor, device: torch.device) -> Any:
    """Return some slices of a part of `stacked` on the device; None of None."""
    return None if part is None else part[rows].to(device)


def _rows_of(unknown_NHW: Tensor, rows: Tensor) -> Tensor:
    return unknown_NHW[rows][:, None].float()


def _padded(part: Tensor, height: int, width: int) -> Tensor:
    return F.pad(part, (0, width - part.shape[-1], 0, height - part.shape[-2]))


def _placed(parts: tuple[Tensor, ...], device: torch.device) -> tuple[Tensor, ...]:
    """On the device where they fit, else pinned in host memory."""
    if device.type != "cuda":
        return parts
    needed = sum(part.numel() * part.element_size() for part in parts)
    free, _ = torch.cuda.mem_get_info(device)
    if needed <= RESIDENT_SHARE * free:
        return tuple(part.to(device) for part in parts)
    return tuple(part.pin_memory() for part in parts)


def augment(
    hu_BHW: Tensor, label_BHW: Tensor, valid_BHW: Tensor, how: Augmentation, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return HU (float), labels and validity, rotated, scaled, shifted, with HU shift and noise.

    Pixels that come from outside the slice are not valid. Geometry is drawn on the host and noise
    on the device, so it differs between kinds of device and not between runs on one.
    """
    draws = _draws(len(hu_BHW), seed)
    sampling = _grid(draws, how, hu_BHW)
    hu = F.grid_sample(
        hu_BHW[:, None], sampling, mode="bilinear", padding_mode="border", align_corners=False
    )[:, 0]
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
