"""Joint-Train: N_GT, N_CT and FSM in one training (Song et al., ISBI 2020, Table 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmark.parts import stages
from benchmark.parts.networks import UNet
from benchmark.parts.objectives import Joint, Matched
from benchmark.parts.probes import with_teacher
from benchmark.parts.similarity import Similarity, Taps
from benchmark.parts.views import DropOrgans, MaskNoise
from benchmark.plan.nodes import Arch, Net, Probe, Row, Schedule, Train, Weights, reading


@dataclass(frozen=True, kw_only=True)
class JointTrain:
    """L_GT + L_CT + xi * M from random weights; then stage 3 as in fsm."""

    xi: float = reading(0.3, "S", "weight of M")
    noise: float = reading(0.2, "S", "p of the corruption of N_GT's input")
    drop: float = reading(stages.DROP, "C", "chance that N_GT is not shown an annotated organ")
    taps: Taps = reading(((-1, -1),), "S", "(level of N_CT, level of N_GT); -1 is the bottom")
    norm: str = reading("relative", "C", "distance M: relative | rms | raw | exp")
    detach: bool = reading(False, "C", "M does not reach N_GT")
    refine: bool = reading(True, "C", "stage 3")
    refine_init: str = reading("auto", "C", "its decoder: n_gt | own | random | auto")
    ct: Arch = reading(UNet, "S", "architecture of N_CT")
    gt: Arch = reading(lambda: UNet(reads="masks"), "S", "architecture of N_GT")
    schedule: Schedule = reading(Schedule, "S", "of each stage")

    def __post_init__(self) -> None:
        self.plan()  # the parts check the ranges

    def plan(self) -> Weights:
        """Return N_CT after stage 3, or after the joint training without `refine`."""
        return self._final(self._joint())

    def stages(self) -> Mapping[str, Weights]:
        """Return N_CT before stage 3."""
        return {"stage2": self._joint()["ct"]} if self.refine else {}

    def probes(self) -> tuple[Probe, ...]:
        """Return the diagnostics of the joint training and of the final network."""
        joint, noise = self._joint(), MaskNoise(p=self.noise)
        return with_teacher(joint, self._final(joint), taps=self.taps, noise=noise)

    def flags(self) -> tuple[str, ...]:
        """Return what a reader of a table must know about this setting."""
        return stages.stage3_flags(self.refine_init, self.ct, self.gt) if self.refine else ()

    def _final(self, joint: Train) -> Weights:
        if not self.refine:
            return joint["ct"]
        return stages.stage3(joint["ct"], joint["gt"], self.refine_init)

    def _joint(self) -> Train:
        matched = Matched(xi=self.xi, norm=self.norm, taps=self.taps)
        fsm = Similarity(taps=self.taps)
        nets = {"ct": Net(arch=self.ct), "gt": Net(arch=self.gt), "fsm": Net(arch=fsm)}
        return Train(
            title="N_GT + N_CT + FSM",
            nets=nets,
            objective=Joint(matched=matched, detach=self.detach),
            schedule=self.schedule,
            views=(DropOrgans(p=self.drop, teacher_only=True), MaskNoise(p=self.noise)),
        )


METHODS = {
    "joint-train": Row(
        method=JointTrain(),
        group="paper",
        title="Joint-Train",
        about="N_GT, N_CT and FSM in one training, then stage 3.",
        source=stages.SONG,
        table1="Joint-Train",
    ),
}
