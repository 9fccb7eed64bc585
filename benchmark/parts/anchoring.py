"""Transfer of parameters: N_CT is held near the weights of N_GT."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from benchmark.parts.batch import Batch
from benchmark.parts.objectives import segmentation_terms
from benchmark.plan.nodes import check_choice, check_range

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
