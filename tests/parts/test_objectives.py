"""The segmentation loss against loops in numpy, and what it must not see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark.parts.batch import Batch
from benchmark.parts.objectives import fold_unknown, segmentation_terms, soft_dice

READINGS: list[dict[str, Any]] = [
    {},
    {"organs_only": True},
    {"per_sample": True},
    {"squared": True},
    {"ce": 0.5},
    {"organs_only": True, "per_sample": True, "squared": True, "ce": 1.0, "smoothing": 0.1},
]
MakeBatch = Callable[..., Batch]


def by_hand(logits: Tensor, batch: Batch) -> dict[str, float]:
    """The loss of docs/methods.md section 1, pixel by pixel."""
    reading = batch.loss_form
    z = logits.double().numpy()
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    label, known = batch.label_BHW.numpy().copy(), batch.annotated_BK.numpy()
    valid = batch.valid_BHW.numpy()
    samples, classes = p.shape[:2]
    for b in range(samples):
        for organ in range(classes - 1):
            if not known[b, organ]:
                p[b, 0] += p[b, organ + 1]
                p[b, organ + 1] = 0
                label[b][label[b] == organ + 1] = 0
    groups = [[b] for b in range(samples)] if reading.per_sample else [list(range(samples))]
    dice = []
    for group in groups:
        for c in range(1 if reading.organs_only else 0, classes):
            members = [b for b in group if c == 0 or known[b, c - 1]]
            if not members:
                continue
            both = size = 0.0
            for b in members:
                for q, t in zip(p[b, c][valid[b]], (label[b] == c)[valid[b]], strict=True):
                    both += q * t
                    size += q**2 + t if reading.squared else q + t
            dice.append((2 * both + reading.smoothing) / (size + reading.smoothing))
    terms = {"dsc": 1 - float(np.mean(dice))}
    if reading.ce:
        losses = [
            -np.log(p[b, label[b, y, x], y, x])
            for b, y, x in np.ndindex(label.shape)
            if valid[b, y, x]
        ]
        terms["ce"] = reading.ce * float(np.mean(losses))
    return terms


def random_case(make_batch: MakeBatch, reading: dict[str, Any], seed: int) -> tuple[Tensor, Batch]:
    rng = np.random.default_rng(seed)
    annotated = [[1, 1, 0], [0, 1, 0], [1, 1, 0]]  # the last organ in no sample
    batch = make_batch(rng.integers(0, 4, (3, 4, 5)), annotated, **reading)
    logits = torch.from_numpy(2 * rng.normal(size=(3, 4, 4, 5))).float()
    return logits, replace(batch, valid_BHW=torch.from_numpy(rng.random((3, 4, 5)) < 0.8))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("reading", READINGS, ids=str)
def test_the_loss_is_the_formula(reading: dict[str, Any], seed: int, make_batch: MakeBatch) -> None:
    logits, batch = random_case(make_batch, reading, seed)
    terms = segmentation_terms(logits, batch)
    expected = by_hand(logits, batch)
    assert list(terms) == list(expected)
    for name, term in terms.items():
        assert term.shape == () and term.item() == pytest.approx(expected[name], rel=1e-5)


def test_two_pixels_by_hand(make_batch: MakeBatch) -> None:
    batch = make_batch([[[0, 1]]], [[1]])
    probs = torch.tensor([[[[0.75, 0.5]], [[0.25, 0.5]]]])  # background: 2*.75/(1.25+1), ...
    expected = 1 - (1.5 / 2.25 + 1.0 / 1.75) / 2
    assert soft_dice(probs, batch).item() == pytest.approx(expected, abs=1e-5)
    perfect = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])
    assert soft_dice(perfect, batch).item() == pytest.approx(0, abs=1e-6)
    assert soft_dice(1 - perfect, batch).item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("reading", READINGS, ids=str)
def test_labels_of_an_unannotated_organ_change_nothing(
    reading: dict[str, Any], make_batch: MakeBatch
) -> None:
    logits, batch = random_case(make_batch, reading, 2)
    clean = batch.label_BHW.clone()
    for b, organ in ((0, 2), (1, 0), (1, 2), (2, 2)):
        clean[b][clean[b] == organ + 1] = 0
    planted = clean.clone()
    background = (planted[1] == 0).nonzero()
    for place, (y, x) in enumerate(background[: len(background) // 2]):
        planted[1, y, x] = (1, 3)[place % 2]
    assert (planted != clean).sum() >= 3

    def loss_and_gradient(label_BHW: Tensor) -> tuple[Tensor, Tensor]:
        leaf = logits.clone().requires_grad_()
        terms = segmentation_terms(leaf, replace(batch, label_BHW=label_BHW))
        loss = torch.stack(list(terms.values())).sum()
        (gradient,) = torch.autograd.grad(loss, leaf)
        return loss.detach(), gradient

    for one, other in zip(loss_and_gradient(planted), loss_and_gradient(clean), strict=True):
        assert torch.equal(one, other)
    known = replace(batch, annotated_BK=torch.ones_like(batch.annotated_BK))
    differs = segmentation_terms(logits, replace(known, label_BHW=planted))["dsc"]
    assert differs != segmentation_terms(logits, replace(known, label_BHW=clean))["dsc"]


def test_probability_of_an_unannotated_organ_is_backgrounds(make_batch: MakeBatch) -> None:
    logits = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    annotated = torch.tensor([[True, False], [True, True]])
    probs = fold_unknown(torch.softmax(logits, 1), annotated)
    torch.testing.assert_close(probs.sum(1), torch.ones(2, 4, 4))
    assert not probs[0, 2].any() and torch.equal(probs[1], torch.softmax(logits, 1)[1])
    swapped = logits.clone()
    swapped[0, [0, 2]] = logits[0, [2, 0]]  # whether the net says background or that organ
    batch = make_batch(np.random.default_rng(0).integers(0, 2, (2, 4, 4)), annotated, ce=1.0)
    for name, term in segmentation_terms(logits, batch).items():
        torch.testing.assert_close(term, segmentation_terms(swapped, batch)[name])


def test_a_class_absent_from_the_batch_gives_no_gradient(make_batch: MakeBatch) -> None:
    label = np.random.default_rng(0).integers(0, 2, (2, 8, 8))  # organ 2 never
    annotated = make_batch(label, [[1, 1], [1, 1]])
    probs = torch.softmax(torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)), 1)
    leaf = probs.requires_grad_()
    loss = soft_dice(leaf, annotated)
    (gradient,) = torch.autograd.grad(loss, leaf)
    assert gradient[:, 2].abs().max() < 1e-6 < gradient[:, 1].abs().max()
    others = soft_dice(leaf[:, :2], make_batch(label, [[1], [1]]))
    assert loss.item() == pytest.approx((2 * others.item() + 1) / 3, abs=1e-5)  # it counts as 0
    unknown = soft_dice(leaf, make_batch(label, [[1, 0], [1, 0]]))
    assert unknown.item() == pytest.approx(others.item(), abs=1e-6)  # annotated nowhere: left out


def test_nothing_annotated_at_all_is_legal(make_batch: MakeBatch) -> None:
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    for reading in READINGS:
        batch = make_batch(np.zeros((2, 4, 4)), [[0, 0], [0, 0]], **reading)
        loss = torch.stack(list(segmentation_terms(logits, batch).values())).sum()
        loss.backward()
        assert loss.isfinite() and logits.grad is not None and logits.grad.isfinite().all()


def test_pixels_that_are_not_valid_do_not_count(make_batch: MakeBatch) -> None:
    logits, batch = random_case(make_batch, {"ce": 1.0}, 3)
    wild = torch.where(batch.valid_BHW[:, None], logits, 50 * torch.randn_like(logits))
    label = torch.where(batch.valid_BHW, batch.label_BHW, 3 - batch.label_BHW)
    for name, term in segmentation_terms(logits, batch).items():
        other = segmentation_terms(wild, replace(batch, label_BHW=label))[name]
        torch.testing.assert_close(term, other)


@pytest.mark.parametrize("reading", READINGS, ids=str)
def test_the_loss_is_fp32_under_bf16(reading: dict[str, Any], make_batch: MakeBatch) -> None:
    """As many pixels as 64^3: a sum in bf16 would stop growing at 256."""
    label = np.zeros((4, 256, 256))
    label[:, 50:120, 60:200] = 1
    batch = make_batch(label, [[1, 1]] * 4, **reading)
    logits = torch.randn(4, 3, 256, 256, generator=torch.Generator().manual_seed(0)).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        leaf = logits.requires_grad_()
        terms = segmentation_terms(leaf, batch)
    torch.stack(list(terms.values())).sum().backward()
    assert leaf.grad is not None and leaf.grad.isfinite().all()
    for name, term in segmentation_terms(logits.detach().float(), batch).items():
        assert terms[name].dtype == torch.float32 and torch.equal(terms[name], term)


def test_extreme_logits_stay_finite(make_batch: MakeBatch) -> None:
    for reading in READINGS:
        leaf = torch.tensor([[1e4, -1e4], [-1e4, 1e4]])[None, :, None].requires_grad_()
        loss = torch.stack(
            list(segmentation_terms(leaf, make_batch([[[1, 0]]], [[1]], **reading)).values())
        ).sum()
        loss.backward()
        assert loss.isfinite() and leaf.grad is not None and leaf.grad.isfinite().all()
