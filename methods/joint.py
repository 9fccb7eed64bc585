"""Joint-Train: N_GT, N_CT and FSM in one training (Song et al., ISBI 2020, Table 1)."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.errors import BadInput
from benchmark.parts import stages
from benchmark.parts.objectives import Joint, Matched
from benchmark.parts.similarity import Similarity
from benchmark.parts.views import DropOrgans
from benchmark.plan.nodes import Net, Row, Train, Weights, field_from
from methods.fsm import MadeSimilar


@dataclass(frozen=True, kw_only=True)
class JointTrain(MadeSimilar):
    """L_GT + L_CT + xi * M from random weights; then stage 3 as in fsm."""

    xi: float = field_from(0.3, "S", "weight of M")
    drop: float = field_from(stages.DROP, "C", "chance that N_GT is not shown an annotated organ")
    detach: bool = field_from(False, "C", "M does not reach N_GT")
    refine: bool = field_from(True, "C", "stage 3")
    refine_init: str = field_from("auto", "C", "its decoder: n_gt | own | random | auto")

    def similar(self) -> tuple[Train, Weights]:
        """Return the joint training, and its N_GT. Raises `BadInput` for an atlas."""
        if self.atlas:
            raise BadInput(
                "atlas = true: N_GT is trained beside N_CT here, on patients with a CT alone; "
                "choose another row, such as fsm-atlas"
            )
        matched = Matched(xi=self.xi, norm=self.norm, taps=self.taps)
        fsm = Similarity(taps=self.taps)
        joint = Train(
            title="N_GT + N_CT + FSM",
            nets={"ct": Net(arch=self.ct), "gt": Net(arch=self.gt), "fsm": Net(arch=fsm)},
            objective=Joint(matched=matched, detach=self.detach),
            schedule=self.schedule,
            views=(DropOrgans(p=self.drop, teacher_only=True), self.mask_noise()),
        )
        return joint, joint["gt"]


METHODS = {
    "joint-train": Row(
        method=JointTrain(),
        group="paper",
        title="Joint-Train",
        about="N_GT, N_CT and FSM in one training, then stage 3.",
        source=stages.SONG,
        table1="Joint-Train",
    )
}
