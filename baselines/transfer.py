"""U-Net+Trans: N_CT starts from N_GT's weights and is held near them (Song et al., Table 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from benchmark.errors import BadInput
from benchmark.parts import stages
from benchmark.parts.batch import Batch
from benchmark.parts.networks import UNet, decoders_fit
from benchmark.parts.objectives import segmentation_terms
from benchmark.plan.nodes import (
    Arch,
    Net,
    Row,
    Schedule,
    Train,
    Weights,
    check_choice,
    check_range,
    field_from,
)

HEAD = "decoder.head"
SCOPES = ("all", "encoder", "decoder")


@dataclass(frozen=True, kw_only=True)
class Anchored:
    """L + beta * mean over layers of ||w_l - w_l^GT||^2 / ||w_l^GT||^2.

    That is U-Net+Trans of Table 1 in the reading of docs/methods.md section 2.
    """

    kind: ClassVar[str] = "anchored"
    beta: float = 0.3
    scope: str = "all"

    def __post_init__(self) -> None:
        check_range("beta", self.beta, low=0, high=1e6)
        check_choice("scope", self.scope, SCOPES)

    def __call__(self, nets: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Return the terms of the segmentation loss and "anchor"."""
        terms = segmentation_terms(nets["ct"](batch.image_B1HW), batch)
        return {**terms, "anchor": self.beta * weight_distance(nets["ct"], nets["gt"], self.scope)}


def weight_distance(net: nn.Module, to: nn.Module, scope: str = "all") -> Tensor:
    """Return the mean over layers of the relative squared distance of two networks' weights.

    Layers are convolutions of equal shape in both, without the head; the first convolution differs
    in shape where one reads an image and the other masks. Raises `ValueError` where none is left.
    """
    theirs = _convolutions(to, scope)
    distances = [
        (weight - theirs[path]).square().sum() / theirs[path].square().sum().clamp_min(1e-12)
        for path, weight in _convolutions(net, scope).items()
        if path in theirs and theirs[path].shape == weight.shape
    ]
    if not distances:
        raise ValueError("the networks have no convolution of equal shape")
    return torch.stack(distances).mean()


def _convolutions(net: nn.Module, scope: str) -> dict[str, Tensor]:
    return {
        path: module.weight
        for path, module in net.named_modules()
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
        if not path.startswith(HEAD) and (scope == "all" or path.startswith(scope + "."))
    }


@dataclass(frozen=True, kw_only=True)
class ParamTransfer(stages.TwoNetworks):
    """N_GT as in fsm; N_CT from its weights, first convolution and head from the paired start."""

    beta: float = field_from(0.3, "C", "weight of the distance to N_GT's weights; grid 0.01..10")
    scope: str = field_from("all", "C", "layers that are held: all | encoder | decoder")
    init_only: bool = field_from(False, "C", "start from N_GT's weights and hold none")
    freeze_decoder: bool = field_from(False, "C", "N_GT's decoder is not trained; the head is")
    gt: Arch = field_from(lambda: UNet(reads="masks"), "S", "architecture of N_GT; must be ct's")
    schedule: Schedule = field_from(Schedule, "S", "of each training")

    def __post_init__(self) -> None:
        if not decoders_fit(self.ct, self.gt):
            raise BadInput(
                "param-transfer needs one architecture for ct and gt: weights have no place in "
                "another network"
            )
        super().__post_init__()

    def plan(self) -> Weights:
        """Return N_CT."""
        n_gt = self.stage1()["gt"]
        shared = replace(n_gt, without=(HEAD,), where_equal=True)
        trainable = ("encoder", HEAD) if self.freeze_decoder else ("",)
        beta = 0.0 if self.init_only else self.beta
        ct = Net(arch=self.ct, init=(shared,), trainable=trainable)
        return Train(
            title="N_CT held near N_GT",
            nets={"ct": ct, "gt": stages.frozen(n_gt)},
            objective=Anchored(beta=beta, scope=self.scope),
            schedule=self.schedule,
        )["ct"]


METHODS = {
    "param-transfer": Row(
        method=ParamTransfer(),
        group="paper",
        title="U-Net+Trans",
        about="N_CT starts from N_GT's weights, with a penalty on the distance.",
        source=stages.SONG,
        table1="U-Net+Trans",
    )
}
