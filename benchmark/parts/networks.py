"""Segmentation networks. Each shows `encoder(x) -> list`, `decoder(list)`, `.channels`,
`.stride`; the head lives under `decoder.`, so that it moves with the decoder.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.plan.nodes import Arch, Build, check_choice, check_range

NORMS = ("none", "batch", "instance", "group")
GROUPS = 8


class Network(nn.Module):
    """A segmentation network: class logits (B, K + 1, H, W) from an input (B, C, H, W).

    `channels` are those of the encoder's feature maps, finest first; H and W must be multiples
    of `stride` (the engine pads). `tappable` are the levels that hold features of the network's
    own: all, where it is not given.
    """

    channels: tuple[int, ...]
    stride: int
    tappable: tuple[int, ...]

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        channels: tuple[int, ...],
        stride: int,
        tappable: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.channels = channels
        self.stride = stride
        self.tappable = tuple(range(len(channels))) if tappable is None else tappable

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return the class logits."""
        return cast(Tensor, self.decoder(self.encoder(x_BCHW)))


def stride_of(nets: Mapping[str, nn.Module]) -> int:
    """Return what H and W must be multiples of, in pixels, for all of these networks."""
    return math.lcm(*(int(getattr(net, "stride", 1)) for net in nets.values()))


@dataclass(frozen=True, kw_only=True)
class UNet:
    """The original U-Net (Ronneberger et al., MICCAI 2015) with 'same' padding.

    Two 3x3 convolutions + ReLU a level, 2x2 max-pool, 2x2 up-convolution, concatenated skips, a
    1x1 head, He initialisation, dropout on the bottom on its way into the decoder (taps read
    it before). `skips` false feeds zeros instead, so that the decoder keeps its shape.
    """

    kind: ClassVar[str] = "unet"
    reads: str = "image"
    width: int = 64
    levels: int = 5
    norm: str = "none"
    dropout: float = 0.5
    skips: bool = True

    def __post_init__(self) -> None:
        check_choice("reads", self.reads, ("image", "masks"))
        check_choice("norm", self.norm, NORMS)
        check_range("width", self.width, low=1, high=4096)
        check_range("levels", self.levels, low=2, high=8)
        check_range("dropout", self.dropout, low=0, high=0.99)

    def build(self, to: Build) -> Network:
        """Return the untrained network for the data set's organs."""
        channels = tuple(self.width * 2**level for level in range(self.levels))
        encoder = UNetEncoder(to.channels(self.reads), channels, self.norm)
        decoder = UNetDecoder(channels, len(to.organs) + 1, self)
        network = Network(encoder, decoder, channels, 2 ** (self.levels - 1))
        network.apply(he_init)
        return network


class UNetEncoder(nn.Module):
    """The contracting path with the bottom block; returns one feature map a level."""

    def __init__(self, inputs: int, channels: tuple[int, ...], norm: str) -> None:
        super().__init__()
        sizes = zip((inputs, *channels[:-1]), channels, strict=True)
        self.blocks = nn.ModuleList(double_conv(before, after, norm) for before, after in sizes)

    def forward(self, x_BCHW: Tensor) -> list[Tensor]:
        """Return the feature maps, finest first."""
        features: list[Tensor] = []
        for block in self.blocks:
            x_BCHW = block(F.max_pool2d(x_BCHW, 2) if features else x_BCHW)
            features.append(x_BCHW)
        return features


class UNetDecoder(nn.Module):
    """The expanding path and the head."""

    def __init__(self, channels: tuple[int, ...], classes: int, arch: UNet) -> None:
        super().__init__()
        pairs = list(pairwise(channels))
        self.skips = arch.skips
        self.dropout = nn.Dropout(arch.dropout)
        self.ups = nn.ModuleList(nn.ConvTranspose2d(deep, fine, 2, 2) for fine, deep in pairs)
        self.blocks = nn.ModuleList(double_conv(2 * fine, fine, arch.norm) for fine, _ in pairs)
        self.head = nn.Conv2d(channels[0], classes, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return the class logits on the finest map's grid."""
        x_BCHW = self._dropped(features[-1])
        for level in reversed(range(len(self.blocks))):
            skip = features[level] if self.skips else torch.zeros_like(features[level])
            x_BCHW = self.blocks[level](torch.cat([skip, self.ups[level](x_BCHW)], dim=1))
        return cast(Tensor, self.head(x_BCHW))

    def _dropped(self, x_BCHW: Tensor) -> Tensor:
        """A mask is drawn in the order of memory: in channels_last, so that every layout has the
        same one."""
        if not x_BCHW.is_contiguous():
            return cast(Tensor, self.dropout(x_BCHW))
        dropped = self.dropout(x_BCHW.contiguous(memory_format=torch.channels_last))
        return cast(Tensor, dropped.contiguous())


def decoders_fit(one: Arch, other: Arch) -> bool:
    """Return whether the decoder of one architecture can be given to the other."""
    if type(one) is not type(other) or not hasattr(one, "reads"):
        return False
    if isinstance(one, UNet) and isinstance(other, UNet):
        # neither what it reads nor zeroed skips nor dropout changes a decoder's shapes
        other = replace(other, skips=one.skips, dropout=one.dropout)
    return bool(replace(cast(Any, other), reads=cast(Any, one).reads) == one)


def double_conv(before: int, after: int, norm: str) -> nn.Sequential:
    """Return two 3x3 convolutions, each followed by its norm and a ReLU."""
    parts: list[nn.Module] = []
    for channels in (before, after):
        conv = nn.Conv2d(channels, after, 3, padding=1)
        parts += [conv, *norm_layers(norm, after), nn.ReLU(inplace=True)]
    return nn.Sequential(*parts)


def norm_layers(norm: str, channels: int) -> list[nn.Module]:
    """Return the layers of a norm; instance norm is group norm with one channel a group, which
    is the same function. Its layout: `training.precision.LAYOUTS`."""
    if norm == "none":
        return []
    if norm == "batch":
        return [nn.BatchNorm2d(channels)]
    groups = channels if norm == "instance" else math.gcd(GROUPS, channels)
    return [nn.GroupNorm(groups, channels)]


def he_init(module: nn.Module) -> None:
    """Give convolutions He's initialisation for ReLU and a zero bias (He et al., ICCV 2015)."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and not module.weight.is_meta:
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
