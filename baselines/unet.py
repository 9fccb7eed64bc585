"""The plain U-Net: N_CT on the segmentation loss, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.parts.networks import UNet
from benchmark.parts.stages import plain
from benchmark.plan.nodes import Arch, Row, Schedule, Weights, reading


@dataclass(frozen=True, kw_only=True)
class Plain:
    """One training of N_CT on L."""

    ct: Arch = reading(UNet, "S", "architecture of N_CT")
    schedule: Schedule = reading(Schedule, "S", "of the training")

    def plan(self) -> Weights:
        """Return N_CT after its only training."""
        return plain(self.ct, self.schedule)["ct"]


METHODS = {
    "unet": Row(
        method=Plain(),
        group="paper",
        title="U-Net",
        about="N_CT trained on the segmentation loss alone.",
        source="Song et al., ISBI 2020, Table 1; Ronneberger et al., MICCAI 2015",
        table1="U-Net",
    ),
}
