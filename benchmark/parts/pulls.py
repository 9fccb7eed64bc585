"""How strongly each term beside the loss pulls at F, the bottom of N_CT, within a training step.

Measured in the step itself, between its forward and its backward pass: no pass through an encoder
is added, and no bit of the step changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.parts.bottoms import BOTTOM
from benchmark.parts.objectives import LOSS_TERMS

STUDENT = "ct"


@contextmanager
def bottom_of(nets: Mapping[str, nn.Module]) -> Iterator[list[Tensor]]:
    """Catch what N_CT's encoder gives at its bottom while the context is open, one tensor a call;
    none where there is no such encoder."""
    caught: list[Tensor] = []
    encoder = getattr(nets.get(STUDENT), "encoder", None)
    if encoder is None:
        yield caught
        return

    def catch(module: nn.Module, given: object, output: Any) -> None:
        caught.append(output[BOTTOM])

    handle = encoder.register_forward_hook(catch)
    try:
        yield caught
    finally:
        handle.remove()


def pulls_at(terms: Mapping[str, Tensor], caught: list[Tensor]) -> dict[str, float]:
    """Return for each term beside the segmentation loss the norm of its gradient at F over that of
    the loss's, the terms being weighted as they are minimised.

    Empty where the objective has no such term or no term of the loss (`LOSS_TERMS`), where F is not
    trained, and where the loss does not reach it.
    """
    usual = [term for name, term in terms.items() if name in LOSS_TERMS]
    others = {name: term for name, term in terms.items() if name not in LOSS_TERMS}
    if not usual or not others or not caught or not caught[0].requires_grad:
        return {}
    loss = _size(torch.stack([term.float() for term in usual]).sum(), caught[0])
    sizes = {name: _size(term, caught[0]) for name, term in others.items()}
    if not loss:
        return {}
    return {name: size / loss for name, size in sizes.items() if size is not None}


def gradient_at(term: Tensor, at: Tensor) -> Tensor | None:
    """Return a term's gradient at a place of its graph, which stays; None for a term that does not
    touch it, such as N_GT's own loss in a joint training."""
    if not term.requires_grad:
        return None
    return torch.autograd.grad(term, at, retain_graph=True, allow_unused=True)[0]


def _size(term: Tensor, at: Tensor) -> float | None:
    """The norm of a term's gradient at a place; None for a term that does not touch it."""
    gradient = gradient_at(term, at)
    return None if gradient is None else float(gradient.float().norm())
