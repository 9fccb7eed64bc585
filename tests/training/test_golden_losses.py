"""The losses of short trainings, made before the memory layout had a rule: no layout changes them.

Rounding differs between layouts and processors, so they agree to a thousandth after six steps.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from baselines.unet import Plain
from benchmark.parts.networks import UNet
from benchmark.plan.nodes import Schedule, in_order
from benchmark.training.trainer import Control, fit
from methods.fsm import Fsm

SHORT = Schedule(epochs=3, steps_per_epoch=2, lr=3e-3)
LOSSES = json.loads(Path(__file__).with_name("golden_losses.json").read_text("utf-8"))


def rows(norm: str) -> dict[str, Any]:
    ct = UNet(width=4, levels=3, norm=norm)
    return {
        "unet": Plain(ct=ct, schedule=SHORT),
        "fsm": Fsm(ct=ct, gt=replace(ct, reads="masks"), schedule=SHORT),
    }


def losses(trainer: Any, method: Any) -> list[list[dict[str, float]]]:
    """The terms of each epoch of each training, parents first."""
    done: dict[Any, Any] = {}
    found = []
    for node in in_order(method.plan().node):
        nets = trainer.ready(node, done)
        history = fit(node, nets, trainer.draw(node, nets), seed=0, hardware=trainer.hardware,
                      control=Control())  # fmt: skip
        done[node] = nets
        found.append([{n: float(v) for n, v in epoch.terms.items()} for epoch in history.epochs])
    return found


@pytest.mark.parametrize("norm", ["none", "instance"])
@pytest.mark.parametrize("row", ["unet", "fsm"])
def test_losses(cpu_trainer: Any, row: str, norm: str) -> None:
    found = losses(cpu_trainer, rows(norm)[row])
    wanted = LOSSES[f"{row} {norm}"]
    assert len(found) == len(wanted)
    for epochs, golden in zip(found, wanted, strict=True):
        assert len(epochs) == len(golden) == 3
        for terms, known in zip(epochs, golden, strict=True):
            assert terms == pytest.approx(known, rel=1e-3, abs=1e-5)
