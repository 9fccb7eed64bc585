"""Batches made by hand, and networks small enough to compute by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from benchmark.parts.batch import Batch
from benchmark.plan.ground import LossForm
from benchmark.plan.nodes import Build


@pytest.fixture
def make_batch() -> Callable[..., Batch]:
    """`make_batch(label_BHW, annotated_BK, **reading)`; the image is random, all valid."""

    def make(label: Any, annotated: Any, **reading: Any) -> Batch:
        label_BHW = torch.as_tensor(label).long()
        samples = len(label_BHW)
        generator = torch.Generator().manual_seed(5)
        return Batch(
            image_B1HW=torch.rand(samples, 1, *label_BHW.shape[1:], generator=generator),
            label_BHW=label_BHW,
            annotated_BK=torch.as_tensor(annotated).bool(),
            valid_BHW=torch.ones_like(label_BHW).bool(),
            case_B=torch.arange(samples),
            position_B=torch.zeros(samples),
            loss_form=LossForm(**reading),
        )

    return make


@pytest.fixture
def make_net() -> Callable[..., nn.Module]:
    """`make_net(arch, organs=3, seed=0, **built)`."""

    def make(arch: Any, organs: int = 3, seed: int = 0, **built: nn.Module) -> nn.Module:
        torch.manual_seed(seed)
        names = tuple(f"organ{n}" for n in range(organs))
        net: nn.Module = arch.build(Build(organs=names, size=None, built=built))
        return net

    return make
