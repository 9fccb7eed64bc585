"""Models of organ shape: auto-encoders over masks, and losses that use them frozen.

A shape model reads masks (B, 2K, H, W) as N_GT does, and is a U-Net whose skips are zeros, or, for
ACNN, a network with a code of fixed length.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.parts.batch import Batch, with_planes
from benchmark.parts.networks import (
    Network,
    UNet,
    UNetDecoder,
    UNetEncoder,
    he_init,
    norm_layers,
)
from benchmark.parts.objectives import SEG, fold_unknown, known_pixels, segmentation_terms
from benchmark.parts.views import CORRUPTED, EARLY
from benchmark.plan.nodes import Arch, Build, check_choice, check_range

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
            guessed = with_planes(predicted(nets["early"], batch), batch.annotated_BK)
            given = torch.where(batch.entries[EARLY][:, None, None, None], guessed, given)
        return segmentation_terms(nets[self.net](given), batch)


@dataclass(frozen=True, kw_only=True)
class ShapeLoss:
    """|s - D(E(s))|^2 + l1 |E(y) - E(s)|^2 + l2 seg(s, y), E and D frozen (Ravishankar 2017, [4]).

    s are N_CT's foreground probabilities, y the masks. Squares in image space are divided by the
    mean foreground of s and y, those of codes by the mean square of E(y), so that the terms share
    a scale. `seg` is `l2`, the same square of s - y, or `dice`, the loss of all rows.
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
        logits = nets["ct"](batch.image_B1HW)
        s_BKHW, y_BKHW = foreground(logits, batch), true_foreground(batch)
        e_s = shape.encoder(with_planes(s_BKHW, batch.annotated_BK))
        e_y = shape.encoder(with_planes(y_BKHW, batch.annotated_BK))
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
        logits = nets["ct"](batch.image_B1HW)
        given = (foreground(logits, batch), true_foreground(batch))
        of_s, of_y = (coder.encoder(with_planes(x, batch.annotated_BK))[-1] for x in given)
        both = (of_s.float(), of_y.float())
        distance = code_distance(*both) if self.relative else F.mse_loss(*both)
        return {**segmentation_terms(logits, batch), "code": self.l1 * distance}


def foreground(logits_BCHW: Tensor, batch: Batch) -> Tensor:
    """Return the organs' probabilities (B, K, H, W) in fp32, 0 where no organ is annotated or no
    pixel lies."""
    probs = fold_unknown(torch.softmax(logits_BCHW.float(), dim=1), batch.annotated_BK)
    return probs[:, 1:] * batch.valid_BHW[:, None]


def true_foreground(batch: Batch) -> Tensor:
    """Return the organs' masks (B, K, H, W) as floats."""
    organs = batch.annotated_BK.shape[1]
    truth_BHW = batch.label_BHW * known_pixels(batch) * batch.valid_BHW
    return F.one_hot(truth_BHW, organs + 1)[..., 1:].permute(0, 3, 1, 2).float()


def code_distance(of_s: Tensor, of_y: Tensor) -> Tensor:
    """Return the squared distance of two codes over the mean square of the second."""
    size = of_y.float().square().mean().detach().clamp_min(1e-6)
    return F.mse_loss(of_s.float(), of_y.float()) / size


@torch.no_grad()
def predicted(net: nn.Module, batch: Batch) -> Tensor:
    """Return a frozen network's foreground probabilities of the image."""
    return foreground(net(batch.image_B1HW), batch)
