"""`ground.loss` is what all rows share: a loss of somebody's own follows it, or says that not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pytest
from torch import Tensor, nn

from benchmark.parts.batch import Batch
from benchmark.parts.networks import UNet
from benchmark.parts.objectives import Segmentation, segmentation_terms
from benchmark.plan.nodes import Net, Row, Schedule, Train, Weights, field_from
from benchmark.settings.registry import Registry, load_registry
from benchmark.settings.resolve import resolve


@dataclass(frozen=True, kw_only=True)
class Squares:
    """It knows nothing of cross-entropy."""

    kind: ClassVar[str] = "theirs/squares"

    def __call__(self, nets: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        return {"squares": nets["ct"](batch.image_B1HW).square().mean()}


@dataclass(frozen=True, kw_only=True)
class Penalised:
    """The shared loss and more."""

    kind: ClassVar[str] = "theirs/penalised"

    def __call__(self, nets: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        logits = nets["ct"](batch.image_B1HW)
        return {**segmentation_terms(logits, batch), "size": 0.1 * logits.square().mean()}


@dataclass(frozen=True, kw_only=True)
class Theirs:
    loss: str = field_from("squares", "C", "which")

    def plan(self) -> Weights:
        losses = {"squares": Squares(), "penalised": Penalised(), "ours": Segmentation()}
        net = Net(arch=UNet())
        return Train(
            title="N_CT", nets={"ct": net}, objective=losses[self.loss], schedule=Schedule()
        )["ct"]


@pytest.mark.parametrize(
    ("loss", "preset", "flagged"),
    [
        ("squares", "quick", True),
        ("squares", "paper", False),  # soft Dice as it is: nothing is passed by
        ("penalised", "quick", False),
        ("ours", "quick", False),
    ],
)
def test_a_loss_that_does_not_read_the_shared_values_is_flagged(
    loss: str, preset: str, flagged: bool
) -> None:
    row = Row(method=Theirs(loss=loss), group="beyond", title="t", about="A.", source="-")
    flags = resolve(Registry(rows={"theirs": row}, theirs={"theirs"}), "theirs", preset).flags
    assert len(flags) == flagged
    if flagged:
        assert flags[0].startswith("own_loss: Squares (N_CT) does not read ground.loss.")


def test_our_rows_carry_no_such_flag() -> None:
    registry = load_registry()
    for name in registry.rows:
        assert not any("own_loss" in flag for flag in resolve(registry, name).flags)
