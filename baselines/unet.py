"""The plain U-Net: N_CT on the segmentation loss, and also with fsm's budget on CT."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.parts.networks import UNet
from benchmark.parts.stages import again, plain
from benchmark.plan.nodes import Arch, Row, Schedule, Weights, field_from


@dataclass(frozen=True, kw_only=True)
class Plain:
    """One training of N_CT on L; with `restart` a second one follows, with a fresh Adam."""

    ct: Arch = field_from(UNet, "S", "architecture of N_CT")
    schedule: Schedule = field_from(Schedule, "S", "of each training")
    restart: bool = field_from(False, "C", "train a second time from there")

    def plan(self) -> Weights:
        """Return N_CT after its last training."""
        first = plain(self.ct, self.schedule)["ct"]
        return again(self.ct, first, self.schedule, "restart")["ct"] if self.restart else first


BUDGET = "ours: docs/methods.md section 6, fsm's 200 epochs on CT"
METHODS = {
    "unet": Row(
        method=Plain(),
        group="paper",
        title="U-Net",
        about="N_CT trained on the segmentation loss alone.",
        source="Song et al., ISBI 2020, Table 1; Ronneberger et al., MICCAI 2015",
        table1="U-Net",
    ),
} | {
    name: Row(method=method, group="controls", title=name, about=about, source=BUDGET)
    for name, about, method in (
        (
            "unet-200",
            "unet for twice as long (200 epochs in the preset paper).",
            Plain(schedule=Schedule(epochs=200)),
        ),
        (
            "unet-200-restart",
            "unet for 100 epochs, then 100 more with a fresh Adam.",
            Plain(restart=True),
        ),
    )
}
