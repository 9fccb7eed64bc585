"""U-Net+Trans: N_CT starts from N_GT's weights and is held near them (Song et al., Table 1)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmark.errors import BadInput
from benchmark.parts import stages
from benchmark.parts.anchoring import HEAD, Anchored
from benchmark.parts.networks import UNet, decoders_fit
from benchmark.parts.views import MaskNoise
from benchmark.plan.nodes import Arch, Net, Row, Schedule, Train, Weights, reading


@dataclass(frozen=True, kw_only=True)
class ParamTransfer:
    """N_GT as in fsm; N_CT from its weights, first convolution and head from the paired start."""

    beta: float = reading(0.3, "C", "weight of the distance to N_GT's weights; grid 0.01..10")
    scope: str = reading("all", "C", "layers that are held: all | encoder | decoder")
    init_only: bool = reading(False, "C", "start from N_GT's weights and hold none")
    freeze_decoder: bool = reading(False, "C", "N_GT's decoder is not trained; the head is")
    noise: float = reading(0.2, "S", "p of the corruption of N_GT's input")
    drop: float = reading(stages.DROP, "C", "chance that stage 1 hides an annotated organ")
    ct: Arch = reading(UNet, "S", "architecture of N_CT")
    gt: Arch = reading(lambda: UNet(reads="masks"), "S", "architecture of N_GT; must be ct's")
    schedule: Schedule = reading(Schedule, "S", "of each training")

    def __post_init__(self) -> None:
        if not decoders_fit(self.ct, self.gt):
            raise BadInput("param-transfer needs one architecture for ct and gt: weights have no "
                           "place in another network")  # fmt: skip
        self.plan()  # the parts check the ranges

    def plan(self) -> Weights:
        """Return N_CT."""
        noise = MaskNoise(p=self.noise)
        n_gt = stages.teacher(self.gt, self.schedule, noise=noise, drop=self.drop)["gt"]
        shared = replace(n_gt, without=(HEAD,), where_equal=True)
        trainable = ("encoder", HEAD) if self.freeze_decoder else ("",)
        beta = 0.0 if self.init_only else self.beta
        ct = Net(arch=self.ct, init=(shared,), trainable=trainable)
        return Train(
            title="N_CT held near N_GT",
            nets={"ct": ct, "gt": stages.frozen(n_gt)},
            objective=Anchored(beta=beta, scope=self.scope),
            schedule=self.schedule,
        )["ct"]


METHODS = {
    "param-transfer": Row(
        method=ParamTransfer(),
        group="paper",
        title="U-Net+Trans",
        about="N_CT starts from N_GT's weights, with a penalty on the distance.",
        source=stages.SONG,
        table1="U-Net+Trans",
    ),
}
