"""Rows whose gain is known to be real, and one whose gain is none (docs/sensitivity.md).

They differ from `unet` where its loss sees a part of the labels (`ground.labelled` under 1) alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmark.parts.networks import UNet
from benchmark.parts.stages import plain
from benchmark.plan.nodes import Arch, Row, Schedule, SeenLabels, Weights, field_from


@dataclass(frozen=True, kw_only=True)
class Spiked:
    """`unet` on more labels, or on others; with dose 0 and the same labels it is `unet`."""

    dose: float = field_from(0.0, "C", "share of the labels that unet lacks: its loss sees them")
    other: bool = field_from(False, "C", "its loss sees as many labels of other slices")
    ct: Arch = field_from(UNet, "S", "architecture of N_CT")
    schedule: Schedule = field_from(Schedule, "S", "of the training")

    def plan(self) -> Weights:
        """Return N_CT."""
        seen = SeenLabels(dose=self.dose, other=self.other)
        return replace(plain(self.ct, self.schedule), labels=seen)["ct"]


METHODS = {
    name: Row(
        method=method,
        group="spikes",
        title=name,
        about=about,
        source="ours: docs/methods.md section 6, how the suite is tested",
    )
    for name, about, method in (
        ("spike-25", "unet whose loss sees a quarter of the labels it lacks.", Spiked(dose=0.25)),
        ("spike-50", "unet whose loss sees half of the labels it lacks.", Spiked(dose=0.5)),
        ("spike-100", "unet whose loss sees every label.", Spiked(dose=1.0)),
        ("spike-null", "unet whose loss sees as many labels, of other slices.", Spiked(other=True)),
    )
}
