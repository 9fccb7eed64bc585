"""How a draw fills the sources of a training, from the training cases alone (plan/ground.py)."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from benchmark.errors import BadInput
from benchmark.parts.batch import onehot
from benchmark.plan.ground import MeanMask, OtherCase
from benchmark.plan.keys import draw_seed
from benchmark.plan.nodes import BatchSource

if TYPE_CHECKING:
    from benchmark.data.feeding.slices import CaseSlices

BEYOND = 0.5  # how far outside the ends of the reference organ the mean mask is known
FULL = 255  # a mean of 1, as it is stored


class Fill:
    """What a source shows beside each slice: organ masks (B, K, H, W) on the training grid, not
    augmented. `mode` says how augmentation interpolates them; `hidden` shows where nothing is
    known of what is shown (B, 1, H, W), None for nowhere."""

    def __init__(
        self, show: Callable[[Tensor], Tensor], mode: str, hidden: Fill | None = None
    ) -> None:
        self._show = show
        self.mode = mode
        self.hidden = hidden

    def __call__(self, rows: Tensor, device: torch.device) -> Tensor:
        """Return the masks beside the slices `rows` (global indices), on the device."""
        return self._show(rows).to(device, non_blocking=True)


def fill(
    source: BatchSource,
    cases: list[CaseSlices],
    label_NHW: Tensor,
    unknown_NHW: Tensor | None = None,
) -> Fill:
    """Return the fill of a source; `label_NHW` holds all slices of `cases`, one after the other,
    and `unknown_NHW` where nothing is known of them. What is unknown of another patient is hidden
    with that patient's masks; a mean is taken over the patients of whom a pixel is known.

    Raises `BadInput` where the cases do not allow it.
    """
    if isinstance(source, OtherCase):
        partner_N = torch.tensor(beside(cases, _all_partners(cases, source.seed)))
        organs = len(cases[0].annotated_K)
        hidden = None
        if unknown_NHW is not None:
            hidden = Fill(lambda rows: unknown_NHW[partner_N[rows]][:, None].float(), "nearest")
        return Fill(lambda rows: onehot(label_NHW[partner_N[rows]], organs), "nearest", hidden)
    if isinstance(source, MeanMask):
        bin_N = torch.tensor([_bin(case.height(z), source.bins) for case, z in _slices(cases)])
        means = mean_masks(cases, label_NHW, source.bins, unknown_NHW)
        return Fill(lambda rows: means[bin_N[rows]].float() / FULL, "bilinear")
    raise BadInput(f"no source of the kind {source.kind!r}")


def partners(cases: list[CaseSlices], seed: int) -> list[int | None]:
    """Return for each case the other case that stands in for it, a fixed pairing.

    A derangement within equal annotated organs and equal source. A case that is alone there gets
    one with the same organs from another source, else one with more organs annotated, else None.
    """
    groups: dict[tuple[tuple[bool, ...], str], list[int]] = defaultdict(list)
    for number, case in enumerate(cases):
        groups[tuple(case.annotated_K.tolist()), case.source].append(number)
    chosen: list[int | None] = [None] * len(cases)
    for stratum, members in sorted(groups.items()):
        random.Random(draw_seed("pairs", seed, str(stratum))).shuffle(members)
        for place, member in enumerate(members):
            other = members[(place + 1) % len(members)]
            chosen[member] = other if other != member else _stand_in(member, cases)
    return chosen


def _stand_in(member: int, cases: list[CaseSlices]) -> int | None:
    known = cases[member].annotated_K
    fitting = [
        (int(case.annotated_K.sum()), case.sha256, number)
        for number, case in enumerate(cases)
        if number != member and bool((case.annotated_K | ~known).all())
    ]
    return min(fitting)[2] if fitting else None


def _all_partners(cases: list[CaseSlices], seed: int) -> list[int]:
    """The pairing of training cases, where every case needs a partner."""
    paired = partners(cases, seed)
    for case, partner in zip(cases, paired, strict=True):
        if partner is None:
            raise BadInput(
                f"case {case.name} has no partner: no other training case has its organs "
                "annotated, so masks cannot be exchanged between patients"
            )
    return [partner for partner in paired if partner is not None]


def beside(cases: list[CaseSlices], partner: list[int]) -> list[int]:
    """Return for each slice of all cases its partner's slice at the same relative height."""
    lengths = [len(case.label_ZHW) for case in cases]
    first = [sum(lengths[:number]) for number in range(len(cases))]
    found = []
    for number, case in enumerate(cases):
        other = partner[number]
        for z in range(lengths[number]):
            found.append(first[other] + cases[other].nearest(case.height(z)))
    return found


def mean_masks(
    cases: list[CaseSlices], label_NHW: Tensor, bins: int, unknown_NHW: Tensor | None = None
) -> Tensor:
    """Return the mean mask at each relative height: (bins, K, H, W), uint8, 255 for a mean of 1;
    of each pixel over the cases in which it is known."""
    lengths = [len(case.label_ZHW) for case in cases]
    organs = len(cases[0].annotated_K)
    heights = torch.linspace(-BEYOND, 1 + BEYOND, bins).tolist()
    known_K = torch.stack([case.annotated_K for case in cases]).sum(dim=0).clamp_min(1)
    means = []
    for height in heights:
        places = [sum(lengths[:number]) + case.nearest(height) for number, case in enumerate(cases)]
        total_KHW = onehot(label_NHW[places], organs).sum(dim=0)
        known_KHW = known_K[:, None, None]
        if unknown_NHW is not None:
            annotated_CK = torch.stack([case.annotated_K for case in cases]).float()
            lost_KHW = torch.einsum("ck,chw->khw", annotated_CK, unknown_NHW[places].float())
            known_KHW = (known_KHW - lost_KHW).clamp_min(1)
        means.append((FULL * total_KHW / known_KHW).round().to(torch.uint8))
    return torch.stack(means)


def _bin(height: float, bins: int) -> int:
    share = (height + BEYOND) / (1 + 2 * BEYOND)
    return min(max(round(share * (bins - 1)), 0), bins - 1)


def _slices(cases: list[CaseSlices]) -> list[tuple[CaseSlices, int]]:
    return [(case, z) for case in cases for z in range(len(case.label_ZHW))]
