"""FSM, the feature similarity module (Song et al., ISBI 2020, section 2.2), and its distance M.

F are features of N_CT (C1 channels), G those of N_GT (C channels):

    A  = relu(conv3x3_{C1->C}(nearest(F -> size of G)))
    Sc = mean_hw(relu(conv3x3_{C->C}(G)))
    Ss = relu(conv3x3_{C->1}(G))
    R  = relu(conv3x3_{2C->C1}(concat(Sc * A, Ss * A)))
    T  = nearest(F -> size of G)

M is a distance between R and T. It has an exact minimum M = 0 that does not look at G at all
(docs/methods.md section 4): a low M alone is no evidence of transfer.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.errors import BadInput
from benchmark.parts.networks import Network, he_init
from benchmark.plan.nodes import Build, check_choice

Taps = tuple[tuple[int, int], ...]  # (level of N_CT's encoder, level of N_GT's encoder)
NORMS = ("relative", "rms", "raw", "exp")
STATS = ("conv_gap", "gap_only", "constant")
GRADIENTS = ("both", "no_target", "no_input")
EPSILON = 1e-6


@dataclass(frozen=True, kw_only=True)
class Similarity:
    """One FSM for every tapped pair of levels, between the networks `student` and `teacher`.

    A level indexes an encoder's feature maps, -1 being the bottom. `stats` `gap_only` takes
    Sc = mean_hw(G) without the convolution; `constant` takes Sc = Ss = 1, so that G counts for
    nothing (a control). He initialisation, zero bias: Ss is zero everywhere at the start in about
    one draw of eight, which `dead_spatial` of the FSM probe shows.
    """

    kind: ClassVar[str] = "fsm"
    taps: Taps = ((-1, -1),)
    stats: str = "conv_gap"
    student: str = "ct"
    teacher: str = "gt"

    def __post_init__(self) -> None:
        check_choice("stats", self.stats, STATS)
        pairs = [isinstance(pair, tuple) and len(pair) == 2 for pair in self.taps]
        if not pairs or not all(pairs):
            raise BadInput(f"taps = {self.taps}: give pairs of levels, such as [[-1,-1]]")

    def build(self, to: Build) -> nn.Module:
        """Return the untrained modules; raises `BadInput` for a level that is not there."""
        student = cast(Network, to.built[self.student])
        teacher = cast(Network, to.built[self.teacher])
        modules = [
            TapModule(
                channels_at(student, ct_level, self.student),
                channels_at(teacher, gt_level, self.teacher),
                self.stats,
            )
            for ct_level, gt_level in self.taps
        ]
        fsm = nn.ModuleList(modules)
        fsm.apply(he_init)
        return fsm


class TapModule(nn.Module):
    """FSM between one feature map of N_CT and one of N_GT, in fp32 whatever the training's format:
    an R in bf16 would differ from T by rounding alone, by as much as the effect looked for."""

    def __init__(self, ct_channels: int, gt_channels: int, stats: str) -> None:
        super().__init__()
        self.adapt = nn.Conv2d(ct_channels, gt_channels, 3, padding=1)
        self.constant = stats == "constant"
        if not self.constant:
            self.spatial = nn.Conv2d(gt_channels, 1, 3, padding=1)
        self.merge = nn.Conv2d(2 * gt_channels, ct_channels, 3, padding=1)
        self.channel: nn.Module = nn.Identity()
        if stats == "conv_gap":
            conv = nn.Conv2d(gt_channels, gt_channels, 3, padding=1)
            self.channel = nn.Sequential(conv, nn.ReLU())

    def forward(self, f_BCHW: Tensor, g_BCHW: Tensor) -> Tensor:
        """Return R on G's grid, with F's channels."""
        with full_precision(f_BCHW.device.type):
            return self._r(f_BCHW.float(), g_BCHW.float())

    def _r(self, f_BCHW: Tensor, g_BCHW: Tensor) -> Tensor:
        adapted = F.relu(self.adapt(on_grid(f_BCHW, g_BCHW)))
        channel_BC11, spatial_B1HW = self.statistics(g_BCHW)
        both = torch.cat([channel_BC11 * adapted, spatial_B1HW * adapted], dim=1)
        return F.relu(self.merge(both))

    def statistics(self, g_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return Sc (B, C, 1, 1) and Ss (B, 1, H, W)."""
        if self.constant:
            return torch.ones_like(g_BCHW[:, :, :1, :1]), torch.ones_like(g_BCHW[:, :1])
        channel_BC11 = self.channel(g_BCHW).mean(dim=(2, 3), keepdim=True)
        return channel_BC11, F.relu(self.spatial(g_BCHW))


def on_grid(f_BCHW: Tensor, g_BCHW: Tensor) -> Tensor:
    """Return F on the grid of G, by nearest neighbour."""
    if f_BCHW.shape[2:] == g_BCHW.shape[2:]:
        return f_BCHW
    return F.interpolate(f_BCHW, size=g_BCHW.shape[2:], mode="nearest")


def dissimilarity(r_BCHW: Tensor, t_BCHW: Tensor, norm: str) -> Tensor:
    """Return M, a scalar: the mean over the batch of a distance per sample.

    `relative` is ||R - T|| / (||R|| + ||T|| + eps), in [0, 1]; `raw` is ||R - T||; `rms` is its
    root mean square over elements; `exp` is 1 - exp(-rms), in [0, 1). All in fp32: bf16 would
    leave a floor near 0.004, the size of the effect that is looked for.

    >>> r, t = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
    >>> [round(float(dissimilarity(r, t, norm)), 3) for norm in ("relative", "raw", "rms")]
    [1.0, 2.0, 1.0]
    """
    r_BN = r_BCHW.float().flatten(1)
    t_BN = t_BCHW.float().flatten(1)
    # vector_norm has a zero subgradient at 0; sqrt of a sum would give NaN at R = T
    raw_B: Tensor = torch.linalg.vector_norm(r_BN - t_BN, dim=1)
    if norm == "raw":
        return raw_B.mean()
    if norm == "relative":
        size_B = torch.linalg.vector_norm(r_BN, dim=1) + torch.linalg.vector_norm(t_BN, dim=1)
        relative_B: Tensor = raw_B / (size_B + EPSILON)
        return relative_B.mean()
    rms_B = raw_B / float(r_BN.shape[1]) ** 0.5
    return rms_B.mean() if norm == "rms" else (1 - torch.exp(-rms_B)).mean()


def full_precision(device_type: str) -> AbstractContextManager[None]:
    """Return a context without autocast, for what must be fp32 in any case."""
    if not torch.amp.is_autocast_available(device_type):  # shapes alone ("meta")
        return nullcontext()
    context: AbstractContextManager[None] = torch.autocast(device_type, enabled=False)
    return context


def channels_at(network: Network, level: int, name: str) -> int:
    """Return the channels of an encoder level; raises `BadInput` for one that is not there, has no
    channels, or is the network's input."""
    levels = len(network.channels)
    if not -levels <= level < levels:
        raise BadInput(
            f"taps: level {level} is not in network {name!r}, whose encoder has {levels} levels "
            f"(0 to {levels - 1}, or -{levels} to -1)"
        )
    place = level % levels
    if place not in network.tappable:
        what = "is its input" if network.channels[place] else "has no channels"
        there = ", ".join(f"{n} (or {n - levels})" for n in network.tappable)
        raise BadInput(
            f"taps: level {level} of network {name!r} {what}; its taps are the levels {there}"
        )
    return network.channels[level]
