"""What a draw can add to a batch from the fold's training cases: plain values, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from benchmark.plan.nodes import check_range


@dataclass(frozen=True, kw_only=True)
class OtherCase:
    """The masks of another training patient, at the same relative height, augmented alike.

    The pairing is a fixed derangement within equal annotated organs and equal source, drawn from
    `seed`; it never changes during a training (METHODS.md section 6, `fsm-shuffled`).
    """

    kind: ClassVar[str] = "other-case"
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class MeanMask:
    """The mean mask of the fold's training patients at the same relative height, augmented alike.

    `bins` heights lie between the ends of the reference organ; an organ's mean is over the
    patients in whom it is annotated.
    """

    kind: ClassVar[str] = "mean-mask"
    bins: int = 32

    def __post_init__(self) -> None:
        check_range("bins", self.bins, low=2, high=1024)
