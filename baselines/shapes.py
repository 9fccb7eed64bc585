"""U-Net+Loss: a loss from a frozen model of organ shape (Song et al., Table 1; [4])."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.parts import stages
from benchmark.parts.batch import Batch, Patient, generator_of, onehot, with_planes
from benchmark.parts.measures import TermShares
from benchmark.parts.networks import Network, UNet
from benchmark.parts.objectives import (
    SEG,
    fold_unknown,
    known_pixels,
    labelled_samples,
    segmentation_terms,
)
from benchmark.parts.views import CORRUPTED, EARLY, CorruptShapes
from benchmark.plan.given import ATLAS, CT
from benchmark.plan.nodes import (
    Arch,
    Net,
    Probe,
    Row,
    Schedule,
    Train,
    Weights,
    check_choice,
    check_range,
    field_from,
)


@dataclass(frozen=True, kw_only=True)
class Restore:
    """A shape model restores clean masks from corrupted ones, on the loss that all rows share.

    Where the view says so, the input is what the frozen network `early` predicts from the image
    instead; without such a network it is always the corrupted mask.
    """

    kind: ClassVar[str] = "restore"
    net: str = "shape"

    def __call__(self, nets: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Return the terms of the segmentation loss."""
        given = batch.entries.get(CORRUPTED, batch.masks_B2KHW)
        if "early" in nets:
            early = predicted(nets["early"], batch)
            guessed = with_planes(early, batch.annotated_BK, batch.unknown_BHW)
            given = torch.where(batch.entries[EARLY][:, None, None, None], guessed, given)
        return segmentation_terms(nets[self.net](given), batch.all_labelled)


@dataclass(frozen=True, kw_only=True)
class ShapeLoss:
    """|s - D(E(s))|^2 + l1 |E(y) - E(s)|^2 + l2 seg(s, y), E and D frozen (Ravishankar 2017, [4]).

    s are N_CT's foreground probabilities, y the masks. Squares in image space are divided by the
    mean foreground of s and y, those of codes by the mean square of E(y), so that the terms share
    a scale; all terms are of labelled samples, as y stands in each scale. `seg` is `l2`, the same
    square of s - y, or `dice`, the loss of all rows.
    """

    kind: ClassVar[str] = "shape-loss"
    l1: float = 0.5
    l2: float = 0.5
    seg: str = "l2"

    def __post_init__(self) -> None:
        check_range("l1", self.l1, low=0, high=1e6)
        check_range("l2", self.l2, low=0, high=1e6)
        check_choice("seg", self.seg, ("l2", "dice"))

    def __call__(self, nets: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Return the terms "recon", "code" and "seg" (with `dice` the usual ones, weighted)."""
        shape = cast(Network, nets["shape"])
        logits, batch = labelled_samples(nets["ct"](batch.image_B1HW), batch)
        s_BKHW, y_BKHW = foreground(logits, batch), true_foreground(batch)
        e_s, e_y = (
            shape.encoder(with_planes(masks, batch.annotated_BK, batch.unknown_BHW))
            for masks in (s_BKHW, y_BKHW)
        )
        back = foreground(shape.decoder(e_s), batch)
        scale = ((s_BKHW.mean() + y_BKHW.mean()) / 2).detach().clamp_min(1e-4)
        terms = {
            "recon": (s_BKHW - back).square().mean() / scale,
            "code": self.l1 * code_distance(e_s[-1], e_y[-1]),
        }
        if self.seg == "l2":
            return {**terms, SEG: self.l2 * (s_BKHW - y_BKHW).square().mean() / scale}
        usual = segmentation_terms(logits, batch)
        return {**terms, **{name: self.l2 * term for name, term in usual.items()}}


def foreground(logits_BCHW: Tensor, batch: Batch) -> Tensor:
    """Return the organs' probabilities (B, K, H, W) in fp32, 0 where no organ is annotated or no
    pixel lies."""
    probs = fold_unknown(torch.softmax(logits_BCHW.float(), dim=1), batch.annotated_BK)
    return probs[:, 1:] * batch.valid_BHW[:, None]


def true_foreground(batch: Batch) -> Tensor:
    """Return the organs' masks (B, K, H, W) as floats."""
    truth_BHW = batch.label_BHW * known_pixels(batch) * batch.valid_BHW
    return onehot(truth_BHW, batch.annotated_BK.shape[1])


def code_distance(of_s: Tensor, of_y: Tensor) -> Tensor:
    """Return the squared distance of two codes over the mean square of the second."""
    size = of_y.float().square().mean().detach().clamp_min(1e-6)
    return F.mse_loss(of_s.float(), of_y.float()) / size


@torch.no_grad()
def predicted(net: nn.Module, batch: Batch) -> Tensor:
    """Return a frozen network's foreground probabilities of the image."""
    return foreground(net(batch.image_B1HW), batch)


@dataclass(frozen=True, kw_only=True)
class ShapeModelProbe:
    """Whether D(E(corrupt y)) is nearer to y than corrupt y is: mean squared distances over
    voxels, on the view's corrupted masks of the test patients."""

    kind: ClassVar[str] = "shape-model"
    view: CorruptShapes
    net: str = "shape"

    def __call__(self, nets: Mapping[str, nn.Module], patient: Patient) -> dict[str, float]:
        """Return `corrupt_error`, `restored_error` and `restored_percent`, how much went away."""
        corrupt, restored = 0.0, 0.0
        for number, batch in enumerate(patient.batches):
            given = self._corrupted(batch, patient.name, number)
            truth = true_foreground(batch)
            guess = foreground(nets[self.net](given), batch)
            corrupt += float((given[:, : truth.shape[1]] - truth).square().sum())
            restored += float((guess - truth).square().sum())
        if not corrupt:
            return {}
        percent = 100 * (corrupt - restored) / corrupt
        errors = {"corrupt_error": corrupt, "restored_error": restored}
        return {**errors, "restored_percent": percent}

    def flags(self, means: Mapping[str, float]) -> tuple[str, ...]:
        """Return `shape_model_is_identity` where nothing is restored."""
        percent = means.get("restored_percent", 1.0)
        flag = f"shape_model_is_identity: it takes {percent:z.0f} % of the corruption away"
        return (flag,) if percent <= 0 else ()

    def _corrupted(self, batch: Batch, name: str, number: int) -> Tensor:
        random = generator_of(batch.label_BHW.device, "corrupt", name, number)
        return self.view(batch, random).entries[CORRUPTED]


def shape_network() -> UNet:
    """Return the usual shape model: a U-Net over masks without skips; nor dropout, which would
    take half of all that gets through its bottom."""
    return UNet(reads="masks", skips=False, dropout=0.0)


def shape_model(
    shape: Arch,
    schedule: Schedule,
    view: CorruptShapes | None,
    early: Weights | None = None,
    atlas: bool = False,
) -> Train:
    """Return the training of an auto-encoder over masks, with `atlas` also over those of patients
    without CT: it restores corrupted masks and, with `early`, the early predictions of a
    segmentation network; without a view, clean masks."""
    return Train(
        title="shape model",
        nets={"shape": Net(arch=shape), **({"early": stages.frozen(early)} if early else {})},
        objective=Restore(),
        schedule=replace(schedule, stream="shape"),
        views=(view,) if view else (),
        cases=ATLAS if atlas else CT,
    )


@dataclass(frozen=True, kw_only=True)
class ShapeRegularised:
    """U-Net; a denoising auto-encoder over masks; the U-Net fine-tuned against it."""

    l1: float = field_from(
        0.5, "R", "weight of the distance of codes; sources disagree, grid 0.1..20"
    )
    l2: float = field_from(0.5, "R", "weight of the distance to the truth; grid 0.1..20")
    seg: str = field_from("l2", "R", "distance to the truth: l2 | dice")
    early: float = field_from(0.5, "R", "share of the model's inputs that are early predictions")
    early_epochs: float = field_from(10.0, "C", "when the U-Net's early predictions are taken")
    discs: int = field_from(3, "C", "discs added or removed in the other inputs")
    ct: Arch = field_from(UNet, "S", "architecture of N_CT")
    shape: Arch = field_from(shape_network, "R", "of the shape model")
    schedule: Schedule = field_from(Schedule, "S", "of each training")

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
        return (
            Probe(name="shape-model", node=model, measure=restores),
            Probe(name="shares", node=tuned, measure=shares),
        )

    def _view(self) -> CorruptShapes:
        return CorruptShapes(discs=self.discs, early=self.early)

    def _model(self) -> Train:
        part = self.early_epochs / 100
        short = replace(self.schedule, epochs=self.schedule.epochs * part)
        early = stages.plain(self.ct, short)["ct"] if self.early else None
        return shape_model(self.shape, self.schedule, self._view(), early)

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
    )
}
