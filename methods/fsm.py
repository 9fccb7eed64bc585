"""FSM: learning from ground-truth images (Song et al., ISBI 2020), and its ablations."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmark.errors import BadInput
from benchmark.parts import stages
from benchmark.parts.networks import UNet, decoders_fit
from benchmark.parts.objectives import Matched
from benchmark.parts.similarity import Similarity, Taps
from benchmark.parts.views import MaskNoise
from benchmark.plan.nodes import Arch, Net, Row, Schedule, Train, Weights, check_choice, reading


@dataclass(frozen=True, kw_only=True)
class Fsm:
    """Three trainings: N_GT on noisy masks; N_CT made similar to it; N_GT's decoder in N_CT."""

    xi: float = reading(0.3, "S", "weight of M in stage 2")
    noise: float = reading(0.2, "S", "p of the corruption of N_GT's input")
    corruption: str = reading("pixel", "S", "pixel | block | erode")
    drop: float = reading(0.1, "C", "chance that stage 1 hides an annotated organ")
    taps: Taps = reading(((-1, -1),), "S", "(level of N_CT, level of N_GT); -1 is the bottom")
    norm: str = reading("relative", "C", "distance M: relative | rms | raw | exp")
    gradient: str = reading("both", "C", "M reaches N_CT by: both | no_target | no_input")
    stats: str = reading("conv_gap", "C", "Sc from conv and mean, or mean alone: gap_only")
    teacher_input: str = reading("clean", "S", "what N_GT reads in stage 2: clean | noisy")
    refine: bool = reading(True, "S", "stage 3")
    refine_init: str = reading("auto", "S", "decoder of stage 3: n_gt | own | auto = n_gt if fit")
    ct: Arch = reading(UNet, "S", "architecture of N_CT")
    gt: Arch = reading(lambda: UNet(reads="masks"), "S", "architecture of N_GT")
    schedule: Schedule = reading(Schedule, "S", "of each stage")

    def __post_init__(self) -> None:
        check_choice("teacher_input", self.teacher_input, ("clean", "noisy"))
        check_choice("refine_init", self.refine_init, ("auto", "n_gt", "own"))
        if self.refine and self.refine_init == "n_gt" and not decoders_fit(self.ct, self.gt):
            raise BadInput("refine_init = n_gt needs decoders of equal shape in ct and gt: use "
                           "refine_init=own, or one architecture for both")  # fmt: skip
        self.plan()  # the parts check the other ranges

    def plan(self) -> Weights:
        """Return N_CT after stage 3, or after stage 2 without `refine`."""
        noise = MaskNoise(p=self.noise, corruption=self.corruption)
        n_gt = stages.teacher(self.gt, self.schedule, noise=noise, drop=self.drop)["gt"]
        fsm = Similarity(taps=self.taps, stats=self.stats)
        stage2 = Train(
            title="N_CT + FSM",
            nets={"ct": Net(arch=self.ct),
                  "gt": Net(arch=self.gt, init=(n_gt,), trainable=()),
                  "fsm": Net(arch=fsm)},
            objective=Matched(xi=self.xi, norm=self.norm, gradient=self.gradient, taps=self.taps),
            schedule=self.schedule,
            views=(noise,) if self.teacher_input == "noisy" else (),
        )["ct"]  # fmt: skip
        if not self.refine:
            return stage2
        decoder = stage2 if self._own_decoder() else n_gt
        return stages.refine(self.ct, stage2, decoder, self.schedule)["ct"]

    def flags(self) -> tuple[str, ...]:
        """Return what a reader of a table must know about this setting."""
        deviates = self.refine and self._own_decoder()
        return ("stage 3 not as in the paper: N_CT keeps its own decoder",) if deviates else ()

    def _own_decoder(self) -> bool:
        return self.refine_init == "own" or not decoders_fit(self.ct, self.gt)


def _row(title: str, about: str, method: Fsm) -> Row:
    source = "Song et al., ISBI 2020, Table 1"
    return Row(method=method, group="paper", title=title, about=about, source=source, table1=title)


METHODS = {
    "fsm": _row("U-Net+Our", "N_CT made similar to N_GT by FSM, then given its decoder.", Fsm()),
    "no-refine": _row("No-Refine", "fsm without stage 3.", replace(Fsm(), refine=False)),
    "no-noise": _row("No-Noise", "fsm whose N_GT saw clean masks.", replace(Fsm(), noise=0.0)),
}
