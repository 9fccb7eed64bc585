"""FSM: learning from ground-truth images (Song et al., ISBI 2020), and its ablations."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from benchmark.parts import stages
from benchmark.parts.objectives import Matched
from benchmark.parts.probes import with_teacher
from benchmark.parts.similarity import Similarity, Taps
from benchmark.parts.views import MaskNoise
from benchmark.plan.nodes import Probe, Row, Train, Weights, field_from


@dataclass(frozen=True, kw_only=True)
class MadeSimilar(stages.TwoNetworks):
    """N_CT made similar to N_GT by FSM, then given its decoder."""

    xi: float = field_from(0.3, "S", "weight of M in stage 2")
    taps: Taps = field_from(((-1, -1),), "S", "(level of N_CT, level of N_GT); -1 is the bottom")
    norm: str = field_from("relative", "C", "distance M: relative | rms | raw | exp")
    refine: bool = field_from(True, "S", "stage 3")
    refine_init: str = field_from(
        "auto", "S", "its decoder: n_gt | own | random | auto: n_gt if fit"
    )

    def plan(self) -> Weights:
        """Return N_CT after stage 3, or before it without `refine`."""
        return self._trainings()[1]

    def stages(self) -> Mapping[str, Weights]:
        """Return N_CT before stage 3."""
        return {"stage2": self._trainings()[0]["ct"]} if self.refine else {}

    def probes(self) -> tuple[Probe, ...]:
        """Return the diagnostics of the training with FSM and of the final network."""
        return with_teacher(*self._trainings(), taps=self.taps, noise=self.mask_noise())

    def flags(self) -> tuple[str, ...]:
        """Return what a reader of a table must know about this setting."""
        return stages.stage3_flags(self.refine_init, self.ct, self.gt) if self.refine else ()

    @abstractmethod
    def similar(self) -> tuple[Train, Weights]:
        """Return the training with FSM, and the N_GT whose decoder stage 3 takes."""

    def _trainings(self) -> tuple[Train, Weights]:
        trained, n_gt = self.similar()
        if not self.refine:
            return trained, trained["ct"]
        return trained, stages.stage3(trained["ct"], n_gt, self.refine_init)


@dataclass(frozen=True, kw_only=True)
class Fsm(MadeSimilar):
    """Three trainings: N_GT on noisy masks; N_CT made similar to it; N_GT's decoder in N_CT."""

    corruption: str = field_from("pixel", "S", "pixel | block | erode")
    gradient: str = field_from("both", "C", "M reaches N_CT by: both | no_target | no_input")
    stats: str = field_from(
        "conv_gap", "C", "Sc: conv and mean, or gap_only; constant: Sc = Ss = 1"
    )
    teacher_input: str = field_from("clean", "S", "what N_GT reads in stage 2: clean | noisy")
    teacher: str = field_from("n_gt", "S", "stage 2's teacher: n_gt | untrained | no_skips | ct")
    sees: str = field_from("own", "S", "its masks: own | other (patient) | mean (of the fold)")
    learn_fsm: bool = field_from(True, "S", "w_M is trained; false: stays at its random start")

    def mask_noise(self) -> MaskNoise:
        """Return how N_GT's input is corrupted."""
        return MaskNoise(p=self.noise, corruption=self.corruption)

    def similar(self) -> tuple[Train, Weights]:
        """Return stage 2, and N_GT."""
        n_gt = self.stage1()
        stage2 = stages.matched(
            Matched(xi=self.xi, norm=self.norm, gradient=self.gradient, taps=self.taps),
            Similarity(taps=self.taps, stats=self.stats),
            stages.stage2_teacher(self.teacher, n_gt, self.ct),
            self.ct,
            self.schedule,
            learn=self.learn_fsm,
            sees=self.sees,
            given=self.teacher_input,
            noise=self.mask_noise(),
        )
        return stage2, n_gt["gt"]


METHODS = {
    name: Row(
        method=method, group="paper", title=title, about=about, table1=title, source=stages.SONG
    )
    for name, title, about, method in (
        ("fsm", "U-Net+Our", "N_CT made similar to N_GT by FSM, then given its decoder.", Fsm()),
        ("no-refine", "No-Refine", "fsm without stage 3.", Fsm(refine=False)),
        ("no-noise", "No-Noise", "fsm whose N_GT saw clean masks.", Fsm(noise=0.0)),
    )
}
