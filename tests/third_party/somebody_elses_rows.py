"""A row that somebody else adds: N_CT on the usual loss plus a penalty on its bottom features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from benchmark.parts.batch import Batch
from benchmark.parts.networks import UNet
from benchmark.parts.objectives import segmentation_terms
from benchmark.plan.nodes import Arch, Net, Row, Schedule, Train, Weights, field_from


@dataclass(frozen=True, kw_only=True)
class SmallBottom:
    """L + weight * mean |F| at the bottom."""

    kind: ClassVar[str] = "somebody/small-bottom"
    weight: float = 0.01

    def __call__(self, nets: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Return the terms of the segmentation loss and "bottom"."""
        features = nets["ct"].encoder(batch.image_B1HW)
        terms = segmentation_terms(nets["ct"].decoder(features), batch)
        return {**terms, "bottom": self.weight * features[-1].abs().mean()}


@dataclass(frozen=True, kw_only=True)
class Sparse:
    """One training."""

    weight: float = field_from(0.01, "C", "of the penalty")
    ct: Arch = field_from(UNet, "C", "architecture of N_CT")
    schedule: Schedule = field_from(Schedule, "C", "of the training")

    def plan(self) -> Weights:
        """Return N_CT."""
        node = Train(
            title="N_CT with a small bottom",
            nets={"ct": Net(arch=self.ct)},
            objective=SmallBottom(weight=self.weight),
            schedule=self.schedule,
        )
        return node["ct"]


METHODS = {
    "small-bottom": Row(
        method=Sparse(),
        group="beyond",
        title="small-bottom",
        about="L + 0.01 * mean |F|.",
        source="nobody",
    )
}
