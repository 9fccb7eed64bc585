"""Test patients as measures see them: all slices near the organs, and another patient's beside."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from benchmark.data.feeding.draw import picked, stacked, stacked_unknown
from benchmark.data.feeding.fills import beside, partners
from benchmark.data.feeding.order import near_organs
from benchmark.data.feeding.slices import CaseSlices, network_input
from benchmark.parts.batch import Batch, Patient, mask_input
from benchmark.plan.ground import Ground

PAIRING = 0  # the seed of `fsm-shuffled`'s pairing


def patients(
    cases: list[CaseSlices], ground: Ground, *, stride: int, device: torch.device
) -> Iterator[Patient]:
    """Yield each case with the slices near its organs and, beside them, those of another of the
    cases at the same relative height. A case without a fitting partner has none."""
    ordered = sorted(cases, key=lambda case: case.sha256)
    paired = partners(ordered, PAIRING)
    parts = (*stacked(ordered, stride), stacked_unknown(ordered, stride))
    other_N = torch.tensor(beside(ordered, [n if p is None else p for n, p in enumerate(paired)]))
    first = 0
    for number, case in enumerate(ordered):
        slices = len(case.label_ZHW)
        rows = first + torch.from_numpy(near_organs(slices, case.range_Z, ground)).nonzero()[:, 0]
        batches = tuple(
            _batch(part, other_N[part], parts, case, ground, device)
            for part in torch.split(rows, ground.batch)
        )
        partner = paired[number]
        name = "" if partner is None else ordered[partner].name
        yield Patient(name=case.name, partner=name, batches=batches)
        first += slices


def _batch(
    rows: Tensor,
    others: Tensor,
    parts: tuple[Tensor | None, ...],
    case: CaseSlices,
    ground: Ground,
    device: torch.device,
) -> Batch:
    hu, label, valid, unknown = (picked(part, rows, device) for part in parts)
    other_hu, other_label, other_valid, hidden = (picked(part, others, device) for part in parts)
    known_BK = case.annotated_K.to(device).expand(len(rows), -1)
    return Batch(
        image_B1HW=network_input(hu, valid, ground),
        label_BHW=label.long(),
        annotated_BK=known_BK,
        valid_BHW=valid if unknown is None else valid & ~unknown,
        case_B=torch.zeros(len(rows), dtype=torch.long, device=device),
        position_B=torch.zeros(len(rows), device=device),
        loss_form=ground.loss,
        entries={
            "other_masks": mask_input(other_label.long(), known_BK, hidden),
            "other_image": network_input(other_hu, other_valid, ground),
        },
        unknown_BHW=unknown,
    )
