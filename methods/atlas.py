"""FSM with an atlas: masks of patients whose CT nobody has (docs/decisions/0029).

N_GT is trained on the masks of all training patients, N_CT on the CTs of `ground.train_cases`.
"""

from __future__ import annotations

from benchmark.plan.nodes import Row
from methods.controls import Refined
from methods.fsm import Fsm

SAME = "With every CT (no ground.train_cases) it has the weights of"
METHODS = {
    name: Row(
        method=method,
        group="atlas",
        title=name,
        about=f"{about} {SAME} {twin}.",
        source="ours: docs/methods.md section 6, learning curves",
    )
    for name, about, method, twin in (
        (
            "fsm-atlas",
            "fsm whose N_GT also sees masks of patients without CT.",
            Fsm(atlas=True),
            "fsm",
        ),
        (
            "refine-gt-atlas",
            "unet, then stage 3 from the decoder of fsm-atlas's N_GT: no FSM.",
            Refined(atlas=True),
            "refine-gt",
        ),
        (
            "fsm-atlas-shuffled",
            "fsm-atlas whose FSM sees the masks of another training patient.",
            Fsm(atlas=True, sees="other"),
            "fsm-shuffled",
        ),
    )
}
