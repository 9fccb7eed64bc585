"""Two more uses of a model of organ shape: ACNN's code, and Post-DAE's restored prediction."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmark.parts import stages
from benchmark.parts.networks import UNet
from benchmark.parts.probes import TermGradients
from benchmark.parts.shape_probes import ShapeModelProbe
from benchmark.parts.shapes import Coded, MaskCoder, Stack
from benchmark.parts.views import CorruptShapes
from benchmark.plan.nodes import Arch, Net, Probe, Row, Schedule, Train, Weights, reading


@dataclass(frozen=True, kw_only=True)
class Acnn:
    """A mask auto-encoder with a short code; N_CT on L + l1 * distance of codes."""

    l1: float = reading(0.01, "R", "weight of the distance of codes; grid 0.01..10")
    relative: bool = reading(True, "D", "distance over the mean square of f(y); false: the source")
    ct: Arch = reading(UNet, "C", "architecture of N_CT")
    shape: Arch = reading(MaskCoder, "R", "the auto-encoder; its code has 64 numbers")
    schedule: Schedule = reading(Schedule, "C", "of each training")

    def plan(self) -> Weights:
        """Return N_CT."""
        return self._student()["ct"]

    def probes(self) -> tuple[Probe, ...]:
        """Return whether the code's gradient weighs anything at the output."""
        pull = TermGradients(objective=(student := self._student()).objective, at="output")
        return (Probe(name="gradients", node=student, measure=pull),)

    def _student(self) -> Train:
        coder = stages.shape_model(self.shape, self.schedule, None, None)["shape"]
        return Train(
            title="N_CT with codes",
            nets={"ct": Net(arch=self.ct), "shape": stages.frozen(coder)},
            objective=Coded(l1=self.l1, relative=self.relative),
            schedule=self.schedule,
        )


@dataclass(frozen=True, kw_only=True)
class PostDae:
    """unet, whose prediction a denoising auto-encoder over masks restores at test time."""

    discs: int = reading(3, "C", "discs added or removed in the auto-encoder's inputs")
    ct: Arch = reading(UNet, "C", "architecture of N_CT")
    shape: Arch = reading(stages.shape_network, "R", "the auto-encoder")
    schedule: Schedule = reading(Schedule, "C", "of each training")

    def plan(self) -> Weights:
        """Return both networks as one; putting them together trains nothing."""
        unet, model = stages.plain(self.ct, self.schedule)["ct"], self._model()["shape"]
        start = (unet.only("", "first"), model.only("", "second"))
        both = Net(arch=Stack(first=self.ct, second=self.shape), init=start, trainable=())
        return replace(unet.node, title="N_CT, then the auto-encoder", nets={"ct": both},
                       schedule=replace(self.schedule, epochs=0.0))["ct"]  # fmt: skip

    def probes(self) -> tuple[Probe, ...]:
        """Return whether the auto-encoder restores."""
        restores = ShapeModelProbe(view=CorruptShapes(discs=self.discs))
        return (Probe(name="shape-model", node=self._model(), measure=restores),)

    def _model(self) -> Train:
        view = CorruptShapes(discs=self.discs)
        return stages.shape_model(self.shape, self.schedule, view, None)


METHODS = {
    name: Row(method=method, group="beyond", title=name, about=about, source=source)
    for name, about, method, source in (
        ("acnn", "L + 0.01 * distance of the codes of prediction and truth.", Acnn(),
         "Oktay et al., TMI 2018, [3] of the paper"),
        ("post-dae", "unet, its prediction restored by a mask auto-encoder.", PostDae(),
         "Larrazabal et al., TMI 2020"),
    )
}  # fmt: skip
