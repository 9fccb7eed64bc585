"""Controls that tell transfer of knowledge from its look-alikes (docs/methods.md section 6).

Each changes only what FSM sees in stage 2, or where stage 3 starts. Stage 3 always starts from the
decoder and head of the same trained N_GT as in fsm, unless its name says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmark.parts import stages
from benchmark.plan.nodes import Row, Weights, field_from
from methods.fsm import Fsm

SOURCE = "ours: docs/methods.md section 6"


@dataclass(frozen=True, kw_only=True)
class Refined(stages.TwoNetworks):
    """No FSM (xi = 0): the plain training, then stage 3."""

    refine_init: str = field_from("n_gt", "C", "decoder of stage 3: n_gt | own | random")

    def plan(self) -> Weights:
        """Return N_CT after stage 3."""
        return stages.stage3(self._plain(), self.stage1()["gt"], self.refine_init)

    def stages(self) -> Mapping[str, Weights]:
        """Return N_CT before stage 3: it is the row `unet`."""
        return {"stage2": self._plain()}

    def _plain(self) -> Weights:
        return stages.plain(self.ct, self.schedule)["ct"]


METHODS = {
    name: Row(method=method, group="controls", title=name, about=about, source=SOURCE)
    for name, about, method in (
        ("refine-own", "unet, then stage 3 from its own decoder.", Refined(refine_init="own")),
        ("refine-random", "unet, then stage 3 from random weights.", Refined(refine_init="random")),
        ("refine-gt", "unet, then stage 3 from N_GT's decoder: no FSM.", Refined()),
        ("fsm-refine-own", "fsm, then stage 3 from N_CT's own decoder.", Fsm(refine_init="own")),
        ("fsm-shuffled", "FSM sees the masks of another training patient.", Fsm(sees="other")),
        ("fsm-mean-shape", "FSM sees the fold's mean mask.", Fsm(sees="mean")),
        ("fsm-random-teacher", "FSM sees an untrained N_GT.", Fsm(teacher="untrained")),
        ("fsm-constant", "Sc = Ss = 1: no ground truth in stage 2.", Fsm(stats="constant")),
        ("fsm-frozen", "w_M stays at its random start.", Fsm(learn_fsm=False)),
        ("fsm-no-target", "M does not reach N_CT through T.", Fsm(gradient="no_target")),
        ("fsm-teacher-no-skips", "FSM sees an N_GT without skips.", Fsm(teacher="no_skips")),
        ("fsm-ct-teacher", "FSM sees a U-Net trained on CT.", Fsm(teacher="ct")),
    )
}
