"""The draw that turns a step into a batch.

Everything random is a function of (seed, stream, step or epoch), so the order of batches does not
depend on workers, on resumption, or on names.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from benchmark.data.feeding.fills import Fill, fill
from benchmark.data.feeding.slices import WHOLE, CaseSlices, network_input, organ_range
from benchmark.data.volume import Label
from benchmark.parts.batch import Batch, with_planes
from benchmark.plan.ground import Augmentation, Ground
from benchmark.plan.keys import draw_seed
from benchmark.plan.nodes import BatchSource

RESIDENT_SHARE = 0.5  # of the device's free memory that slices may take


class SliceDraw:
    """The batches of one training: `draw(step)` is a pure function of the step.

    Slices lie on the device where they fit, else in pinned host memory. An epoch is every slice
    in the organs' z-range widened by the margin plus a share of the others, once. Slices with
    the same organs are spread evenly over an epoch, so that most batches hold every organ.
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
    ) -> None:
        # by content, not by name: two sets that differ in names only are one training
        ordered = sorted(cases, key=lambda case: case.sha256)
        self.case_names = tuple(case.name for case in ordered)
        self._ground, self._device = ground, device
        self._random = (seed, stream)
        self._index = _Index(ordered, ground)
        self._annotated_CK = torch.stack([case.annotated_K for case in ordered]).to(device)
        hu, label, valid = stacked(ordered, stride)
        self._area = area_fill(ordered, stride) if ground.asks_areas else None
        self._fills = {name: fill(what, ordered, label) for name, what in (sources or {}).items()}
        self._hu_NHW, self._label_NHW, self._valid_NHW = _placed((hu, label, valid), device)
        self.steps_in_one_pass = self._index.per_epoch / ground.batch

    def __call__(self, step: int) -> Batch:
        """Return the batch of a step, augmented, on the device."""
        size = self._ground.batch
        chosen = [self._nth(position) for position in range(step * size, (step + 1) * size)]
        picked = torch.tensor(chosen, device=self._hu_NHW.device)
        hu, label, valid = (
            part[picked].to(self._device, non_blocking=True)
            for part in (self._hu_NHW, self._label_NHW, self._valid_NHW)
        )
        rows = torch.tensor(chosen)
        case_B = self._index.case_N[rows].to(self._device)
        how, seed = self._ground.augmentation, draw_seed(*self._random, step)
        hu_BHW, label_BHW, valid_BHW = augment(hu.float(), label, valid, how, seed)
        known_BK = self._annotated_CK[case_B]
        entries = {
            name: with_planes(moved_alike(fill(rows, self._device), how, seed, fill.mode), known_BK)
            for name, fill in self._fills.items()
        }
        return Batch(
            image_B1HW=network_input(hu_BHW, valid_BHW, self._ground),
            label_BHW=label_BHW.long(),
            annotated_BK=known_BK,
            valid_BHW=valid_BHW,
            case_B=case_B,
            position_B=self._index.position_N[rows].to(self._device),
            loss_form=self._ground.loss,
            entries=entries,
            area_BKHW=self._areas_of(rows, seed),
        )

    def _areas_of(self, rows: Tensor, seed: int) -> Tensor | None:
        """The shares of area of a batch, moved as its slices are, where they are the target."""
        if self._area is None:
            return None
        shares_BKHW = self._area(rows, self._device)
        return moved_alike(shares_BKHW, self._ground.augmentation, seed, self._area.mode)

    def _nth(self, position: int) -> int:
        """The slice at a place of the endless sequence of epochs."""
        epoch, place = divmod(position, self._index.per_epoch)
        return self._index.order(epoch, draw_seed(*self._random, "epoch", epoch))[place]


class _Index:
    """Which slices an epoch takes, and in which order."""

    def __init__(self, cases: list[CaseSlices], ground: Ground) -> None:
        inside: list[int] = []
        outside: list[int] = []
        strata: list[tuple[int, ...]] = []
        case_N: list[int] = []
        position_N: list[float] = []
        for number, case in enumerate(cases):
            near_Z = near_organs(len(case.label_ZHW), case.range_Z, ground)
            for z in range(len(case.label_ZHW)):
                (inside if near_Z[z] else outside).append(len(case_N))
                strata.append(tuple(np.unique(case.label_ZHW[z].numpy()).tolist()))
                case_N.append(number)
                position_N.append(case.height(z))
        self.case_N, self.position_N = torch.tensor(case_N), torch.tensor(position_N)
        self._inside, self._outside, self._strata = inside, outside, strata
        self._others = _others(len(inside), len(outside), ground)
        self.per_epoch = len(inside) + self._others
        self._cache: tuple[int, list[int]] = (-1, [])

    def order(self, epoch: int, seed: int) -> list[int]:
        """Return the slices of one epoch in order: a random member of each stratum in turn."""
        if self._cache[0] != epoch:
            self._cache = (epoch, self._drawn(np.random.default_rng(seed)))
        return self._cache[1]

    def _drawn(self, rng: np.random.Generator) -> list[int]:
        others = rng.permutation(np.array(self._outside, dtype=int))[: self._others].tolist()
        groups: dict[tuple[int, ...], list[int]] = {}
        for member in [*self._inside, *others]:
            groups.setdefault(self._strata[member], []).append(member)
        placed: list[tuple[float, int]] = []
        for _, members in sorted(groups.items()):
            shuffled = rng.permutation(members).tolist()
            offset = rng.random()
            placed += [((i + offset) / len(shuffled), m) for i, m in enumerate(shuffled)]
        return [member for _, member in sorted(placed)]


def near_and_far(label_ZYX: Label, ground: Ground) -> tuple[int, int]:
    """Return how many slices of a case an epoch takes all of, and how many are the others."""
    near = int(near_organs(len(label_ZYX), organ_range(label_ZYX), ground).sum())
    return near, len(label_ZYX) - near


def epoch_length(counts: Iterable[tuple[int, int]], ground: Ground) -> int:
    """Return how many slices make one epoch of cases with these counts."""
    known = list(counts)
    near = sum(count for count, _ in known)
    return near + _others(near, sum(count for _, count in known), ground)


def near_organs(slices: int, range_Z: tuple[int, int], ground: Ground) -> NDArray[np.bool_]:
    """Return which slices lie within the organs' z-range widened by the margin (Z)."""
    low, high = range_Z
    reach = ground.margin * (high - low + 1)
    z = np.arange(slices)
    near: NDArray[np.bool_] = (z >= low - reach) & (z <= high + reach)
    return near


def _others(inside: int, outside: int, ground: Ground) -> int:
    return min(outside, round(ground.others * inside))


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
