"""What of a fold's training patients one training is given: whose data, and which labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from benchmark.plan.fields import check_range

CT, ATLAS = CASES = ("ct", "atlas")  # patients with a CT; masks of all, where no CT can be read


@dataclass(frozen=True, kw_only=True)
class SeenLabels:
    """Which labels N_CT's loss sees where the ground leaves a share s (`Ground.labelled`).

    `dose` d adds labels: a share s + d * (1 - s), with those of s among them. `other` takes as many
    labels of other slices. Where all are seen it changes nothing.
    """

    kind: ClassVar[str] = "seen-labels"
    dose: float = 0.0
    other: bool = False

    def __post_init__(self) -> None:
        check_range("dose", self.dose, low=0, high=1)
