"""What a cell's training curve says: whether the training had ended when it was ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from benchmark.parts.objectives import DSC

FIFTH = 5
STILL_RISING = 0.5  # points of soft Dice in the last fifth of a training


def curve_flags(epochs: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return `not_converged` where soft Dice on the training slices still rose by half a point or
    more over the last fifth of a training, given the epochs of its record."""
    rise = last_rise(epochs)
    if rise is None or rise < STILL_RISING:
        return ()
    return (f"not_converged: soft Dice rose by {rise:.1f} points in the last fifth of training",)


def last_rise(epochs: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the mean soft Dice of the last fifth of the epochs less that of the fifth before, in
    points; None for fewer than five epochs and for a loss that is not soft Dice."""
    fifth = len(epochs) // FIFTH
    if not fifth or any(DSC not in epoch["terms"] for epoch in epochs):
        return None
    losses = [epoch["terms"][DSC] for epoch in epochs]
    return 100 * (fmean(losses[-2 * fifth : -fifth]) - fmean(losses[-fifth:]))
