"""Two more uses of a model of organ shape: ACNN's code, and Post-DAE's restored prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.shapes import (
    ShapeModelProbe,
    code_distance,
    foreground,
    shape_model,
    shape_network,
    true_foreground,
)
from benchmark.parts import stages
from benchmark.parts.batch import Batch, with_planes
from benchmark.parts.networks import Network, UNet, UNetDecoder, UNetEncoder, he_init, norm_layers
from benchmark.parts.objectives import labelled_samples, segmentation_terms
from benchmark.parts.probes import TermGradients
from benchmark.parts.views import CorruptShapes
from benchmark.plan.nodes import (
    Arch,
    Build,
    Net,
    Probe,
    Row,
    Schedule,
    Train,
    Weights,
    check_range,
    field_from,
)

POOLED = 4  # side of the map that a code is computed from, whatever the grid


@dataclass(frozen=True, kw_only=True)
class MaskCoder:
    """An auto-encoder over masks with a code of `code` numbers (ACNN, Oktay et al., TMI 2018)."""

    kind: ClassVar[str] = "mask-coder"
    reads: str = "masks"
    width: int = 64
    levels: int = 5
    norm: str = "none"
    code: int = 64

    def __post_init__(self) -> None:
        check_range("code", self.code, low=1, high=65536)

    def build(self, to: Build) -> Network:
        """Return the untrained network; its last feature map is the code (B, code, 1, 1)."""
        channels = tuple(self.width * 2**level for level in range(self.levels))
        plain = UNet(width=self.width, levels=self.levels, norm=self.norm, dropout=0, skips=False)
        encoder = CodeEncoder(to.channels(self.reads), channels, self)
        decoder = CodeDecoder(channels, len(to.organs) + 1, self, plain)
        network = Network(encoder, decoder, (*channels, self.code), 2 ** (self.levels - 1))
        network.apply(he_init)
        return network


class CodeEncoder(nn.Module):
    """A contracting path whose bottom is pooled to a fixed grid and projected to a code."""

    def __init__(self, inputs: int, channels: tuple[int, ...], arch: MaskCoder) -> None:
        super().__init__()
        self.path = UNetEncoder(inputs, channels, arch.norm)
        self.project = nn.Conv2d(channels[-1], arch.code, POOLED)

    def forward(self, x_BCHW: Tensor) -> list[Tensor]:
        """Return the feature maps, finest first, the code last."""
        features = cast(list[Tensor], self.path(x_BCHW))
        pooled = F.adaptive_avg_pool2d(features[-1], POOLED)
        return [*features, self.project(pooled)]


class CodeDecoder(nn.Module):
    """From the code alone to class logits; of the other maps it takes the sizes."""

    def __init__(
        self, channels: tuple[int, ...], classes: int, arch: MaskCoder, plain: UNet
    ) -> None:
        super().__init__()
        spread = nn.ConvTranspose2d(arch.code, channels[-1], POOLED)
        self.spread = nn.Sequential(spread, *norm_layers(arch.norm, channels[-1]), nn.ReLU())
        self.path = UNetDecoder(channels, classes, plain)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return the class logits."""
        *maps, code = features
        bottom = F.interpolate(self.spread(code), size=maps[-1].shape[2:], mode="bilinear")
        return cast(Tensor, self.path([*maps[:-1], bottom]))


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A segmentation network followed by a shape model that restores what it predicts.

    The shape model is told that every organ is annotated (Post-DAE, Larrazabal et al., 2020).
    """

    kind: ClassVar[str] = "stack"
    first: Arch
    second: Arch

    def build(self, to: Build) -> nn.Module:
        """Return both networks under `first` and `second`."""
        return StackModule(self.first.build(to), self.second.build(to))


class StackModule(nn.Module):
    """Class logits of the shape model, from the image."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second
        self.stride = max(int(cast(Network, net).stride) for net in (first, second))

    def forward(self, x_B1HW: Tensor) -> Tensor:
        """Return the class logits."""
        probs = torch.softmax(self.first(x_B1HW).float(), dim=1)[:, 1:]
        known_BK = torch.ones(probs.shape[:2], dtype=torch.bool, device=probs.device)
        return cast(Tensor, self.second(with_planes(probs, known_BK)))


@dataclass(frozen=True, kw_only=True)
class Coded:
    """L + l1 * |f(s) - f(y)|^2, f the code of a frozen mask auto-encoder (ACNN, eq. 3).

    `relative` divides the mean square of the difference by that of f(y): an auto-encoder chooses
    the scale of its code freely, and l1 would weigh that scale.
    """

    kind: ClassVar[str] = "coded"
    l1: float = 0.01
    relative: bool = True

    def __post_init__(self) -> None:
        check_range("l1", self.l1, low=0, high=1e6)

    def __call__(self, nets: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Return the terms of the segmentation loss and "code"."""
        coder = cast(Network, nets["shape"])
        logits, batch = labelled_samples(nets["ct"](batch.image_B1HW), batch)
        given = (foreground(logits, batch), true_foreground(batch))
        known = (batch.annotated_BK, batch.unknown_BHW)
        of_s, of_y = (coder.encoder(with_planes(x, *known))[-1] for x in given)
        both = (of_s.float(), of_y.float())
        distance = code_distance(*both) if self.relative else F.mse_loss(*both)
        return {**segmentation_terms(logits, batch), "code": self.l1 * distance}


@dataclass(frozen=True, kw_only=True)
class Acnn:
    """A mask auto-encoder with a short code; N_CT on L + l1 * distance of codes."""

    l1: float = field_from(0.01, "R", "weight of the distance of codes; grid 0.01..10")
    relative: bool = field_from(
        True, "D", "distance over the mean square of f(y); false: the source"
    )
    atlas: bool = field_from(False, "C", "the auto-encoder sees masks of patients without CT too")
    ct: Arch = field_from(UNet, "C", "architecture of N_CT")
    shape: Arch = field_from(MaskCoder, "R", "the auto-encoder; its code has 64 numbers")
    schedule: Schedule = field_from(Schedule, "C", "of each training")

    def plan(self) -> Weights:
        """Return N_CT."""
        return self._student()["ct"]

    def probes(self) -> tuple[Probe, ...]:
        """Return whether the code's gradient weighs anything at the output."""
        pull = TermGradients(objective=(student := self._student()).objective, at="output")
        return (Probe(name="gradients", node=student, measure=pull),)

    def _student(self) -> Train:
        coder = shape_model(self.shape, self.schedule, None, atlas=self.atlas)["shape"]
        return Train(
            title="N_CT with codes",
            nets={"ct": Net(arch=self.ct), "shape": stages.frozen(coder)},
            objective=Coded(l1=self.l1, relative=self.relative),
            schedule=self.schedule,
        )


@dataclass(frozen=True, kw_only=True)
class PostDae:
    """unet, whose prediction a denoising auto-encoder over masks restores at test time."""

    discs: int = field_from(3, "C", "discs added or removed in the auto-encoder's inputs")
    atlas: bool = field_from(False, "C", "the auto-encoder sees masks of patients without CT too")
    ct: Arch = field_from(UNet, "C", "architecture of N_CT")
    shape: Arch = field_from(shape_network, "R", "the auto-encoder")
    schedule: Schedule = field_from(Schedule, "C", "of each training")

    def plan(self) -> Weights:
        """Return both networks as one; putting them together trains nothing."""
        unet, model = stages.plain(self.ct, self.schedule)["ct"], self._model()["shape"]
        start = (unet.only("", "first"), model.only("", "second"))
        both = Net(arch=Stack(first=self.ct, second=self.shape), init=start, trainable=())
        schedule = replace(self.schedule, epochs=0.0)
        title = "N_CT, then the auto-encoder"
        return replace(unet.node, title=title, nets={"ct": both}, schedule=schedule)["ct"]

    def probes(self) -> tuple[Probe, ...]:
        """Return whether the auto-encoder restores."""
        restores = ShapeModelProbe(view=CorruptShapes(discs=self.discs))
        return (Probe(name="shape-model", node=self._model(), measure=restores),)

    def _model(self) -> Train:
        view = CorruptShapes(discs=self.discs)
        return shape_model(self.shape, self.schedule, view, atlas=self.atlas)


METHODS = {
    name: Row(method=method, group="beyond", title=name, about=about, source=source)
    for name, about, method, source in (
        (
            "acnn",
            "L + 0.01 * distance of the codes of prediction and truth.",
            Acnn(),
            "Oktay et al., TMI 2018, [3] of the paper",
        ),
        (
            "post-dae",
            "unet, its prediction restored by a mask auto-encoder.",
            PostDae(),
            "Larrazabal et al., TMI 2020",
        ),
    )
}
