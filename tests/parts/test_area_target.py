"""The loss with shares of area as its target (`ground.labels=area`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from benchmark.parts.batch import Batch
from benchmark.parts.objectives import segmentation_terms, target
from benchmark.plan.ground import LossForm


def hard(batch: Batch) -> torch.Tensor:
    return F.one_hot(batch.label_BHW, 3)[..., 1:].permute(0, 3, 1, 2).float()


@pytest.mark.parametrize("reading", [{}, {"squared": True, "ce": 0.5}, {"per_sample": True}])
def test_whole_shares_give_the_loss_of_labels(
    reading: dict[str, Any], make_batch: Callable[..., Batch]
) -> None:
    rng = np.random.default_rng(2)
    batch = make_batch(rng.integers(0, 3, (2, 4, 5)), [[1, 1], [0, 1]], **reading)
    logits = torch.from_numpy(rng.normal(size=(2, 3, 4, 5))).float()
    soft = segmentation_terms(logits, replace(batch, area_BKHW=hard(batch)))
    for name, term in segmentation_terms(logits, batch).items():
        assert soft[name].item() == pytest.approx(term.item(), rel=1e-5), name


def test_an_organ_that_nobody_looked_for_is_background(make_batch: Callable[..., Batch]) -> None:
    batch = make_batch([[[0, 1]]], [[0, 1]])
    shares = torch.tensor([[[[0.5, 0.75]], [[0.25, 0.25]]]])
    found = target(replace(batch, area_BKHW=shares))
    assert found.tolist() == [[[[0.75, 0.75]], [[0.0, 0.0]], [[0.25, 0.25]]]]


@pytest.mark.parametrize("squared", [True, False])
def test_only_the_squared_dice_is_best_at_the_shares_themselves(
    squared: bool, make_batch: Callable[..., Batch]
) -> None:
    """2 pt <= p^2 + t^2, with equality at p = t. Without the squares a share over about a half is
    best answered by 1, one under it by 0: the term asks for the majority again."""
    batch = make_batch([[[0, 1, 1]]], [[1]])
    shares = torch.tensor([[[[0.2, 0.7, 1.0]]]])
    reading = LossForm(squared=squared)
    batch = replace(batch, area_BKHW=shares, loss_form=reading)

    def loss(organ: torch.Tensor) -> float:
        logits = torch.cat([1 - organ, organ], dim=1).clamp_min(1e-9).log()
        return segmentation_terms(logits, batch)["dsc"].item()

    at_shares, at_majority = loss(shares), loss((shares > 0.5).float())
    assert (at_shares < at_majority) == squared
    assert (at_shares == pytest.approx(0, abs=1e-5)) == squared
