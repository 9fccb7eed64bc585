"""N_CT guided by the features of N_GT in other ways than FSM; no stage 3."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.parts import stages
from benchmark.parts.diagnostics import with_teacher
from benchmark.parts.guidance import Bridge, Guided
from benchmark.parts.networks import UNet
from benchmark.parts.similarity import Taps
from benchmark.parts.views import MaskNoise
from benchmark.plan.nodes import Arch, Net, Probe, Row, Schedule, Train, Weights, reading

BRIDGES = {"mse": "same", "layernorm": "same", "attention": "none"}  # else of the same name


@dataclass(frozen=True, kw_only=True)
class ByTeacher:
    """N_GT as in fsm, then N_CT on L + weight * distance(F, G)."""

    how: str = reading("mse", "R", "mse | layernorm | labelenc | attention | vid")
    weight: float = reading(0.3, "R", "of the distance")
    taps: Taps = reading(((-1, -1),), "C", "(level of N_CT, level of N_GT); -1 is the bottom")
    noise: float = reading(0.2, "C", "p of the corruption of N_GT's input, as in fsm")
    drop: float = reading(stages.DROP, "C", "chance that stage 1 hides an annotated organ")
    ct: Arch = reading(UNet, "C", "architecture of N_CT")
    gt: Arch = reading(lambda: UNet(reads="masks"), "C", "architecture of N_GT")
    schedule: Schedule = reading(Schedule, "C", "of each training")

    def __post_init__(self) -> None:
        self.plan()  # the parts check the ranges

    def plan(self) -> Weights:
        """Return N_CT."""
        return self._student()["ct"]

    def probes(self) -> tuple[Probe, ...]:
        """Return the diagnostics of the training."""
        student, noise = self._student(), MaskNoise(p=self.noise)
        return with_teacher(student, student["ct"], taps=self.taps, noise=noise)

    def _student(self) -> Train:
        noise = MaskNoise(p=self.noise)
        n_gt = stages.teacher(self.gt, self.schedule, noise=noise, drop=self.drop)
        objective = Guided(how=self.how, weight=self.weight, taps=self.taps)
        bridge = Bridge(how=BRIDGES.get(self.how, self.how), taps=self.taps)
        nets = {"ct": Net(arch=self.ct), "gt": stages.frozen(n_gt["gt"])}
        return Train(
            title="N_CT guided",
            nets={**nets, "bridge": Net(arch=bridge)},
            objective=objective,
            schedule=self.schedule,
        )


METHODS = {
    name: Row(method=method, group="beyond", title=name, about=about, source=source)
    for name, about, method, source in (
        ("bottleneck-supervised", "L + 0.3 * mean (F - G)^2 at the bottom: fsm without FSM.",
         ByTeacher(), "Li & Tso, 2018, [6] of the paper"),
        ("labelenc-style", "L + MSE of group-normed G and three convolutions of F.",
         ByTeacher(how="labelenc", weight=1.0), "after Hao et al., LabelEnc, ECCV 2020"),
        ("attention-transfer", "L + 1000 * MSE of the normalised attention maps of F and G.",
         ByTeacher(how="attention", weight=1000.0), "Zagoruyko & Komodakis, ICLR 2017, eq. 2"),
        ("vid", "L + 0.1 * Gaussian log-likelihood of G under mu(F).",
         ByTeacher(how="vid", weight=0.1), "Ahn et al., CVPR 2019, eq. 6"),
    )
}  # fmt: skip
