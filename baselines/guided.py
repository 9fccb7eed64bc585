"""N_CT guided by the features of N_GT in other ways than FSM; no stage 3."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.errors import BadInput
from benchmark.parts import stages
from benchmark.parts.batch import Batch
from benchmark.parts.networks import Network, UNet, he_init
from benchmark.parts.objectives import Maps, guided_terms
from benchmark.parts.probes import with_teacher
from benchmark.parts.similarity import Taps, channels_at, full_precision, on_grid
from benchmark.plan.nodes import (
    Arch,
    Build,
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

START_VARIANCE = 5.0  # of VID (Ahn et al., CVPR 2019, released code)
VARIANCE_FLOOR = 1e-5


@dataclass(frozen=True, kw_only=True)
class Bridge:
    """What stands between F and G at each tap.

    `none` is nothing; `same` is nothing too, but refuses channels that differ; `labelenc` is three
    3x3 convolutions with two ReLUs; `vid` is three 1x1 convolutions with two ReLUs and a variance
    for every channel.
    """

    kind: ClassVar[str] = "bridge"
    how: str = "none"
    taps: Taps = ((-1, -1),)

    def __post_init__(self) -> None:
        check_choice("how", self.how, ("none", "same", "labelenc", "vid"))

    def build(self, to: Build) -> nn.Module:
        """Return one module a tap; raises `BadInput` for levels or channels that do not fit."""
        ct, gt = cast(Network, to.built["ct"]), cast(Network, to.built["gt"])
        pairs = [(channels_at(ct, c, "ct"), channels_at(gt, g, "gt")) for c, g in self.taps]
        if self.how in ("none", "same"):
            for f_channels, g_channels in pairs:
                if self.how == "same" and f_channels != g_channels:
                    raise BadInput(
                        f"taps: N_CT has {f_channels} channels there and N_GT {g_channels}; this "
                        "row compares them one by one: use one architecture for both"
                    )
            return nn.ModuleList(nn.Identity() for _ in pairs)
        size = 3 if self.how == "labelenc" else 1
        bridges = nn.ModuleList(BridgeModule(*pair, size, self.how == "vid") for pair in pairs)
        bridges.apply(he_init)
        return bridges


class BridgeModule(nn.Module):
    """Three convolutions with two ReLUs from F's channels to G's; `spread` adds log-variances."""

    def __init__(self, before: int, after: int, size: int, spread: bool) -> None:
        super().__init__()
        convs = [nn.Conv2d(c, after, size, padding=size // 2) for c in (before, after, after)]
        self.mean = nn.Sequential(convs[0], nn.ReLU(), convs[1], nn.ReLU(), convs[2])
        if spread:
            start = torch.log(torch.expm1(torch.tensor(START_VARIANCE - VARIANCE_FLOOR)))
            self.spread = nn.Parameter(start.repeat(after))

    def forward(self, f_BCHW: Tensor) -> Tensor:
        """Return the prediction of G."""
        return cast(Tensor, self.mean(f_BCHW))


@dataclass(frozen=True, kw_only=True)
class Guided:
    """L + weight * distance(F, G), the mean over the taps; `how` names the distance.

    `mse`: mean (F - G)^2 (Li & Tso, 2018, [6] of the paper). `layernorm`: the same after layer
    norm of both. `labelenc`: MSE(GN1(G), GN1(adapt(F))) (LabelEnc, ECCV 2020). `attention`: MSE of
    the l2-normalised maps of the channels' mean square (Zagoruyko & Komodakis, ICLR 2017, eq. 2).
    `vid`: [(mu(F) - G)^2 / sigma_c^2 + log sigma_c^2] / 2 (Ahn et al., CVPR 2019, eq. 6); it may be
    negative.
    """

    kind: ClassVar[str] = "guided"
    term: ClassVar[str] = "guide"
    how: str
    weight: float
    taps: Taps = ((-1, -1),)
    reads: str = "masks"

    def __post_init__(self) -> None:
        check_choice("how", self.how, tuple(DISTANCES))
        check_range("weight", self.weight, low=0, high=1e6)

    def __call__(self, nets: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Return the terms of the segmentation loss and "guide"."""
        return guided_terms(self, self.weight, nets, batch)

    def distance(self, nets: Mapping[str, nn.Module], f_maps: Maps, g_maps: Maps) -> Tensor:
        """Return the distance, a scalar, before its weight."""
        bridges = cast(nn.ModuleList, nets["bridge"])
        with full_precision(f_maps[-1].device.type):
            found = []
            for bridge, (ct_level, gt_level) in zip(bridges, self.taps, strict=True):
                g_BCHW = g_maps[gt_level].float()
                f_BCHW = on_grid(f_maps[ct_level].float(), g_BCHW)
                found.append(DISTANCES[self.how](bridge, f_BCHW, g_BCHW))
            return torch.stack(found).mean()


def _mse(bridge: nn.Module, f_BCHW: Tensor, g_BCHW: Tensor) -> Tensor:
    return F.mse_loss(bridge(f_BCHW), g_BCHW)


def _layernorm(bridge: nn.Module, f_BCHW: Tensor, g_BCHW: Tensor) -> Tensor:
    shape = list(g_BCHW.shape[1:])
    return F.mse_loss(F.layer_norm(bridge(f_BCHW), shape), F.layer_norm(g_BCHW, shape))


def _labelenc(bridge: nn.Module, f_BCHW: Tensor, g_BCHW: Tensor) -> Tensor:
    return F.mse_loss(F.group_norm(bridge(f_BCHW), 1), F.group_norm(g_BCHW, 1))


def _attention(bridge: nn.Module, f_BCHW: Tensor, g_BCHW: Tensor) -> Tensor:
    def attention_map(x_BCHW: Tensor) -> Tensor:
        normalised: Tensor = F.normalize(x_BCHW.square().mean(dim=1).flatten(1), dim=1)
        return normalised

    return F.mse_loss(attention_map(f_BCHW), attention_map(g_BCHW))


def _vid(bridge: nn.Module, f_BCHW: Tensor, g_BCHW: Tensor) -> Tensor:
    spread_C = cast(Tensor, bridge.spread)
    variance_C11 = (F.softplus(spread_C) + VARIANCE_FLOOR)[:, None, None]
    squares = (bridge(f_BCHW) - g_BCHW).square()
    value: Tensor = ((squares / variance_C11 + variance_C11.log()) / 2).mean()
    return value


DISTANCES: Mapping[str, Callable[[nn.Module, Tensor, Tensor], Tensor]] = {
    "mse": _mse,
    "layernorm": _layernorm,
    "labelenc": _labelenc,
    "attention": _attention,
    "vid": _vid,
}


BRIDGES = {"mse": "same", "layernorm": "same", "attention": "none"}  # else of the same name


@dataclass(frozen=True, kw_only=True)
class ByTeacher(stages.TwoNetworks):
    """N_GT as in fsm, then N_CT on L + weight * distance(F, G)."""

    how: str = field_from("mse", "R", "mse | layernorm | labelenc | attention | vid")
    weight: float = field_from(0.3, "R", "of the distance")
    taps: Taps = field_from(((-1, -1),), "C", "(level of N_CT, level of N_GT); -1 is the bottom")
    noise: float = field_from(0.2, "C", "p of the corruption of N_GT's input, as in fsm")
    ct: Arch = field_from(UNet, "C", "architecture of N_CT")
    gt: Arch = field_from(lambda: UNet(reads="masks"), "C", "architecture of N_GT")
    schedule: Schedule = field_from(Schedule, "C", "of each training")

    def plan(self) -> Weights:
        """Return N_CT."""
        return self._student()["ct"]

    def probes(self) -> tuple[Probe, ...]:
        """Return the diagnostics of the training."""
        student = self._student()
        return with_teacher(student, student["ct"], taps=self.taps, noise=self.mask_noise())

    def _student(self) -> Train:
        bridge = Bridge(how=BRIDGES.get(self.how, self.how), taps=self.taps)
        nets = {"ct": Net(arch=self.ct), "gt": stages.frozen(self.stage1()["gt"])}
        return Train(
            title="N_CT guided",
            nets={**nets, "bridge": Net(arch=bridge)},
            objective=Guided(how=self.how, weight=self.weight, taps=self.taps),
            schedule=self.schedule,
        )


METHODS = {
    name: Row(method=method, group="beyond", title=name, about=about, source=source)
    for name, about, method, source in (
        (
            "bottleneck-supervised",
            "L + 0.3 * mean (F - G)^2 at the bottom: fsm without FSM.",
            ByTeacher(),
            "Li & Tso, 2018, [6] of the paper",
        ),
        (
            "labelenc-style",
            "L + MSE of group-normed G and three convolutions of F.",
            ByTeacher(how="labelenc", weight=1.0),
            "after Hao et al., LabelEnc, ECCV 2020",
        ),
        (
            "attention-transfer",
            "L + 1000 * MSE of the normalised attention maps of F and G.",
            ByTeacher(how="attention", weight=1000.0),
            "Zagoruyko & Komodakis, ICLR 2017, eq. 2",
        ),
        (
            "vid",
            "L + 0.1 * Gaussian log-likelihood of G under mu(F).",
            ByTeacher(how="vid", weight=0.1),
            "Ahn et al., CVPR 2019, eq. 6",
        ),
    )
}
