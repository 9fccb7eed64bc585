"""U-Net+Loss: a loss from a frozen model of organ shape (Song et al., Table 1; [4])."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmark.parts import stages
from benchmark.parts.networks import UNet
from benchmark.parts.shape_probes import ShapeModelProbe, TermShares
from benchmark.parts.shapes import ShapeLoss
from benchmark.parts.views import CorruptShapes
from benchmark.plan.nodes import Arch, Net, Probe, Row, Schedule, Train, Weights, reading


@dataclass(frozen=True, kw_only=True)
class ShapeRegularised:
    """U-Net; a denoising auto-encoder over masks; the U-Net fine-tuned against it."""

    l1: float = reading(0.5, "R", "weight of the distance of codes; sources disagree, grid 0.1..20")
    l2: float = reading(0.5, "R", "weight of the distance to the truth; grid 0.1..20")
    seg: str = reading("l2", "R", "distance to the truth: l2 | dice")
    early: float = reading(0.5, "R", "share of the model's inputs that are early predictions")
    early_epochs: float = reading(10.0, "C", "when the U-Net's early predictions are taken")
    discs: int = reading(3, "C", "discs added or removed in the other inputs")
    ct: Arch = reading(UNet, "S", "architecture of N_CT")
    shape: Arch = reading(stages.shape_network, "R", "of the shape model")
    schedule: Schedule = reading(Schedule, "S", "of each training")

    def __post_init__(self) -> None:
        self.plan()  # the parts check the ranges

    def plan(self) -> Weights:
        """Return the fine-tuned N_CT."""
        return self._tuned()["ct"]

    def probes(self) -> tuple[Probe, ...]:
        """Return whether the shape model restores, and whether its terms weigh anything."""
        tuned, model = self._tuned(), self._model()
        restores = ShapeModelProbe(view=self._view())
        shares = TermShares(objective=tuned.objective, terms=("recon", "code"))
        return (Probe(name="shape-model", node=model, measure=restores),
                Probe(name="shares", node=tuned, measure=shares))  # fmt: skip

    def _view(self) -> CorruptShapes:
        return CorruptShapes(discs=self.discs, early=self.early)

    def _model(self) -> Train:
        part = self.early_epochs / 100
        short = replace(self.schedule, epochs=self.schedule.epochs * part)
        early = stages.plain(self.ct, short)["ct"] if self.early else None
        return stages.shape_model(self.shape, self.schedule, self._view(), early)

    def _tuned(self) -> Train:
        unet = stages.plain(self.ct, self.schedule)["ct"]
        shape = stages.frozen(self._model()["shape"])
        return Train(
            title="N_CT against shapes",
            nets={"ct": Net(arch=self.ct, init=(unet,)), "shape": shape},
            objective=ShapeLoss(l1=self.l1, l2=self.l2, seg=self.seg),
            schedule=replace(self.schedule, stream="shapes"),
        )


METHODS = {
    "shape-loss": Row(
        method=ShapeRegularised(),
        group="paper",
        title="U-Net+Loss",
        about="unet, fine-tuned against a frozen auto-encoder over masks.",
        source=f"{stages.SONG}; Ravishankar et al., MICCAI 2017, [4]",
        table1="U-Net+Loss",
    ),
}
