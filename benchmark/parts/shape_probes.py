"""Diagnostics of shape models: do they restore, and do their terms weigh anything?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from benchmark.parts.batch import Batch, Patient
from benchmark.parts.shapes import foreground, true_foreground
from benchmark.parts.views import CORRUPTED, CorruptShapes
from benchmark.plan.keys import draw_seed
from benchmark.plan.nodes import Objective

NEGLIGIBLE_SHARE = 0.05  # docs/methods.md section 2, shape-loss


@dataclass(frozen=True, kw_only=True)
class ShapeModelProbe:
    """Whether D(E(corrupt y)) is nearer to y than corrupt y is: mean squared distances over
    voxels, on the view's corrupted masks of the test patients."""

    kind: ClassVar[str] = "shape-model"
    view: CorruptShapes
    net: str = "shape"

    def __call__(self, nets: Mapping[str, nn.Module], patient: Patient) -> dict[str, float]:
        """Return `corrupt_error`, `restored_error` and `restored_percent`, how much went away."""
        corrupt, restored = 0.0, 0.0
        for number, batch in enumerate(patient.batches):
            given = self._corrupted(batch, patient.name, number)
            truth = true_foreground(batch)
            guess = foreground(nets[self.net](given), batch)
            corrupt += float((given[:, : truth.shape[1]] - truth).square().sum())
            restored += float((guess - truth).square().sum())
        if not corrupt:
            return {}
        percent = 100 * (corrupt - restored) / corrupt
        errors = {"corrupt_error": corrupt, "restored_error": restored}
        return {**errors, "restored_percent": percent}

    def flags(self, means: Mapping[str, float]) -> tuple[str, ...]:
        """Return `shape_model_is_identity` where nothing is restored."""
        percent = means.get("restored_percent", 1.0)
        flag = f"shape_model_is_identity: it takes {percent:z.0f} % of the corruption away"
        return (flag,) if percent <= 0 else ()

    def _corrupted(self, batch: Batch, name: str, number: int) -> Tensor:
        generator = torch.Generator(device=batch.label_BHW.device)
        generator.manual_seed(draw_seed("corrupt", name, number))
        return self.view(batch, generator).entries[CORRUPTED]


@dataclass(frozen=True, kw_only=True)
class TermShares:
    """The share of each term in the objective's value, on the test patients."""

    kind: ClassVar[str] = "term-shares"
    objective: Objective
    terms: tuple[str, ...]

    def __call__(self, nets: Mapping[str, nn.Module], patient: Patient) -> dict[str, float]:
        """Return `TERM_share` in [0, 1]."""
        sums: dict[str, float] = {}
        for batch in patient.batches:
            for name, term in self.objective(nets, batch).items():
                sums[name] = sums.get(name, 0.0) + float(term) * len(batch.image_B1HW)
        total = sum(sums.values())
        return {f"{name}_share": sums[name] / total for name in self.terms} if total else {}

    def flags(self, means: Mapping[str, float]) -> tuple[str, ...]:
        """Return `shape_term_negligible` for each term under 5 %."""
        shares = {name: means.get(f"{name}_share", 1.0) for name in self.terms}
        return tuple(
            f"shape_term_negligible: {name} is {100 * share:z.1f} % of the loss"
            for name, share in shares.items()
            if share < NEGLIGIBLE_SHARE
        )
